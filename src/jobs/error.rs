//! What can go wrong with a job's lock and its records. Each message says what to do.

use std::path::{Path, PathBuf};

use super::record::{Record, instant};
use crate::fetch;

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a job cannot run, or its record not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another run of the job is under way.
    #[error("{job} is running already: {}; two runs of a job do not overlap", holder(run.as_deref()))]
    Locked {
        /// The job's file.
        job: String,
        /// The run that has the lock, if it has written its record by now.
        run: Option<Box<Record>>,
    },
    /// A record is not what was written.
    #[error("the record '{}' is damaged ({reason}); remove the file", path.display())]
    Damaged {
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
        let path = path.to_path_buf();
        move |source| Self::File(fetch::Error::Io { action, path, source })
    }
}

fn holder(run: Option<&Record>) -> String {
    match run {
        Some(run) => format!("run {} (process {}) since {}", run.id, run.process, instant(run.started_at)),
        None => "another process has just started it".to_owned(),
    }
}
