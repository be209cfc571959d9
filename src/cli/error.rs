//! What went wrong, in one clean message, and the exit status that says so.
//!
//! Takes errors of every part; gives text for people.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use datafusion::common::DataFusionError;

use super::note;
use crate::engine::describe::{chain, describe};

/// Results of the command line.
pub(super) type Result<T, E = CliError> = std::result::Result<T, E>;

/// Why a command did not end well.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The engine refused or failed.
    #[error("{}", describe(.0))]
    Query(#[source] Box<DataFusionError>),
    /// The same, for one of several statements.
    #[error("statement {number} (line {line}): {source}")]
    Statement {
        /// Which, counted from 1.
        number: usize,
        /// Where it starts, counted from 1.
        line: u64,
        /// What happened.
        source: Box<CliError>,
    },
    /// A file could not be read or written.
    #[error("cannot {action} '{}': {source}", path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The command line and the SQL do not fit together.
    #[error("{0}")]
    Usage(String),
    /// Another part of Debut failed.
    #[error("{}", chain(.0.as_ref()))]
    Part(#[source] Box<dyn Error + Send + Sync>),
    /// Who read stdout has gone: nothing to say.
    #[error("stdout is closed")]
    Closed,
    /// A signal stopped the work.
    #[error("cancelled")]
    Interrupted(u8),
    /// It may go well later: another run has the lock, or an object store does not answer.
    #[error("{0}")]
    Temporary(String),
    /// A mistake of ours; the panic hook has described it.
    #[error("the work stopped because of a bug in Debut")]
    Internal,
}

impl CliError {
    /// An error of the engine.
    pub(super) fn query(error: DataFusionError) -> Self {
        Self::Query(Box::new(error))
    }

    /// An error of another part.
    pub(super) fn part(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Part(Box::new(error))
    }

    /// Says it on stderr; gives the exit status.
    pub(super) fn report(&self) -> ExitCode {
        match self.shown() {
            Self::Closed => {}
            Self::Interrupted(_) => note("cancelled"),
            shown => note(format_args!("error: {shown}")),
        }
        ExitCode::from(self.status())
    }

    /// The exit status: 2 for a wrong command line, 75 for what may go well later (`EX_TEMPFAIL` of `sysexits.h`), 128 and the
    /// signal's number, else 1.
    pub(super) fn status(&self) -> u8 {
        match self.shown() {
            Self::Closed => 0,
            Self::Interrupted(signal) => 128 + signal,
            Self::Usage(_) => 2,
            Self::Temporary(_) => 75,
            _ => 1,
        }
    }

    /// Whether who read stdout has gone.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.shown(), Self::Closed)
    }

    /// The error without the number of its statement, where that does not matter.
    fn shown(&self) -> &Self {
        match self {
            Self::Statement { source, .. } if matches!(**source, Self::Closed | Self::Interrupted(_)) => source,
            error => error,
        }
    }
}

impl From<DataFusionError> for CliError {
    fn from(error: DataFusionError) -> Self {
        Self::query(error)
    }
}
