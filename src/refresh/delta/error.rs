//! Why a Delta table could not be refreshed.

use std::path::PathBuf;

use deltalake_core::DeltaTableError;

/// The reasons that other tables do not have.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Somebody else wrote into the table.
    #[error(
        "refresh: somebody else changed the Delta table '{}' since its version {version}: {what}. Only refresh(...) writes \
         into its tables: bring that version back with RESTORE, or remove the table and '{}' to make it anew",
        target.display(), root.display()
    )]
    Changed { target: PathBuf, root: PathBuf, version: u64, what: String },
    /// The log cannot be read or written.
    #[error("refresh: cannot {action} the Delta table '{}': {source}", target.display())]
    Log { action: &'static str, target: PathBuf, source: Box<DeltaTableError> },
    /// A column that Delta does not hold.
    #[error("refresh: a Delta table cannot have the column {column}: {why}")]
    Column { column: String, why: String },
    /// Delta's types cannot be made of ours, which would be our mistake.
    #[error("refresh: the columns of the Delta table: {0}")]
    Columns(#[from] arrow::error::ArrowError),
}
