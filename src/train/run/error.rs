//! What can go wrong with runs on disk. Each message names the run or the file and the cure.

use std::path::{Path, PathBuf};

use crate::fetch;

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors of training runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No run is called so.
    #[error("there is no training run '{text}': {}", hint(newest))]
    Unknown {
        /// What was asked for.
        text: String,
        /// The newest runs there are.
        newest: Vec<String>,
    },
    /// More than one run begins so.
    #[error("'{text}' is the beginning of several training runs ({}): write more of it", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// The runs that begin so.
        candidates: Vec<String>,
    },
    /// Another process, or another query of this one, trains the same right now.
    #[error("training run {id} does exactly this right now: wait for it, or cancel it and call again to resume it")]
    InUse {
        /// The run.
        id: String,
    },
    /// A file of a run that cannot be understood.
    #[error("training run {id} is damaged: '{}' {reason}; remove its folder if nothing else in it is of use", path.display())]
    Damaged {
        /// The run.
        id: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system said no.
    #[error(transparent)]
    File(#[from] fetch::Error),
}

impl Error {
    /// For `map_err` at a file operation.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let error = fetch::Error::io(action, path);
        move |source| Self::File(error(source))
    }

    /// A file in the folder of a run that is not as it was written.
    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        Self::Damaged { id: folder.to_string_lossy().into_owned(), path: path.to_path_buf(), reason: reason.into() }
    }
}

fn hint(newest: &[String]) -> String {
    match newest {
        [] => "nothing was trained yet; CALL finetune(...) does".to_owned(),
        some => format!("the newest are {}; SELECT * FROM debut.training_runs has all", some.join(", ")),
    }
}
