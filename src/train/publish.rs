//! From trained values to a version: takes the base and what was trained on it, gives the version that was published, or
//! why none was. Called by `trainer` at the end.
//!
//! What is compared with the version in use is the new version itself, opened from its own file: a mistake on the way
//! there would show in its metric.

use std::collections::HashMap;

use debut_udfs::finetune::{FinetuneOptions, Keep, Publish};
use debut_udfs::model::Task;

use super::measure::{Ground, Measured, open_encoder};
use super::method::Method;
use super::objective::Product;
use super::parameter::Parameter;
use super::run::info::Outcome;
use super::step::NamedTensor;
use super::tokens::TokenizedTexts;
use super::trainer::{Result, Stopped, failed};
use crate::onnx;
use crate::registry::manifest::{GraphOutput, OutputKind};
use crate::registry::{self, Candidate, ModelVersion};

/// The output of a version with a head.
const LOGITS: &str = "logits";

/// Before the run in the source of a version.
const RUN: &str = ", run ";

/// The run that made a version, if one did.
pub(super) fn run_of(version: &ModelVersion) -> Option<&str> {
    version.manifest.source.rsplit_once(RUN).map(|(_, run)| run)
}

/// All that makes a version.
pub(super) struct Publication<'a> {
    pub(super) options: &'a FinetuneOptions,
    pub(super) base: &'a ModelVersion,
    pub(super) method: &'a Method,
    pub(super) head: &'a [Parameter],
    pub(super) ground: &'a Ground<'a>,
    pub(super) texts: &'a TokenizedTexts,
    /// The run, for the version's source.
    pub(super) run: &'a str,
}

impl Publication<'_> {
    /// Writes a version with these values, and publishes it if the options want that. `in_use` measures the version
    /// that is in use at that moment.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`]; or the values do not fit the base, or the runtime or the disk fails. Nothing is left behind
    /// then.
    pub(super) fn publish(
        &self,
        registry: &registry::Registry,
        values: Vec<NamedTensor>,
        progress: &crate::fetch::Progress<'_>,
        in_use: &dyn Fn(&ModelVersion) -> Result<Option<Measured>, Stopped>,
    ) -> Result<Outcome, Stopped> {
        if self.options.publish == Publish::Never {
            return Ok(Outcome::NotPublished("publish is 'never'".into()));
        }
        let mut refused = None;
        let build = |candidate: &mut Candidate| Ok(self.write(candidate, values)?);
        let wanted = |candidate: &Candidate, current: Option<&ModelVersion>| -> Result<bool, Stopped> {
            let same = current.is_some_and(|current| current.manifest.fingerprint == candidate.manifest.fingerprint);
            self.ground.go_on()?;
            if self.options.publish == Publish::Always || same {
                return Ok(true);
            }
            refused = self.refusal(candidate, current, in_use)?;
            self.ground.go_on()?;
            Ok(refused.is_none())
        };
        let published = registry.publish_trained(&self.options.model, self.base, progress, build, wanted)?;
        Ok(match published {
            Some(version) => Outcome::Published(version.reference()),
            None => Outcome::NotPublished(refused.unwrap_or_default()),
        })
    }

    /// Writes the graph and says what it is.
    fn write(&self, candidate: &mut Candidate, values: Vec<NamedTensor>) -> Result<()> {
        let encoder = open_encoder(&self.base.graph(), &self.base.manifest)?;
        let trained: HashMap<_, _> = values.into_iter().map(|(name, _, values)| (name, values)).collect();
        let delta = self.options.keep == Keep::Delta;
        let export =
            if delta { self.method.export_delta(encoder, trained) } else { self.method.export(encoder, trained) };
        let mut encoder = export.map_err(failed)?;
        let product = self.ground.objective.product();
        let output = encoder.output(&self.base.manifest);
        let manifest = &mut candidate.manifest;
        manifest.source = format!("finetune of {}{RUN}{}", self.base.reference(), self.run);
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

    /// Why the candidate does not become the version in use.
    fn refusal(
        &self,
        candidate: &Candidate,
        current: Option<&ModelVersion>,
        in_use: &dyn Fn(&ModelVersion) -> Result<Option<Measured>, Stopped>,
    ) -> Result<Option<String>, Stopped> {
        let rival = current.unwrap_or(self.base);
        let name = self.ground.objective.metric().name;
        let ours = self.ground.version(&candidate.graph(), &candidate.manifest, self.texts)?;
        let (Some(ours), Some(theirs)) =
            (ours.as_ref().and_then(Measured::metric), in_use(rival)?.as_ref().and_then(Measured::metric))
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
        let role = if current.is_some() { "in use" } else { "the base" };
        let rival = rival.reference();
        Ok(Some(format!("its {name} is {ours:.4}{alone}, and that of {rival}, {role}, {theirs:.4}")))
    }
}
