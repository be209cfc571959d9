//! From an encoder's trained values to a version: takes the base and what was trained on it, gives a candidate's files, and whether
//! it takes the place of the version in use.
//!
//! What is compared with the version in use is the new version itself, opened from its own file: a mistake on the way
//! there would show in its metric. A version of two towers is compared as they are together.

use std::collections::HashMap;

use debut_udfs::finetune::{FinetuneOptions, Keep};
use debut_udfs::model::Task;

use super::failure::{Result, Stopped, failed};
use super::fusion::Towers;
use super::inputs::Inputs;
use super::interval;
use super::measure::{Ground, Measured, open_encoder};
use super::method;
use super::objective::{Product, text_image};
use super::parameter::Parameter;
use super::step::NamedTensor;
use crate::onnx;
use crate::onnx::join::{IMAGE, TEXT, within_part};
use crate::registry::manifest::{GraphOutput, OutputKind};
use crate::registry::{Candidate, ModelVersion};

/// The output of a version with a head.
const LOGITS: &str = "logits";

/// Name and values of each parameter.
type Trained = HashMap<String, Vec<f32>>;

/// How a candidate compares with the version in use.
#[derive(Debug)]
pub(super) struct Comparison {
    /// Whether it takes its place.
    pub(super) better: bool,
    /// By what, for people.
    pub(super) words: String,
}

/// All that makes a version.
pub(super) struct Publication<'a> {
    pub(super) options: &'a FinetuneOptions,
    pub(super) base: &'a ModelVersion,
    /// Those of the base, where both are trained.
    pub(super) towers: Option<&'a Towers>,
    pub(super) head: &'a [Parameter],
    pub(super) ground: &'a Ground<'a>,
    /// What versions read.
    pub(super) inputs: &'a dyn Inputs,
}

impl Publication<'_> {
    /// Writes the graph with these values, and says what it is.
    ///
    /// # Errors
    /// The values do not fit the base, or the disk fails.
    pub(super) fn write(&self, candidate: &mut Candidate, values: Vec<NamedTensor>) -> Result<()> {
        let trained: Trained = values.into_iter().map(|(name, _, values)| (name, values)).collect();
        match self.towers {
            Some(towers) => self.write_towers(candidate, towers, trained),
            None => self.write_encoder(candidate, self.base, trained),
        }
    }

    /// Writes each tower with what was trained of it.
    fn write_towers(&self, candidate: &mut Candidate, towers: &Towers, trained: Trained) -> Result<()> {
        let tower = text_image::trained_tower(&trained).map_err(failed)?;
        let (mut of_texts, mut of_images) = (Trained::new(), Trained::new());
        for (name, values) in trained {
            match within_part(&name) {
                (Some(TEXT), own) => of_texts.insert(own.to_owned(), values),
                (Some(IMAGE), own) => of_images.insert(own.to_owned(), values),
                _ => None,
            };
        }
        self.write_encoder(candidate, &towers.images, of_images)?;
        let texts = candidate.add_text_tower(&towers.texts, tower).map_err(failed)?;
        self.write_encoder(texts, &towers.texts, of_texts)
    }

    /// Writes the graph of `base` with what was trained of it.
    fn write_encoder(&self, candidate: &mut Candidate, base: &ModelVersion, trained: Trained) -> Result<()> {
        let encoder = open_encoder(&base.graph(), &base.manifest)?;
        let delta = self.options.keep == Keep::Delta;
        let method = &self.options.method;
        let export = if delta { method::export_delta } else { method::export };
        let mut encoder = export(method, encoder, trained).map_err(failed)?;
        let product = self.ground.objective.product();
        let output = encoder.output(&base.manifest);
        let manifest = &mut candidate.manifest;
        (manifest.task, manifest.labels) = match product {
            Product::Embedding | Product::TwoTowers => (Task::Embedding, Vec::new()),
            Product::Classification { labels } => (Task::Classification, labels),
            Product::Regression => (Task::Regression, Vec::new()),
        };
        let (mut graph, weights) = if manifest.task == Task::Embedding {
            manifest.output = output;
            encoder.score().map_err(failed)?
        } else {
            manifest.output = GraphOutput { name: LOGITS.into(), kind: OutputKind::Logits };
            let head = self.head.iter().map(|parameter| encoder.declare(parameter.clone()));
            let head = head.collect::<Result<Vec<_>, _>>().map_err(failed)?;
            let embeddings = encoder.embeddings.clone();
            let logits = self.ground.objective.score(&mut encoder.graph, &embeddings, &head);
            let width = manifest.labels.len().max(1);
            encoder.score_head(&logits.unwrap_or(embeddings), LOGITS, width).map_err(failed)?
        };
        if delta {
            let folder = candidate.graph();
            weights.link(&mut graph, folder.parent().unwrap_or(&folder)).map_err(failed)?;
        }
        onnx::file::write(graph, &candidate.graph(), &weights).map_err(failed)
    }

    /// Whether the candidate takes the place of the version in use. `measure` measures a version.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`], or the runtime fails.
    pub(super) fn compare(
        &self,
        candidate: &Candidate,
        in_use: Option<&ModelVersion>,
        measure: &dyn Fn(&ModelVersion) -> Result<Option<Measured>, Stopped>,
    ) -> Result<Comparison, Stopped> {
        let incumbent = in_use.unwrap_or(self.base);
        let metric = self.ground.objective.metric();
        let name = metric.name;
        let of_ours = match self.towers {
            Some(_) => measure(&candidate.version(&self.options.model))?,
            None => self.ground.version(&candidate.graph(), &candidate.manifest, self.inputs, None)?,
        };
        let of_theirs = measure(incumbent)?;
        let both = of_ours.as_ref().zip(of_theirs.as_ref());
        let values = both.and_then(|(ours, theirs)| Some((ours, theirs, ours.metric()?, theirs.metric()?)));
        let Some((of_ours, of_theirs, ours, theirs)) = values else {
            return Ok(Comparison { better: false, words: "there is nothing to compare it by".into() });
        };
        tracing::debug!(metric = name, candidate = ours, in_use = theirs, "compared a trained version");
        let mut better = metric.better(ours, theirs);
        let mut interval = String::new();
        // A version that goes on from the one in use replaces it for what is more than chance.
        if self.options.goes_on() {
            let (objective, seed) = (self.ground.objective, self.options.seed);
            let found = interval::difference(objective, self.ground.batches, of_ours, of_theirs, seed);
            better = found.is_some_and(|(low, _)| low > 0.0);
            interval = match found {
                Some((low, high)) => format!("; it is better by {low:.4} to {high:.4} (95% interval)"),
                None => "; there are too few validation examples for an interval".to_owned(),
            };
        }
        // Users' vectors are trained too, and a version keeps none: a call for other users has to do without them.
        let alone = if !self.head.is_empty() && self.ground.objective.product() == Product::Embedding {
            ", with users as the means of what they have"
        } else {
            ""
        };
        let role = if in_use.is_some() { "in use" } else { "the base" };
        let incumbent = incumbent.reference();
        let words = format!("its {name} is {ours:.4}{alone}, and that of {incumbent}, {role}, {theirs:.4}{interval}");
        Ok(Comparison { better, words })
    }
}
