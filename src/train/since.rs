//! What `since => 'last'` goes on from: takes the model of a call, gives its version in use and the moment at which that
//! version's training data ends.

use debut_udfs::finetune::{FinetuneOptions, Objective};

use super::failure::{Result, failed};
use crate::inference::Models;
use crate::registry::ModelVersion;
use crate::registry::manifest::{Training, Until};

/// Why a training cannot go on from the version in use.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(
        "since => 'last' goes on from the version of '{0}' that is in use, and there is none; train it without since first"
    )]
    NoVersion(String),
    #[error(
        "since => 'last': {0} does not say when its training data ended: it was imported, trained on rows without a \
         timestamp, or published by a version of Debut that did not write it down; say since => 'a time' and base => '{0}'"
    )]
    NoMoment(String),
    #[error(
        "since => 'last' goes on from {version}, which was trained with {option} => '{theirs}', and this call says \
         '{ours}'; say {option} => '{theirs}', or train anew without since"
    )]
    Changed { version: String, option: &'static str, theirs: String, ours: String },
}

/// The version in use, and the first moment of which its training knew nothing. For calls that go on from it.
///
/// # Errors
/// There is no version in use, it does not say when its data ended, or it was trained with another objective or method.
pub(crate) fn last(models: &Models, options: &FinetuneOptions) -> Result<(ModelVersion, Until)> {
    let in_use = models.registry().in_use(&options.model).map_err(failed)?;
    let version = in_use.ok_or_else(|| failed(Error::NoVersion(options.model.clone())))?;
    let Some(Training { objective, method, until }) = &version.manifest.training else {
        // Recommenders have always said when their data ended, and were all trained alike.
        let is_recommender = matches!(options.objective, Objective::Recommend { .. });
        if let (true, Some(until)) = (is_recommender, version.manifest.trained_until) {
            return Ok((version, Until::Time(until)));
        }
        return Err(failed(Error::NoMoment(version.reference())));
    };
    let ours = [("objective", options.objective.name(), objective), ("method", options.method.name(), method)];
    if let Some((option, ours, theirs)) = ours.into_iter().find(|(_, ours, theirs)| ours != theirs) {
        let (version, theirs, ours) = (version.reference(), theirs.clone(), ours.to_owned());
        return Err(failed(Error::Changed { version, option, theirs, ours }));
    }
    let until = until.ok_or_else(|| failed(Error::NoMoment(version.reference())))?;
    Ok((version, until))
}
