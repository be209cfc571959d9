//! A table on disk that follows a query: which of its rows are known, and how a version of it is replaced by the next.
//!
//! Takes rows with keys; gives a folder of Parquet files in which all of them are, or the ones that were there before. What runs
//! the query is the engine's (`engine::refresh`).
//!
//! # Layout, for the target `out/vectors`
//! - `out/vectors`: a symbolic link to `.vectors.refresh/versions/7`, which holds the Parquet files of version 7 and nothing
//!   else. Replacing the link is the one step that makes a version the one in use.
//! - `out/.vectors.refresh/manifests/7/`: `manifest.json` says which files version 7 has and what made them, `state.parquet` the
//!   digest and the file of each row. Both are on disk before the link is.
//! - `out/.vectors.refresh/staging/`: files of rows that were computed for the next version. What a killed refresh left there is
//!   used by the next one, if its rows are still wanted.
//! - `out/.vectors.refresh/lock`: held by the refresh at work.
//!
//! A Delta table is a folder, `out/vectors`, in which the files of all versions that are kept are, and `_delta_log`, whose last entry
//! says which of them the version in use has; everything else is the same.
//!
//! # Files
//! [`digest`]: rows as 128 bits; [`ledger`]: what is known of each key; [`compare`]: which rows of a batch have to be computed;
//! [`manifest`]: what made a version; [`part`]: one Parquet file; [`storage`]: the types in it; [`versions`]: how a version becomes the
//! one in use, for a folder of Parquet files by a [`link`], for a Delta table by its log (`delta`); [`folder`]: lock, manifests and
//! what is staged; [`table`]: a refresh until all rows are there; [`compact`]: parts without what is gone, and few of them;
//! [`commit`]: the next version takes its place.

pub(crate) mod commit;
mod compact;
pub(crate) mod compare;
#[cfg(feature = "delta")]
pub(crate) mod delta;
pub(crate) mod digest;
mod folder;
pub(crate) mod ledger;
mod link;
pub(crate) mod manifest;
mod part;
mod storage;
pub(crate) mod table;
#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests;
mod versions;

use std::path::PathBuf;

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::parquet::errors::ParquetError;

/// Why a table could not be refreshed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file system's.
    #[error("refresh: cannot {action} '{}': {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    /// A file of ours cannot be read or written as Parquet.
    #[error("refresh: '{}': {source}", path.display())]
    Parquet { path: PathBuf, source: ParquetError },
    /// Rows that cannot be put together.
    #[error("refresh: {0}")]
    Arrow(#[from] ArrowError),
    /// The file system, or the system, has no symbolic links.
    #[error(
        "refresh: '{}' cannot be made: it is a symbolic link, so that readers see the old rows or the new ones, and here \
         there are none: {source}", target.display()
    )]
    NoLink { target: PathBuf, source: std::io::Error },
    /// Somebody else is at work.
    #[error("refresh: '{}' is being refreshed by another process or statement; wait until it has ended", .0.display())]
    Locked(PathBuf),
    /// The target is somebody else's.
    #[error("refresh: '{}' is there already, and was not made by refresh; choose another target", .0.display())]
    Foreign(PathBuf),
    /// The target is a table of another format.
    #[error(
        "refresh: '{}' is {found}, and format => '{asked}' would make another table of it; choose another target, or the format \
         that it has", target.display()
    )]
    OtherFormat { target: PathBuf, found: &'static str, asked: &'static str },
    /// A Delta table's.
    #[cfg(feature = "delta")]
    #[error(transparent)]
    Delta(#[from] delta::Error),
    /// A value that a column of the table cannot have.
    #[error("refresh: the column {column} has a value that cannot be stored as {to}: {reason}")]
    Value { column: String, to: DataType, reason: String },
    /// A row without a key.
    #[error("refresh: the key {0} is NULL in a row; every row has a key")]
    NullKey(String),
    /// Two rows of one key.
    #[error("refresh: the key {key} = {value} names two rows of the source; every row has a key of its own")]
    DuplicateKey { key: String, value: String },
    /// A type that has no digest.
    #[error("refresh: the columns cannot be compared: {0}")]
    Type(String),
    /// A mistake of ours.
    #[error("refresh: {0} (a bug in Debut)")]
    Internal(&'static str),
}

impl Error {
    fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    fn parquet(path: impl Into<PathBuf>) -> impl FnOnce(ParquetError) -> Self {
        let path = path.into();
        move |source| Self::Parquet { path, source }
    }
}

impl From<Error> for datafusion::common::DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

type Result<T, E = Error> = std::result::Result<T, E>;
