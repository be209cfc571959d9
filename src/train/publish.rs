//! From an encoder's trained values to a version: takes the base and what was trained on it, gives a candidate's files, and why
//! it does not take the place of the version in use, if it does not.
//!
//! What is compared with the version in use is the new version itself, opened from its own file: a mistake on the way
//! there would show in its metric.

use std::collections::HashMap;

use debut_udfs::finetune::{FinetuneOptions, Keep};
use debut_udfs::model::Task;

use super::failure::{Result, Stopped, failed};
use super::measure::{Ground, Measured, open_encoder};
use super::method;
use super::objective::Product;
use super::parameter::Parameter;
use super::step::NamedTensor;
use super::tokens::TokenizedTexts;
use crate::onnx;
use crate::registry::manifest::{GraphOutput, OutputKind};
use crate::registry::{Candidate, ModelVersion};

/// The output of a version with a head.
const LOGITS: &str = "logits";

/// All that makes a version.
pub(super) struct Publication<'a> {
    pub(super) options: &'a FinetuneOptions,
    pub(super) base: &'a ModelVersion,
    pub(super) head: &'a [Parameter],
    pub(super) ground: &'a Ground<'a>,
    pub(super) texts: &'a TokenizedTexts,
}

impl Publication<'_> {
    /// Writes the graph with these values, and says what it is.
    ///
    /// # Errors
    /// The values do not fit the base, or the disk fails.
    pub(super) fn write(&self, candidate: &mut Candidate, values: Vec<NamedTensor>) -> Result<()> {
        let encoder = open_encoder(&self.base.graph(), &self.base.manifest)?;
        let trained: HashMap<_, _> = values.into_iter().map(|(name, _, values)| (name, values)).collect();
        let delta = self.options.keep == Keep::Delta;
        let method = &self.options.method;
        let export = if delta { method::export_delta } else { method::export };
        let mut encoder = export(method, encoder, trained).map_err(failed)?;
        let product = self.ground.objective.product();
        let output = encoder.output(&self.base.manifest);
        let manifest = &mut candidate.manifest;
        (manifest.task, manifest.labels) = match product {
            Product::Embedding => (Task::Embedding, Vec::new()),
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

    /// Why the candidate does not become the version in use, if it does not. `measure` measures a version.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`], or the runtime fails.
    pub(super) fn refusal(
        &self,
        candidate: &Candidate,
        in_use: Option<&ModelVersion>,
        measure: &dyn Fn(&ModelVersion) -> Result<Option<Measured>, Stopped>,
    ) -> Result<Option<String>, Stopped> {
        let incumbent = in_use.unwrap_or(self.base);
        let name = self.ground.objective.metric().name;
        let ours = self.ground.version(&candidate.graph(), &candidate.manifest, self.texts)?;
        let (Some(ours), Some(theirs)) =
            (ours.as_ref().and_then(Measured::metric), measure(incumbent)?.as_ref().and_then(Measured::metric))
        else {
            return Ok(Some("there is nothing to compare it by".into()));
        };
        tracing::debug!(metric = name, candidate = ours, in_use = theirs, "compared a trained version");
        if self.ground.objective.metric().better(ours, theirs) {
            return Ok(None);
        }
        // Users' vectors are trained too, and a version keeps none: a call for other users has to do without them.
        let alone = if !self.head.is_empty() && self.ground.objective.product() == Product::Embedding {
            ", with users as the means of what they have"
        } else {
            ""
        };
        let role = if in_use.is_some() { "in use" } else { "the base" };
        let incumbent = incumbent.reference();
        Ok(Some(format!("its {name} is {ours:.4}{alone}, and that of {incumbent}, {role}, {theirs:.4}")))
    }
}
