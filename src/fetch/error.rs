//! What can go wrong on the way from somewhere else to the disk. Each message says what to do.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with a file or a download.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system said no.
    #[error("cannot {action} '{}': {source}{}", path.display(), cure(source))]
    Io {
        /// What was being done: `read`, `write`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Something is missing and may not be fetched.
    #[error("{what} is not installed, and debut.offline forbids downloading it: {cure}")]
    Offline {
        /// What is missing.
        what: String,
        /// How to provide it.
        cure: String,
    },
    /// There is no build of a package for this machine.
    #[error("there is no build of {package} for {os} on {arch}: {cure}")]
    Platform {
        /// The package and its version.
        package: String,
        /// The operating system.
        os: &'static str,
        /// The processor.
        arch: &'static str,
        /// What to do instead.
        cure: String,
    },
    /// Neither `python3` nor `python` can run `pip`.
    #[error(
        "{what} is downloaded with Python's pip, which was not found ({tried}): install Python with pip, or {cure}"
    )]
    NoPip {
        /// What was to be fetched.
        what: String,
        /// The commands that were tried, each with what it said.
        tried: String,
        /// What to do instead.
        cure: String,
    },
    /// `pip` could not download the wheel.
    #[error("pip could not download {what}: {reason}\nCheck the network and pip's own configuration, or {cure}")]
    Pip {
        /// The package and its version.
        what: String,
        /// The end of what pip said.
        reason: String,
        /// What to do instead.
        cure: String,
    },
    /// A file is not the one that was asked for.
    #[error(
        "'{}' has the SHA-256 {found} instead of {expected}: it is damaged or not the file that Debut was tested with; \
         it was not used",
        path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What it should be, in hexadecimal.
        expected: String,
        /// What it is, in hexadecimal.
        found: String,
    },
    /// A wheel that cannot be unpacked.
    #[error("'{}' is not a readable wheel: {reason}", path.display())]
    Archive {
        /// The wheel.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A text that should name a repository.
    #[error("'{text}' does not name a model of Hugging Face ({reason}): write hf:owner/name or hf:owner/name@revision")]
    Reference {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Hugging Face, or what stands in its place, did not give what was asked for.
    #[error("cannot get {what} of '{repository}' from {endpoint}: {source}{hint}")]
    Hub {
        /// The file or the list of files.
        what: String,
        /// `owner/name@revision`.
        repository: String,
        /// Where it was looked for.
        endpoint: String,
        /// The reason.
        source: Box<hf_hub::api::sync::ApiError>,
        /// What to do, with the punctuation before it.
        hint: &'static str,
    },
    /// A repository without anything that can be imported.
    #[error("'{repository}' has {reason}")]
    Repository {
        /// `owner/name@revision`.
        repository: String,
        /// What is missing.
        reason: String,
    },
    /// There is no folder for the cache of Hugging Face.
    #[error("no folder for the cache of Hugging Face: neither HF_HUB_CACHE, HF_HOME nor a home folder is set")]
    NoCache,
}

impl Error {
    /// For `map_err` at a file operation.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

/// What to do about an error of the file system, with the punctuation before it.
fn cure(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; the disk is full: free some space or point DEBUT_HOME to another disk"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; change the permissions or point DEBUT_HOME to a folder that you may write to"
        }
        _ => "",
    }
}
