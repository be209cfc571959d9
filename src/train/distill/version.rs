//! Versions around a distillation: which can teach, what is compared with a student, and a student's own files.

use debut_udfs::finetune::{FinetuneOptions, Publish};
use debut_udfs::model::{Modality, Task};

use super::graph::OUTPUT;
use crate::onnx;
use crate::onnx::file::NoSource;
use crate::onnx::proto::ModelProto;
use crate::registry::manifest::{GraphOutput, OutputKind};
use crate::registry::{Candidate, ModelVersion};
use crate::train::failure::{Result, failed};
use crate::train::objective::overlap::OVERLAP;

/// The architecture of a student.
pub(in crate::train) const STATIC: &str = "static";

/// What cannot be distilled, or not into this name.
#[derive(Debug, thiserror::Error)]
pub(in crate::train) enum Error {
    #[error(
        "base '{base}' is a {task} model, and objective 'distill' learns the vectors of a model of texts; use a base such as \
         'all-minilm-l6-v2' (debut.models says what each one is)"
    )]
    NoVectors { base: String, task: Task },
    #[error(
        "{incumbent}, in use under the same name, is a {task} model that reads {reads}, and the result makes vectors of texts: use \
         publish => 'always' or another name"
    )]
    OtherTask { incumbent: String, task: Task, reads: Modality },
}

/// Checks that `base` makes vectors of texts, and that the result can be compared with what is in use under its name.
///
/// # Errors
/// It does not, or it cannot.
pub(in crate::train) fn check(
    options: &FinetuneOptions,
    base: &ModelVersion,
    in_use: Option<&ModelVersion>,
) -> Result<(), Error> {
    if !base.manifest.task.embeds() {
        return Err(Error::NoVectors { base: base.reference(), task: base.manifest.task });
    }
    comparable(options, in_use)
}

/// The second half of [`check`].
///
/// # Errors
/// The version in use does something else.
pub(super) fn comparable(options: &FinetuneOptions, in_use: Option<&ModelVersion>) -> Result<(), Error> {
    match in_use.filter(|_| options.publish == Publish::IfBetter) {
        Some(version) if version.manifest.task != Task::Embedding || version.manifest.modality != Modality::Text => {
            let (task, reads) = (version.manifest.task, version.manifest.modality);
            Err(Error::OtherTask { incumbent: version.reference(), task, reads })
        }
        _ => Ok(()),
    }
}

/// Writes the graph of a student, and says in the manifest what it is.
///
/// # Errors
/// The disk's.
pub(super) fn write(candidate: &mut Candidate, graph: ModelProto) -> Result<()> {
    let manifest = &mut candidate.manifest;
    (manifest.task, manifest.labels) = (Task::Embedding, Vec::new());
    manifest.architecture = STATIC.to_owned();
    manifest.output = GraphOutput { name: OUTPUT.to_owned(), kind: OutputKind::SentenceEmbedding };
    onnx::file::write(graph, &candidate.graph(), &NoSource).map_err(failed)
}

/// Why a student of the overlap `ours` does not take the place of `in_use`, whose overlap is `theirs`, if it does not.
pub(super) fn refusal(ours: Option<f64>, theirs: Option<f64>, in_use: &str) -> Option<String> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if ours > theirs => None,
        (Some(ours), Some(theirs)) => {
            Some(format!("its {OVERLAP} is {ours:.4}, and that of {in_use}, in use, {theirs:.4}"))
        }
        _ => Some("there is nothing to compare it by".to_owned()),
    }
}
