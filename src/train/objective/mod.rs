//! What is learned: takes the examples of a dataset, gives batches, the loss on top of an encoder's vectors, and
//! metrics of what is held out.
//!
//! # Layout
//! - [`contrastive`], [`bce`], [`bpr`], [`classification`], [`regression`], [`similarity`], [`text_image`], [`distill`]: one
//!   objective each
//! - [`factors`]: what `train::tower` learns; no [`Objective`], because it holds nothing out
//! - [`users`]: a vector a user, and drawing what a user does not have; for `bce` and `bpr`
//! - [`batch`](mod@batch): what a step is given, and which examples are in which batch
//! - [`metrics`]: how good predictions are; [`overlap`]: how near vectors are to others
//!
//! # How a run uses it
//! 1. [`open`] takes the options of a call, the dataset's examples and the numbers of those to train on.
//! 2. The base encoder embeds [`Objective::base_inputs`] (none for most objectives), and [`Objective::parameters`] makes the
//!    first values of the head from that. Each is declared in the graph, in this order.
//! 3. [`Objective::loss`] adds the loss; its inputs are filled by [`Batch::feeds`], its embeddings by encoding
//!    [`Batch::inputs`] in their order.
//! 4. For every epoch, [`Batches::train`] gives the batches; they depend on the seed, the epoch and their place alone, so
//!    that an epoch can be taken up in the middle. [`Batches::validation`] gives the same batches every time.
//! 5. [`Objective::evaluate`] makes named values of the outputs for all validation batches; the first is the metric.
//! 6. What is published is a [`Product`]; a classifier's or regression's graph ends in [`Objective::score`].

mod batch;
mod bce;
mod bpr;
mod classification;
mod contrastive;
mod distill;
pub(super) mod factors;
mod metrics;
pub(super) mod overlap;
mod regression;
mod similarity;
#[cfg(test)]
mod tests;
pub(super) mod text_image;
mod users;

use std::collections::HashMap;
use std::fmt::Debug;

use debut_udfs::finetune;
use debut_udfs::finetune::objective::TEMPERATURE;
use debut_udfs::model::TextTower;

use crate::onnx::graph::{Dim, GraphBuilder, Value, attribute_int};
use crate::onnx::proto::DataType;
use crate::random::Random;
use crate::train::data::{Error, Examples, Result};
use crate::train::parameter::Parameter;
use crate::train::run::top_losses::TopLoss;

pub use batch::{Batch, Batches, Scored, VALIDATION_SIZE};
pub(super) use distill::COSINE;
pub use factors::Holders;

/// Added to what is masked: below every cosine times the largest scale, within the range of half precision.
const MASKED: f32 = -1e4;

/// Something that can be learned.
pub trait Objective: Debug + Send + Sync {
    /// The inputs whose vectors by the untrained encoder [`Self::parameters`] reads, in that order; often none.
    fn base_inputs(&self) -> Vec<u32> {
        Vec::new()
    }

    /// The parameters beside the encoder's, with their first values; often none. `base` holds the vectors of
    /// [`Self::base_inputs`].
    fn parameters(&self, base: &Embeddings) -> Vec<Parameter>;

    /// Adds the loss of a batch. `embeddings` are the encoder's vectors, `[inputs, dimension]`, not normalised; `head` are
    /// the values of [`Self::parameters`]. Declares the inputs that [`Batch::feeds`] fills.
    fn loss(&self, graph: &mut GraphBuilder, embeddings: &Value, head: &[Value]) -> Forward;

    /// The batch of these examples. `random` draws what is drawn anew every time, such as negatives.
    fn batch(&self, examples: &[u32], random: &mut Random) -> Batch;

    /// What [`Self::evaluate`] puts first, by which versions are compared.
    fn metric(&self) -> Metric;

    /// How good the outputs of all validation batches are: the metric, then other values worth logging.
    /// Finite if the outputs are.
    fn evaluate(&self, batches: &[Scored<'_>]) -> Vec<Score>;

    /// The examples of all validation batches with the highest losses, at most `count`, the highest first; none where an
    /// example has no loss of its own.
    fn top_losses(&self, _batches: &[Scored<'_>], _count: usize) -> Vec<TopLoss> {
        Vec::new()
    }

    /// The head of a version that was trained for the same: `stored` gives the initializers of its graph by name, `labels`
    /// are those of its manifest. `None` where a version keeps no head, or one of another kind.
    fn trained_head(
        &self,
        _stored: &dyn Fn(&str) -> Option<Vec<f32>>,
        _labels: &[String],
    ) -> Option<HashMap<String, Vec<f32>>> {
        None
    }

    /// `head` as it goes on from that of a version that was trained for the same; as it is where there is none.
    fn continued_head(
        &self,
        stored: &dyn Fn(&str) -> Option<Vec<f32>>,
        labels: &[String],
        mut head: Vec<Parameter>,
    ) -> Vec<Parameter> {
        let mut trained = self.trained_head(stored, labels).unwrap_or_default();
        for parameter in &mut head {
            let values = trained.remove(&parameter.name).filter(|values| values.len() == parameter.values.len());
            parameter.values = values.unwrap_or_else(|| std::mem::take(&mut parameter.values));
        }
        head
    }

    /// Whether a version has to be better than its base where none is in use: a student only comes near its teacher.
    fn improves_on_base(&self) -> bool {
        true
    }

    /// What the published version does.
    fn product(&self) -> Product {
        Product::Embedding
    }

    /// The output of the published graph, where it is not the embedding: `[inputs, labels]` logits, or `[inputs, 1]` numbers.
    fn score(&self, _graph: &mut GraphBuilder, _embeddings: &Value, _head: &[Value]) -> Option<Value> {
        None
    }
}

/// Vectors by the encoder before training.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// Width of the vectors.
    pub dimension: usize,
    /// The vectors, one behind the other.
    pub values: Vec<f32>,
}

impl Embeddings {
    /// The vectors, scaled to length one; zeros stay zeros.
    fn normalized(&self) -> Vec<f32> {
        let mut values = self.values.clone();
        values.chunks_exact_mut(self.dimension.max(1)).for_each(normalize);
        values
    }
}

/// Scales a vector to length one; zeros stay zeros.
pub(super) fn normalize(vector: &mut [f32]) {
    let norm = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    if norm > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
    }
}

/// A loss in a graph.
#[derive(Debug, Clone)]
pub struct Forward {
    /// The loss: one number, the weighted mean over the batch's examples.
    pub loss: Value,
    /// What [`Objective::evaluate`] reads, `f32`.
    pub outputs: Vec<Value>,
}

/// A measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name, as in `debut.metrics`.
    pub name: &'static str,
    /// Whether more is better.
    pub higher_is_better: bool,
}

impl Metric {
    /// Whether `value` is better than `best`.
    pub fn better(&self, value: f64, best: f64) -> bool {
        if self.higher_is_better { value > best } else { value < best }
    }
}

/// A measured value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Its name, as in `debut.metrics`.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
}

/// What a trained version does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Product {
    /// Embeds texts or pictures, as its base does.
    Embedding,
    /// Embeds texts and pictures in one space, as its base does.
    TwoTowers,
    /// Gives each input a logit for each label.
    Classification {
        /// The labels, in the order of the logits.
        labels: Vec<String>,
    },
    /// Gives each input a number.
    Regression,
}

/// The objective of a call over its examples. `train` are the examples that are trained on, from which class weights and
/// first values come; `tower` is how a base of two towers compares; `vectors` are the base's of all inputs, for a student.
///
/// # Errors
/// It learns no encoder from such examples.
pub fn open(
    objective: &finetune::Objective,
    examples: Examples,
    train: &[u32],
    tower: Option<TextTower>,
    vectors: Option<Embeddings>,
) -> Result<Box<dyn Objective>> {
    use finetune::Objective as Of;
    Ok(match (objective, examples) {
        (Of::Bce { negatives }, Examples::Interactions(examples)) => {
            Box::new(bce::Bce::new(examples, train, *negatives))
        }
        (Of::Bpr { negatives }, Examples::Interactions(examples)) => {
            Box::new(bpr::Bpr::new(examples, train, *negatives))
        }
        (Of::Contrastive { temperature }, Examples::Pairs(examples)) => {
            Box::new(contrastive::Contrastive::new(examples, temperature.unwrap_or(TEMPERATURE) as f32))
        }
        (Of::Contrastive { .. }, Examples::TextImages(examples)) => {
            let tower = tower.ok_or(Error::NoEncoder(objective.name()))?;
            Box::new(text_image::TextImage::new(examples, tower))
        }
        (Of::Classification { class_weights }, Examples::Labels(examples)) => {
            Box::new(classification::Classification::new(examples, train, *class_weights))
        }
        (Of::Regression, Examples::Numbers(examples)) => Box::new(regression::Regression::new(examples, train)),
        (Of::Similarity, Examples::ScoredPairs(examples)) => Box::new(similarity::Similarity::new(examples)),
        (Of::Distill { .. }, Examples::Texts(texts)) => {
            let vectors = vectors.ok_or(Error::NoEncoder(objective.name()))?;
            Box::new(distill::Distill::new(texts, vectors))
        }
        (objective, _) => return Err(Error::NoEncoder(objective.name())),
    })
}

/// Declares an input that a batch fills.
fn input(graph: &mut GraphBuilder, name: &str, element: DataType, dims: &[&'static str]) -> Value {
    let dims = dims.iter().map(|name| Dim::Named(name)).collect::<Vec<_>>();
    graph.input(name, element, &dims)
}

/// The sum of all elements, one number.
fn total(graph: &mut GraphBuilder, x: &Value) -> Value {
    graph.node("ReduceSum", &[x], vec![attribute_int("keepdims", 0)])
}

/// The sum over the last axis, which goes.
fn total_of_rows(graph: &mut GraphBuilder, x: &Value) -> Value {
    let axes = graph.list_i64(&[-1]);
    graph.node("ReduceSum", &[x, &axes], vec![attribute_int("keepdims", 0)])
}

/// `-sum(share * log(softmax(logits)))` over the last axis: the cross entropy of rows whose `share` is their weight at the
/// right column and 0 elsewhere.
fn cross_entropy(graph: &mut GraphBuilder, logits: &Value, share: &Value) -> Value {
    let log = graph.node("LogSoftmax", &[logits], vec![attribute_int("axis", -1)]);
    let product = graph.mul(&log, share);
    let sum = total(graph, &product);
    graph.node("Neg", &[&sum], vec![])
}
