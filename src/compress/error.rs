//! What cannot be compressed: takes a call's options and its base, says why not.

use debut_udfs::compress::{CompressOptions, Format, NAME};
use debut_udfs::model::{Modality, Task};

use super::{half, int8};
use crate::onnx;
use crate::registry::ModelVersion;
use crate::train::failure::{Failure, failed};

/// Fewer texts than this say nothing.
pub(super) const FEWEST_TEXTS: usize = 50;

/// Errors of a call.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(
        "{NAME} makes models smaller that give vectors of texts, and the task of base '{base}' is {task}, it reads {reads}; use a \
         base such as 'all-minilm-l6-v2' (debut.models says what each one is)"
    )]
    NoVectorsOfTexts { base: String, task: Task, reads: String },
    #[error("dimensions is {wanted}, and the vectors of base '{base}' have {has} numbers: give fewer")]
    NotNarrower { base: String, has: usize, wanted: usize },
    #[error(
        "to => 'fp16': the weights of base '{base}' are no f32 numbers any more; leave it out, or compress the model it was made of"
    )]
    NoFloats { base: String },
    #[error(
        "to => 'int8' is not for base '{base}': {reason}; use to => 'fp16' or dimensions, or finetune a student with \
         objective => 'distill'"
    )]
    NoProducts { base: String, reason: &'static str },
    #[error(
        "{NAME} needs {FEWEST_TEXTS} different examples, and there are {found}; give it all texts of the shop, they need no labels"
    )]
    TooFew { found: usize },
    #[error("the model makes no vector of the example '{text}': {reason}")]
    NoVector { text: String, reason: String },
}

/// Fails unless `base` can be compressed like this.
///
/// # Errors
/// It cannot, or its graph cannot be read.
pub(super) fn check(options: &CompressOptions, base: &ModelVersion) -> Result<(), Failure> {
    let manifest = &base.manifest;
    let reference = || base.reference();
    if manifest.task != Task::Embedding || manifest.modality != Modality::Text || manifest.text_tower.is_some() {
        let (task, reads) = (manifest.task, manifest.what_it_reads());
        return Err(failed(Error::NoVectorsOfTexts { base: reference(), task, reads }));
    }
    if let Some(wanted) = options.dimensions.filter(|wanted| *wanted >= manifest.dimension) {
        return Err(failed(Error::NotNarrower { base: reference(), has: manifest.dimension, wanted }));
    }
    if options.to == Some(Format::Int8)
        && let Some(reason) = int8::refusal(base)?
    {
        return Err(failed(Error::NoProducts { base: reference(), reason }));
    }
    if options.to == Some(Format::Fp16) {
        let model = onnx::file::read(&base.graph()).map_err(failed)?;
        if !model.graph.iter().flat_map(|graph| &graph.initializer).any(half::is_halved) {
            return Err(failed(Error::NoFloats { base: reference() }));
        }
    }
    Ok(())
}
