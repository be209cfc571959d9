//! `classification`: the label of a text or picture, by a softmax over a linear layer on its vector, and the cross entropy.
//!
//! The layer starts as a nearest-centroid classifier of the untrained encoder's vectors, so that what is trained starts
//! from what the encoder knows already. Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", 2017,
//! section 2.4, <https://arxiv.org/abs/1703.05175>.

use std::collections::HashMap;

use debut_udfs::finetune::ClassWeights;

use super::batch::{Batch, BatchInputs, Scored, shares};
use super::metrics::Confusion;
use super::{Embeddings, Forward, Metric, Objective, Product, Score, cross_entropy, input};
use crate::onnx::graph::{GraphBuilder, Value};
use crate::onnx::proto::DataType;
use crate::random::Random;
use crate::train::data::Labels;
use crate::train::parameter::Parameter;
use crate::train::pooling;
use crate::train::run::top_losses::{self, Excerpt, TopLoss};
use crate::train::step::feed::Feed;

const INPUTS: &str = "classification/inputs";
const SHARES: &str = "classification/shares";
const WEIGHT: &str = "classification/weight";
const BIAS: &str = "classification/bias";
/// What the squared distances of the first classifier are multiplied by: logits as sharp as those of a trained one.
const SHARPNESS: f32 = 20.0;
/// The logit of a label that a version does not know.
const NEVER: f32 = -1e4;
/// The layer's weights are of the order of 1 where an encoder's are of the order of 0.1.
pub(super) const HEAD_RATE: f32 = 20.0;

/// The objective.
#[derive(Debug)]
pub(super) struct Classification {
    examples: Labels,
    train: Vec<u32>,
    /// How much an example of each class counts.
    class_weights: Vec<f32>,
    /// Whether all classes count the same, however many examples they have.
    balanced: bool,
}

impl Classification {
    pub(super) fn new(examples: Labels, train: &[u32], weights: ClassWeights) -> Self {
        let mut class_weights = vec![1.0; examples.labels.len()];
        let balanced = weights == ClassWeights::Balanced;
        if balanced {
            let mut counts = vec![0u32; examples.labels.len()];
            train.iter().for_each(|example| counts[examples.class[*example as usize] as usize] += 1);
            let present = counts.iter().filter(|count| **count > 0).count();
            for (weight, count) in class_weights.iter_mut().zip(counts) {
                *weight = train.len() as f32 / (present as f32 * count.max(1) as f32);
            }
        }
        Self { examples, train: train.to_vec(), class_weights, balanced }
    }

    /// Where the labels of the version that training goes on from are among ours; `None` for any other version's.
    fn places(&self, labels: &[String]) -> Option<Vec<usize>> {
        let ours = &self.examples.labels;
        let is_before = !labels.is_empty() && labels == self.examples.before;
        is_before.then(|| labels.iter().map(|label| ours.binary_search(label).ok()).collect())?
    }

    /// What a graph predicts of a batch's examples; one without weight has no label there, and is left out.
    fn predictions<'a>(&'a self, scored: &Scored<'a>) -> impl Iterator<Item = Prediction<'a>> {
        let labels = self.examples.labels.len();
        let (outputs, batch): (&'a [Vec<f32>], &'a Batch) = (scored.outputs, scored.batch);
        let logits = outputs.first().map_or(&[][..], Vec::as_slice).chunks_exact(labels);
        logits.zip(batch.floats(SHARES).chunks_exact(labels)).enumerate().filter_map(
            move |(example, (logits, shares))| {
                let truth = shares.iter().position(|share| *share > 0.0)?;
                let predicted =
                    logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class);
                let weight = f64::from(shares[truth] * batch.weight / self.class_weights[truth]);
                Some(Prediction { example, logits, truth, predicted, weight })
            },
        )
    }

    /// Example weights times class weights.
    fn weight(&self, example: usize) -> f32 {
        self.examples.weight[example] * self.class_weights[self.examples.class[example] as usize]
    }
}

/// What a graph predicts of an example.
struct Prediction<'a> {
    /// Its place in the batch.
    example: usize,
    logits: &'a [f32],
    /// Its class.
    truth: usize,
    /// That of the highest logit.
    predicted: usize,
    /// The example's own weight.
    weight: f64,
}

impl Prediction<'_> {
    /// The logarithm of the sum of the exponentials of the logits.
    fn log_sum(&self) -> f64 {
        let top = f64::from(self.logits[self.predicted]);
        top + self.logits.iter().map(|logit| (f64::from(*logit) - top).exp()).sum::<f64>().ln()
    }

    /// The cross entropy.
    fn loss(&self) -> f64 {
        self.log_sum() - f64::from(self.logits[self.truth])
    }
}

impl Objective for Classification {
    fn base_inputs(&self) -> Vec<u32> {
        self.train.iter().map(|example| self.examples.input[*example as usize]).collect()
    }

    fn parameters(&self, base: &Embeddings) -> Vec<Parameter> {
        let (width, labels) = (base.dimension, self.examples.labels.len());
        let vectors = base.normalized();
        let mut center = vec![0.0f64; width];
        let mut sums = vec![0.0f64; labels * width];
        let mut counts = vec![0.0f64; labels];
        for (example, vector) in self.train.iter().zip(vectors.chunks_exact(width.max(1))) {
            let (class, weight) =
                (self.examples.class[*example as usize] as usize, self.examples.weight[*example as usize]);
            counts[class] += f64::from(weight);
            let sums = sums[class * width..][..width].iter_mut().zip(&mut center);
            for ((sum, center), x) in sums.zip(vector) {
                *sum += f64::from(weight) * f64::from(*x);
                *center += f64::from(weight) * f64::from(*x);
            }
        }
        let all = counts.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        center.iter_mut().for_each(|x| *x /= all);
        // With c the mean of all, -|x - m|^2 / 2 is (m - c) x - (m - c) (m + c) / 2 and a part that all classes share.
        let mut weight = vec![0.0f32; width * labels];
        let mut bias = vec![0.0f32; labels];
        for class in (0..labels).filter(|class| counts[*class] > 0.0) {
            let mut offset = 0.0;
            for (row, c) in center.iter().enumerate() {
                let m = sums[class * width + row] / counts[class];
                weight[row * labels + class] = SHARPNESS * (m - c) as f32;
                offset += (m - c) * (m + c) / 2.0;
            }
            bias[class] = -SHARPNESS * offset as f32;
        }
        let head = [Parameter::new(WEIGHT, &[width, labels], weight), Parameter::new(BIAS, &[labels], bias)];
        head.map(|parameter| Parameter { rate: HEAD_RATE, ..parameter }).to_vec()
    }

    fn trained_head(
        &self,
        stored: &dyn Fn(&str) -> Option<Vec<f32>>,
        labels: &[String],
    ) -> Option<HashMap<String, Vec<f32>>> {
        // Other labels are other numbers of classes.
        if labels == self.examples.labels {
            return [WEIGHT, BIAS].into_iter().map(|name| Some((name.to_owned(), stored(name)?))).collect();
        }
        // A version that training goes on from tells nothing to be of a label that came later.
        let places = self.places(labels)?;
        let ours = self.examples.labels.len();
        let (old_weight, old_bias) = (stored(WEIGHT)?, stored(BIAS)?);
        let mut weight = vec![0.0; old_weight.len() / labels.len().max(1) * ours];
        let mut bias = vec![NEVER; ours];
        for (row, old) in weight.chunks_exact_mut(ours).zip(old_weight.chunks_exact(labels.len().max(1))) {
            places.iter().zip(old).for_each(|(place, value)| row[*place] = *value);
        }
        places.iter().zip(&old_bias).for_each(|(place, value)| bias[*place] = *value);
        Some(HashMap::from([(WEIGHT.to_owned(), weight), (BIAS.to_owned(), bias)]))
    }

    /// Labels that came later begin at their centroids.
    fn continued_head(
        &self,
        stored: &dyn Fn(&str) -> Option<Vec<f32>>,
        labels: &[String],
        mut head: Vec<Parameter>,
    ) -> Vec<Parameter> {
        let Some(trained) = self.trained_head(stored, labels) else { return head };
        let ours = self.examples.labels.len();
        let is_old = self.examples.labels.iter().map(|label| labels.contains(label)).collect::<Vec<_>>();
        for parameter in &mut head {
            let Some(values) = trained.get(&parameter.name).filter(|old| old.len() == parameter.values.len()) else {
                continue;
            };
            for (row, old) in parameter.values.chunks_exact_mut(ours).zip(values.chunks_exact(ours)) {
                let columns = row.iter_mut().zip(old).zip(&is_old).filter(|(_, is_old)| **is_old);
                columns.for_each(|((own, old), _)| *own = *old);
            }
        }
        head
    }

    fn loss(&self, graph: &mut GraphBuilder, embeddings: &Value, head: &[Value]) -> Forward {
        let outer = graph.scope("classification");
        let places = input(graph, INPUTS, DataType::Int64, &["examples"]);
        let shares = input(graph, SHARES, DataType::Float, &["examples", "labels"]);
        let logits = logits(graph, embeddings, head);
        let logits = graph.gather(&logits, &places, 0);
        let loss = cross_entropy(graph, &logits, &shares);
        graph.scope(outer);
        Forward { loss, outputs: vec![logits] }
    }

    fn batch(&self, examples: &[u32], _random: &mut Random) -> Batch {
        let labels = self.examples.labels.len();
        let mut inputs = BatchInputs::with_capacity(examples.len());
        let places = examples.iter().map(|example| inputs.place(self.examples.input[*example as usize])).collect();
        let mut weights = examples.iter().map(|example| self.weight(*example as usize)).collect::<Vec<_>>();
        let weight = shares(&mut weights);
        let mut targets = vec![0.0; examples.len() * labels];
        for ((example, share), target) in examples.iter().zip(weights).zip(targets.chunks_exact_mut(labels)) {
            target[self.examples.class[*example as usize] as usize] = share;
        }
        let feeds =
            vec![Feed::i64(INPUTS, &[examples.len()], places), Feed::f32(SHARES, &[examples.len(), labels], targets)];
        Batch { inputs: inputs.finish(), feeds, weight }
    }

    /// What is trained for: where examples count the same it is accuracy. The macro F1 of many classes hangs there on the few
    /// held-out examples of the rare ones.
    fn metric(&self) -> Metric {
        Metric { name: if self.balanced { "macro_f1" } else { "accuracy" }, higher_is_better: true }
    }

    /// By the examples' own weights: class weights are a means of training.
    fn evaluate(&self, batches: &[Scored<'_>]) -> Vec<Score> {
        let labels = self.examples.labels.len();
        let mut confusion = Confusion::new(labels);
        for scored in batches {
            self.predictions(scored).for_each(|one| confusion.add(one.predicted, one.truth, one.weight));
        }
        let mut scores = vec![
            Score { name: "accuracy", value: confusion.accuracy() },
            Score { name: "macro_f1", value: confusion.macro_f1() },
        ];
        if self.balanced {
            scores.reverse();
        }
        scores
    }

    /// The loss is the cross entropy of the example alone.
    fn top_losses(&self, batches: &[Scored<'_>], count: usize) -> Vec<TopLoss> {
        let mut losses = Vec::new();
        for scored in batches {
            for one in self.predictions(scored) {
                if let Some(input) = scored.batch.input(INPUTS, one.example) {
                    losses.push((one.loss(), input, one));
                }
            }
        }
        let top = top_losses::largest(losses, count, |(loss, ..)| *loss).into_iter();
        top.map(|(loss, input, one)| TopLoss {
            input,
            loss,
            label: self.examples.labels[one.truth].clone(),
            predicted: self.examples.labels[one.predicted].clone(),
            probability: Some((f64::from(one.logits[one.predicted]) - one.log_sum()).exp()),
            excerpt: Excerpt::default(),
        })
        .collect()
    }

    fn product(&self) -> Product {
        Product::Classification { labels: self.examples.labels.clone() }
    }

    fn score(&self, graph: &mut GraphBuilder, embeddings: &Value, head: &[Value]) -> Option<Value> {
        let outer = graph.scope("classification");
        let logits = logits(graph, embeddings, head);
        graph.scope(outer);
        Some(logits)
    }
}

/// `normalize(x) W + b`, `[inputs, labels]`.
fn logits(graph: &mut GraphBuilder, embeddings: &Value, head: &[Value]) -> Value {
    let (weight, bias) = (&head[0], &head[1]);
    let vectors = pooling::normalize(graph, embeddings);
    graph.node("Gemm", &[&vectors, weight, bias], vec![])
}
