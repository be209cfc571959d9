//! What the options of a `finetune` call mean to the parts of a training.
//!
//! Takes [`FinetuneOptions`], which SQL made and checked; gives the options of `data` and `step`.

use debut_udfs::finetune::{Augment, FinetuneOptions, Since};
use debut_udfs::model::Modality;

use super::{data, step};
use crate::inference::image::Augmentation;
use crate::registry::ModelVersion;
use crate::registry::manifest::Until;

/// Most pairs that one user gives to a contrastive training.
const PAIRS_PER_USER: usize = 32;

/// How the tables become examples, of which `base` is trained. `last` is the version that training goes on from, and where its data ended.
///
/// # Errors
/// A role is named twice, or is none.
pub(super) fn data(
    options: &FinetuneOptions,
    base: &ModelVersion,
    last: Option<&(ModelVersion, Until)>,
) -> data::Result<data::Options> {
    Ok(data::Options {
        objective: options.objective.clone(),
        base: base.reference(),
        modality: base.manifest.modality,
        columns: columns(options)?,
        split: options.split,
        validation: options.validation,
        since: match (&options.since, last) {
            (Some(Since::Time(time)), _) => Some(data::Since::Time(time.clone())),
            (Some(Since::Last), Some((version, until))) => {
                Some(data::Since::Version { version: version.reference(), until: *until })
            }
            _ => None,
        },
        labels: last.map(|(version, _)| version.manifest.labels.clone()).unwrap_or_default(),
        replay: options.replay,
        pairs_per_user: PAIRS_PER_USER,
        seed: options.seed,
    })
}

/// Which column is what.
///
/// # Errors
/// A role is named twice, or is none.
pub(super) fn columns(options: &FinetuneOptions) -> data::Result<data::Columns> {
    data::Columns::new(options.columns.iter().map(|(role, column)| (role.as_str(), column.as_str())))
}

/// How a step is made.
pub(super) fn step(options: &FinetuneOptions) -> step::Settings {
    step::Settings {
        optimizer: options.optimizer,
        clip: options.clip.map(|clip| clip as f32),
        accumulate: options.accumulate > 1,
        seed: options.seed,
    }
}

/// What may be done to pictures that are trained on.
pub(super) fn augmentation(options: &FinetuneOptions) -> Augmentation {
    let augment = options.augment.unwrap_or(Augment::Flip);
    Augmentation {
        flip: augment != Augment::None,
        crop: matches!(augment, Augment::Crop | Augment::Full),
        color: augment == Augment::Full,
    }
}

/// Fails where an option says something of inputs that `base` does not read.
///
/// # Errors
/// Names the option.
pub(super) fn check_inputs(options: &FinetuneOptions, base: &ModelVersion) -> Result<(), OtherInputs> {
    let given = match base.manifest.modality {
        Modality::Text => options.augment.map(|_| ("augment", "pictures", "texts")),
        Modality::Bytes => options.max_tokens.map(|_| ("max_tokens", "texts", "pictures")),
        Modality::TextAndBytes => None,
    };
    match given {
        Some((option, of, reads)) => Err(OtherInputs { option, of, base: base.reference(), reads }),
        None => Ok(()),
    }
}

/// An option that nothing reads.
#[derive(Debug, thiserror::Error)]
#[error("{option} is for {of}, and base '{base}' reads {reads}; leave it out")]
pub(super) struct OtherInputs {
    option: &'static str,
    of: &'static str,
    base: String,
    reads: &'static str,
}
