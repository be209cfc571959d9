//! What the options of a `finetune` call mean to the parts of a training.
//!
//! Takes [`FinetuneOptions`], which SQL made and checked; gives the options of `data` and `step`.

use debut_udfs::finetune::{FinetuneOptions, Since};

use super::{data, step};
use crate::registry::ModelVersion;
use crate::registry::manifest::Until;

/// Most pairs that one user gives to a contrastive training.
const PAIRS_PER_USER: usize = 32;

/// How the tables become examples. `last` is the version that training goes on from, and where its data ended.
///
/// # Errors
/// A role is named twice, or is none.
pub(super) fn data(options: &FinetuneOptions, last: Option<&(ModelVersion, Until)>) -> data::Result<data::Options> {
    let columns = options.columns.iter().map(|(role, column)| (role.as_str(), column.as_str()));
    Ok(data::Options {
        objective: options.objective.clone(),
        columns: data::Columns::new(columns)?,
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

/// How a step is made.
pub(super) fn step(options: &FinetuneOptions) -> step::Settings {
    step::Settings {
        optimizer: options.optimizer,
        clip: options.clip.map(|clip| clip as f32),
        accumulate: options.accumulate > 1,
        seed: options.seed,
    }
}
