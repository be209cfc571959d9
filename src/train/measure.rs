//! How good a version is at an objective: takes its graph, gives loss and metrics over the validation batches.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use super::encoder::Encoder;
use super::failure::{Result, Stopped, failed};
use super::inputs::{Inputs, Vectors, View, ahead};
use super::objective::{Batch, Embeddings, Objective, Score, Scored};
use super::parameter::Parameter;
use super::run::top_losses::{MOST, TopLoss};
use super::run::{Run, metrics};
use super::step::{Feed, ForwardSession};
use super::weights;
use crate::inference::runtime::{Runtime, Target};
use crate::onnx;
use crate::registry::ModelVersion;
use crate::registry::manifest::Manifest;

/// Texts or pictures that are embedded at a time.
const EMBED_SIZE: usize = 64;

/// A head's parameters, and the values of each by name.
type Head = (Vec<Parameter>, HashMap<String, Vec<f32>>);

/// What versions are measured with.
pub(super) struct Ground<'a> {
    pub(super) runtime: &'static Runtime,
    pub(super) target: &'a Target,
    pub(super) objective: &'a dyn Objective,
    /// The validation batches; there may be none.
    pub(super) batches: &'a [Batch],
    /// Asked before every batch.
    pub(super) stop: &'a (dyn Fn() -> bool + Sync),
}

/// How good something is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    /// The mean loss over the validation examples.
    pub(super) loss: f64,
    /// The objective's metric and what else it gives, the metric first.
    pub(super) scores: Vec<Score>,
    /// What the graph gave for each validation batch.
    pub(super) outputs: Vec<Vec<Vec<f32>>>,
}

impl Measured {
    /// The metric.
    pub(super) fn metric(&self) -> Option<f64> {
        self.scores.first().map(|score| score.value)
    }

    /// Writes it down as what the run was at this step.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn log(&self, run: &mut Run, epoch: u64, step: u64) -> Result<()> {
        let scores = self.scores.iter().map(|score| (score.name, score.value));
        let values = [(metrics::VALIDATION_LOSS, self.loss)].into_iter().chain(scores).collect::<Vec<_>>();
        run.log(epoch, step, &values).map_err(failed)
    }
}

impl Ground<'_> {
    /// The vectors of rows, each computed once, by an encoder as it is, not normalised.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`]; or a row cannot be read, or the runtime fails.
    pub(super) fn embed(&self, encoder: Encoder, inputs: &dyn Inputs, rows: &[u32]) -> Result<Vectors, Stopped> {
        let mut rows = rows.to_vec();
        rows.sort_unstable();
        rows.dedup();
        let dimension = encoder.dimension;
        let mut values = Vec::with_capacity(rows.len() * dimension);
        if !rows.is_empty() {
            let outputs = [encoder.embeddings.clone()];
            let mut session = self.open(encoder, &outputs)?;
            let chunks = rows.chunks(EMBED_SIZE).collect::<Vec<_>>();
            let read = |chunk: usize| inputs.feeds(chunks[chunk], View::AsIs);
            ahead(chunks.len(), read, |_, feeds| {
                self.check_cancelled()?;
                values.extend(session.run(&feeds).map_err(failed)?.into_iter().flatten());
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(Vectors::new(dimension, &rows, values))
    }

    /// Measures a version: its graph is in the file `graph`. Its head is the one that it was trained with, or else the
    /// one that training would begin with on its vectors of the objective's base inputs; `vectors` are these, where they are
    /// known already. `None` without validation examples.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`]; or the graph cannot be read, has no vectors, or the runtime fails.
    pub(super) fn version(
        &self,
        graph: &Path,
        manifest: &Manifest,
        inputs: &dyn Inputs,
        vectors: Option<&Vectors>,
    ) -> Result<Option<Measured>, Stopped> {
        if self.batches.is_empty() {
            return Ok(None);
        }
        let (head, values) = match self.trained_head(graph, manifest)? {
            Some(trained) => trained,
            None => {
                let rows = self.objective.base_inputs();
                let base = match vectors {
                    Some(vectors) => vectors.of(&rows),
                    None => self.embed(open_encoder(graph, manifest)?, inputs, &rows)?.of(&rows),
                };
                let head = self.objective.parameters(&base);
                let first = head.iter().map(|parameter| (parameter.name.clone(), parameter.values.clone())).collect();
                (head, first)
            }
        };
        let mut encoder = open_encoder(graph, manifest)?.with_values(values);
        let head = head.into_iter().map(|parameter| encoder.declare(parameter)).collect::<Result<Vec<_>, _>>();
        let head = head.map_err(failed)?;
        let embeddings = encoder.embeddings.clone();
        let forward = self.objective.loss(&mut encoder.graph, &embeddings, &head);
        let outputs = [&[forward.loss][..], &forward.outputs].concat();
        let mut session = self.open(encoder, &outputs)?;
        let mut results = Vec::with_capacity(self.batches.len());
        self.each_batch(inputs, |feeds| {
            let mut outputs = session.run(&feeds).map_err(failed)?;
            let rest = outputs.split_off(1);
            let loss = outputs.into_iter().flatten().next().unwrap_or(f32::NAN);
            results.push((loss, rest));
            Ok(())
        })?;
        Ok(self.summarize(&results))
    }

    /// Hands over what each validation batch gives to a graph, in their order.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`]; or a row cannot be read, or `run` fails.
    pub(super) fn each_batch(
        &self,
        inputs: &dyn Inputs,
        mut run: impl FnMut(Vec<Feed>) -> Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        let batches = self.batches;
        ahead(
            batches.len(),
            |index| inputs.batch(&batches[index], View::AsIs),
            |_, feeds| {
                self.check_cancelled()?;
                run(feeds)?;
                Ok(ControlFlow::Continue(()))
            },
        )
    }

    /// Puts the loss and outputs of each validation batch together.
    pub(super) fn summarize(&self, results: &[(f32, Vec<Vec<f32>>)]) -> Option<Measured> {
        if results.is_empty() {
            return None;
        }
        let scored = self.batches.iter().zip(results).map(|(batch, (_, outputs))| Scored { batch, outputs });
        let scores = self.objective.evaluate(&scored.collect::<Vec<_>>());
        let weights = self.batches.iter().map(|batch| f64::from(batch.weight));
        let (sum, total) = weights
            .zip(results)
            .fold((0.0, 0.0), |(sum, total), (weight, (loss, _))| (sum + weight * f64::from(*loss), total + weight));
        let outputs = results.iter().map(|(_, outputs)| outputs.clone()).collect();
        Some(Measured { loss: if total > 0.0 { sum / total } else { f64::NAN }, scores, outputs })
    }

    /// The held-out examples on which what was measured has the highest losses.
    pub(super) fn top_losses(&self, measured: &Measured) -> Vec<TopLoss> {
        let scored = self.batches.iter().zip(&measured.outputs).map(|(batch, outputs)| Scored { batch, outputs });
        self.objective.top_losses(&scored.collect::<Vec<_>>(), MOST)
    }

    /// # Errors
    /// [`Stopped::Cancelled`].
    pub(super) fn check_cancelled(&self) -> Result<(), Stopped> {
        if (self.stop)() { Err(Stopped::Cancelled) } else { Ok(()) }
    }

    /// The head that a version was trained with, as this objective has it, if it is one of the same kind.
    fn trained_head(&self, graph: &Path, manifest: &Manifest) -> Result<Option<Head>> {
        let trained = |stored: &Stored<'_>| self.objective.trained_head(stored, &manifest.labels);
        let Some(values) = with_initializers(graph, trained)? else { return Ok(None) };
        let head = self.objective.parameters(&Embeddings { dimension: manifest.dimension, values: Vec::new() });
        let fits = head.iter().all(|parameter| {
            values.get(&parameter.name).is_some_and(|values| values.len() == parameter.shape.iter().product::<usize>())
        });
        Ok(fits.then_some((head, values)))
    }

    /// A head that goes on from the one of `version`.
    ///
    /// # Errors
    /// The version's graph cannot be read.
    pub(super) fn continued_head(&self, version: &ModelVersion, head: Vec<Parameter>) -> Result<Vec<Parameter>> {
        let labels = &version.manifest.labels;
        with_initializers(&version.graph(), |stored| self.objective.continued_head(stored, labels, head))
    }

    fn open(&self, encoder: Encoder, outputs: &[crate::onnx::graph::Value]) -> Result<ForwardSession> {
        ForwardSession::open(encoder, outputs, self.runtime.environment(), self.target).map_err(failed)
    }
}

/// The values of a graph's initializers by name.
type Stored<'a> = dyn Fn(&str) -> Option<Vec<f32>> + 'a;

/// What `read` makes of the initializers of the graph in a file.
fn with_initializers<T>(graph: &Path, read: impl FnOnce(&Stored<'_>) -> T) -> Result<T> {
    let folder = graph.parent().unwrap_or(Path::new("."));
    let model = onnx::file::read(graph).map_err(failed)?;
    let initializers = model.graph.iter().flat_map(|graph| &graph.initializer);
    let by_name: HashMap<&str, _> = initializers.map(|tensor| (tensor.name(), tensor)).collect();
    Ok(read(&|name| by_name.get(name).and_then(|tensor| weights::values(tensor, folder).ok())))
}

/// Opens the encoder in the file of a version's graph.
///
/// # Errors
/// The file cannot be read, or gives no vectors.
pub(crate) fn open_encoder(graph: &Path, manifest: &Manifest) -> Result<Encoder> {
    let model = onnx::file::read(graph).map_err(failed)?;
    Encoder::open(model, graph.parent().unwrap_or(Path::new(".")), manifest).map_err(failed)
}
