//! A model version as the beginning of a training graph: takes its graph and manifest, gives the graph with one pooled
//! vector for each text or picture, to which a method adds what is trained and an objective adds its loss.
//!
//! The same encoder, opened again and given the trained values, becomes the graph of the new version
//! ([`Encoder::score`]).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use debut_udfs::model::Modality;

use super::delta::absorb;
use super::error::Error;
use super::parameter::Parameter;
use super::pooling;
use super::weights::{FrozenWeights, is_f32, shape, values};
use crate::onnx;
use crate::onnx::architectures::PIXELS;
use crate::onnx::fuse::remove_dead;
use crate::onnx::graph::{Dim, GraphBuilder, Value, value_info};
use crate::onnx::proto::{DataType, ModelProto, NodeProto, TensorProto};
use crate::registry::manifest::{GraphOutput, Manifest, OutputKind};

pub use super::pooling::normalize;

/// Name of the pooled vectors in a version that ends in something else, so that training can go on from it.
pub(super) const POOLED: &str = "sentence_embedding";

/// The input of a graph that begins with an encoder's vectors, `f32 [inputs, dimension]`.
pub(crate) const VECTORS: &str = "vectors";

/// A version's graph, ready to be trained or, with trained values, to be scored.
#[derive(Debug)]
pub struct Encoder {
    /// The graph.
    pub graph: GraphBuilder,
    /// One vector a text or picture, `[inputs, dimension]`, `f32`: pooled as the manifest says, not normalised.
    pub embeddings: Value,
    /// Width of the vectors.
    pub dimension: usize,
    /// The folder of the version's graph, where its weights are.
    pub(crate) folder: PathBuf,
    /// Name of the output that scoring reads.
    output: String,
    purpose: Purpose,
    parameters: Vec<Parameter>,
    dropouts: Vec<Dropout>,
    /// What is read instead of a value that was replaced.
    replaced: HashMap<Value, Value>,
}

/// What the graph is edited for.
#[derive(Debug)]
enum Purpose {
    /// What is trained becomes inputs.
    Training,
    /// What was trained becomes initializers, with these values by name.
    Scoring {
        trained: HashMap<String, Vec<f32>>,
        /// Whether the weights stay as they are, with what is added to them beside them.
        apart: bool,
    },
}

/// A place where values are set to zero at random while training.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dropout {
    /// The input that each step fills with 0 and `1 / (1 - ratio)`.
    pub(crate) input: String,
    /// What is multiplied by it.
    pub(crate) of: String,
    /// The value that is read instead.
    pub(crate) output: String,
    /// Share of zeros.
    pub(crate) ratio: f32,
    /// Width of the last axis.
    pub(crate) width: usize,
    /// Whether there is a row for each token, or else for each text or picture.
    pub(crate) per_token: bool,
}

impl Encoder {
    /// Opens the graph of a version: `graph` as it was read from the file in `folder` that `manifest` names.
    ///
    /// # Errors
    /// The graph lacks the output that the manifest names, its data is not in `folder`, or it gives no vectors.
    pub fn open(mut graph: ModelProto, folder: &Path, manifest: &Manifest) -> Result<Self, Error> {
        onnx::check_external_data(&graph, folder)?;
        if let Some(graph) = &mut graph.graph {
            absorb(graph, folder)?;
        }
        // A head goes with what is trained next.
        let output = if manifest.output.kind == OutputKind::Logits { POOLED } else { manifest.output.name.as_str() };
        if manifest.output.kind == OutputKind::Logits {
            give_pooled(&mut graph, manifest)?;
        }
        keep_output(&mut graph, output)?;
        if manifest.modality == Modality::Bytes {
            name_pixels(&mut graph);
        }
        let mut graph = GraphBuilder::from_model(graph);
        let hidden = graph.value(output);
        let embeddings = match manifest.output.kind {
            OutputKind::TokenEmbeddings => {
                let mask = mask(&graph, manifest)?;
                graph.scope("pooling");
                pooling::pool(&mut graph, &hidden, &mask, manifest.pooling, manifest.dimension)
            }
            OutputKind::SentenceEmbedding | OutputKind::Logits => hidden,
        };
        Ok(Self {
            graph,
            embeddings,
            dimension: manifest.dimension,
            folder: folder.to_path_buf(),
            output: output.to_owned(),
            purpose: Purpose::Training,
            parameters: Vec::new(),
            dropouts: Vec::new(),
            replaced: HashMap::new(),
        })
    }

    /// The encoder of `manifest` where nothing of it is trained: its vectors are given.
    pub(crate) fn frozen(manifest: &Manifest) -> Self {
        let mut graph = GraphBuilder::new("head");
        let dims = [Dim::Named("batch"), Dim::Fixed(manifest.dimension)];
        let embeddings = graph.input(VECTORS, DataType::Float, &dims);
        Self {
            graph,
            embeddings,
            dimension: manifest.dimension,
            folder: PathBuf::from("."),
            output: String::new(),
            purpose: Purpose::Training,
            parameters: Vec::new(),
            dropouts: Vec::new(),
            replaced: HashMap::new(),
        }
    }

    /// Makes the edits that follow those of a graph to be scored: what was trained is put in as initializers with
    /// `trained` values (name and values of each).
    pub(crate) fn with_values(mut self, trained: HashMap<String, Vec<f32>>) -> Self {
        self.purpose = Purpose::Scoring { trained, apart: false };
        self
    }

    /// Leaves the weights of a graph to be scored as they are: what would be added to them stands beside them.
    #[must_use]
    pub fn keeping_weights(mut self) -> Self {
        if let Purpose::Scoring { apart, .. } = &mut self.purpose {
            *apart = true;
        }
        self
    }

    /// Whether the weights are to stay.
    pub(crate) fn keeps_weights(&self) -> bool {
        matches!(self.purpose, Purpose::Scoring { apart: true, .. })
    }

    /// What scoring reads of the graph, where no head is put on top.
    pub fn output(&self, manifest: &Manifest) -> GraphOutput {
        let kind = match manifest.output.kind {
            OutputKind::Logits => OutputKind::SentenceEmbedding,
            kind => kind,
        };
        GraphOutput { name: self.output.clone(), kind }
    }

    /// Whether the graph is edited for training.
    pub(crate) fn is_training(&self) -> bool {
        matches!(self.purpose, Purpose::Training)
    }

    /// Declares a new parameter; gives its value in the graph. While training it is an input; in a graph to be scored it
    /// is an initializer that holds what was trained.
    ///
    /// # Errors
    /// It was not trained, or with another shape.
    pub fn declare(&mut self, parameter: Parameter) -> Result<Value, Error> {
        let value = match &mut self.purpose {
            Purpose::Training => {
                let dims = parameter.shape.iter().map(|size| Dim::Fixed(*size)).collect::<Vec<_>>();
                self.graph.input(&parameter.name, DataType::Float, &dims)
            }
            Purpose::Scoring { trained, .. } => {
                let values = take(trained, &parameter.name, &parameter.shape)?;
                self.graph.tensor_f32(&parameter.name, &parameter.shape, &values)
            }
        };
        self.parameters.push(parameter);
        Ok(value)
    }

    /// Makes an initializer a parameter of the same name.
    ///
    /// # Errors
    /// Its values cannot be read; or those that were trained do not fit.
    pub(crate) fn train(&mut self, name: &str) -> Result<(), Error> {
        let missing = || Error::Tensor { tensor: name.to_owned(), reason: "the graph has no such initializer".into() };
        let tensor = self.graph.take_initializer(name).ok_or_else(missing)?;
        // Some exporters list initializers among the inputs, as defaults.
        self.graph.take_input(name);
        let first = if self.is_training() { values(&tensor, &self.folder)? } else { Vec::new() };
        self.declare(Parameter::new(name, &shape(&tensor), first)).map(|_| ())
    }

    /// Sets an initializer to `change` of its values, in a graph to be scored.
    ///
    /// # Errors
    /// Its values cannot be read.
    pub(crate) fn fold(&mut self, name: &str, change: impl FnOnce(&mut [f32])) -> Result<(), Error> {
        let missing = || Error::Tensor { tensor: name.to_owned(), reason: "the graph has no such initializer".into() };
        let tensor = self.graph.take_initializer(name).ok_or_else(missing)?;
        let mut elements = values(&tensor, &self.folder)?;
        change(&mut elements);
        self.graph.tensor_f32(name, &shape(&tensor), &elements);
        Ok(())
    }

    /// What was trained under this name, in a graph to be scored.
    ///
    /// # Errors
    /// Nothing was, or with another shape.
    pub(crate) fn trained(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        match &mut self.purpose {
            Purpose::Training => Err(Error::Trained { tensor: name.into(), problem: "is not trained yet".into() }),
            Purpose::Scoring { trained, .. } => take(trained, name, shape),
        }
    }

    /// Makes everything that reads `from` read `to`, but for the nodes named in `except`.
    pub(crate) fn replace(&mut self, from: &Value, to: &Value, except: &[&str]) {
        self.graph.redirect(from, to, except);
        self.replaced.insert(from.clone(), to.clone());
        if self.embeddings == *from {
            self.embeddings = to.clone();
        }
    }

    /// Takes out the nodes and weights that neither the output nor the vectors need.
    pub(crate) fn remove_dead(&mut self) {
        let mut model = std::mem::replace(&mut self.graph, GraphBuilder::new("")).finish();
        if let Some(graph) = &mut model.graph {
            let outputs = graph.output.len();
            graph.output.push(value_info(self.embeddings.name(), DataType::Float, &[]));
            remove_dead(graph);
            graph.output.truncate(outputs);
        }
        self.graph = GraphBuilder::from_model(model);
    }

    /// What is read instead of `value` after the replacements so far.
    pub(crate) fn current(&self, value: &Value) -> Value {
        let mut value = value;
        while let Some(next) = self.replaced.get(value) {
            value = next;
        }
        value.clone()
    }

    /// Sets a share of the values of `x` to zero at random in each step, and scales up the rest; evaluation and scoring
    /// do not. `per_token`: `x` has a row of `width` values for each token, or else for each text or picture. The zeros are drawn
    /// from the seed and the number of the step, so that a run that goes on after a stop draws the same.
    /// <https://jmlr.org/papers/v15/srivastava14a.html>
    pub fn dropout(&mut self, x: &Value, ratio: f32, width: usize, per_token: bool) -> Value {
        if ratio <= 0.0 || !self.is_training() {
            return x.clone();
        }
        let input = format!("dropout/{}", self.dropouts.len());
        // The usual names, so that the two shapes are known to be equal where the model uses them too.
        let mut dims = vec![Dim::Named("batch"), Dim::Named("sequence"), Dim::Fixed(width)];
        if !per_token {
            dims.remove(1);
        }
        let mask = self.graph.input(&input, DataType::Float, &dims);
        let output = self.graph.mul(x, &mask);
        self.dropouts.push(Dropout {
            input,
            of: x.name().to_owned(),
            output: output.name().to_owned(),
            ratio,
            width,
            per_token,
        });
        output
    }

    /// Drops out a share of the pooled vectors' values while training: a head learns not to lean on a few.
    pub fn dropout_embeddings(&mut self, ratio: f32) {
        let pooled = self.embeddings.clone();
        self.embeddings = self.dropout(&pooled, ratio, self.dimension, false);
    }

    /// Whether something is dropped out.
    pub(crate) fn drops_out(&self) -> bool {
        !self.dropouts.is_empty()
    }

    /// What was declared so far; then nothing is.
    pub(crate) fn take_parameters(&mut self) -> Vec<Parameter> {
        std::mem::take(&mut self.parameters)
    }

    /// The graph for training: without outputs; with its dropouts and the folder of its weights.
    pub(crate) fn into_training(mut self) -> (GraphBuilder, Vec<Dropout>, PathBuf) {
        let outputs = self.graph.graph().output.iter().map(|info| info.name().to_owned()).collect::<Vec<_>>();
        for output in outputs {
            self.graph.take_output(&output);
        }
        (self.graph, self.dropouts, self.folder)
    }

    /// The graph for scoring, with the same output as the version that was opened, and the weights to write it with
    /// (`onnx::file::write`).
    ///
    /// # Errors
    /// A frozen weight does not say where its data is.
    pub fn score(mut self) -> Result<(ModelProto, FrozenWeights), Error> {
        let current = self.graph.graph().output.first().map(|info| info.name().to_owned());
        if let Some(current) = current.filter(|current| *current != self.output) {
            let (old, new) = (self.graph.value(&self.output), self.graph.value(&current));
            let inner = format!("{}/before", self.output);
            self.graph.rename(&old, &inner);
            self.graph.rename(&new, &self.output);
            self.graph.redirect(&new, &old, &[]); // only the declared output still has the name
        }
        let model = self.graph.finish();
        detach(model, &self.folder)
    }

    /// The graph with the pooled vectors, `[batch, dimension]`, as its only output, under the name that is given too, and the
    /// weights to write it with.
    ///
    /// # Errors
    /// A weight does not say where its data is.
    pub(crate) fn into_vectors(mut self) -> Result<(ModelProto, FrozenWeights, String), Error> {
        let outputs = self.graph.graph().output.iter().map(|info| info.name().to_owned()).collect::<Vec<_>>();
        for output in outputs {
            self.graph.take_output(&output);
        }
        let name = self.embeddings.name().to_owned();
        self.graph.output(&name, DataType::Float, &[Dim::Named("batch"), Dim::Fixed(self.dimension)]);
        let (model, weights) = detach(self.graph.finish(), &self.folder)?;
        Ok((model, weights, name))
    }

    /// The graph for scoring with a head on top: its only output is `output`, `[inputs, width]`, under that name.
    ///
    /// # Errors
    /// A frozen weight does not say where its data is.
    pub fn score_head(
        mut self,
        output: &Value,
        name: &str,
        width: usize,
    ) -> Result<(ModelProto, FrozenWeights), Error> {
        let outputs = self.graph.graph().output.iter().map(|info| info.name().to_owned()).collect::<Vec<_>>();
        for output in outputs {
            self.graph.take_output(&output);
        }
        self.graph.rename(&self.embeddings, POOLED);
        // Where the head is the vectors themselves there is one value, under the head's name.
        let output = if *output == self.embeddings { self.graph.value(POOLED) } else { output.clone() };
        self.graph.rename(&output, name);
        self.graph.output(name, DataType::Float, &[Dim::Named("batch"), Dim::Fixed(width)]);
        detach(self.graph.finish(), &self.folder)
    }
}

/// Takes the trained values of one tensor.
fn take(trained: &mut HashMap<String, Vec<f32>>, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
    let wrong = |problem: String| Error::Trained { tensor: name.to_owned(), problem };
    let values = trained.remove(name).ok_or_else(|| wrong("is missing".into()))?;
    let expected = shape.iter().product::<usize>();
    if values.len() == expected {
        Ok(values)
    } else {
        Err(wrong(format!("has {} values where the model has room for {expected} ({shape:?})", values.len())))
    }
}

/// Makes the pooled vectors of a version that ends in a head an output, where there are such vectors.
fn give_pooled(model: &mut ModelProto, manifest: &Manifest) -> Result<(), Error> {
    let made = |node: &NodeProto| node.output.iter().any(|output| output == POOLED);
    match &mut model.graph {
        Some(graph) if manifest.dimension > 0 && graph.node.iter().any(made) => {
            graph.output.retain(|output| output.name() != POOLED);
            let dims = [Dim::Named("batch"), Dim::Fixed(manifest.dimension)];
            graph.output.push(value_info(POOLED, DataType::Float, &dims));
            Ok(())
        }
        _ => {
            let task = manifest.task;
            Err(Error::Encoder(format!(
                "it is a {task} that gives no vectors ('{POOLED}'): train its embedding model instead"
            )))
        }
    }
}

/// Drops all outputs but one and what only they needed.
fn keep_output(model: &mut ModelProto, name: &str) -> Result<(), Error> {
    let Some(graph) = &mut model.graph else { return Err(Error::Encoder("its file has no graph".into())) };
    if !graph.output.iter().any(|output| output.name() == name) {
        let names = graph.output.iter().map(|output| output.name()).collect::<Vec<_>>().join("', '");
        return Err(Error::Encoder(format!("its graph has no output '{name}' (it has '{names}')")));
    }
    graph.output.retain(|output| output.name() == name);
    remove_dead(graph);
    Ok(())
}

/// Calls the only input of a graph of pictures by its usual name, where an exporter called it otherwise.
fn name_pixels(model: &mut ModelProto) {
    let Some(graph) = &mut model.graph else { return };
    let [input] = graph.input.as_mut_slice() else { return };
    let old = input.name.replace(PIXELS.to_owned()).unwrap_or_default();
    let reads = graph.node.iter_mut().flat_map(|node| &mut node.input).filter(|name| **name == old);
    reads.for_each(|name| PIXELS.clone_into(name));
}

/// The input that tells tokens from padding.
fn mask(graph: &GraphBuilder, manifest: &Manifest) -> Result<Value, Error> {
    const MASK: &str = "attention_mask";
    if graph.graph().input.iter().any(|input| input.name() == MASK) {
        return Ok(graph.value(MASK));
    }
    Err(Error::Encoder(format!("its graph has no input '{MASK}', which {} pooling needs", manifest.pooling)))
}

fn detach(mut model: ModelProto, folder: &Path) -> Result<(ModelProto, FrozenWeights), Error> {
    if let Some(graph) = &mut model.graph {
        remove_dead(graph);
    }
    let weights = FrozenWeights::detach(&mut model, folder)?;
    Ok((model, weights))
}

/// Whether an initializer can be trained at all: `f32`, with more than one value.
pub(crate) fn trainable(tensor: &TensorProto) -> bool {
    is_f32(tensor) && !tensor.dims.is_empty() && tensor.dims.iter().product::<i64>() > 1
}
