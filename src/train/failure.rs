//! How a training ends before it is done: [`Stopped`], because nobody wants it any more or because of a [`Failure`], which is
//! any error of any part.

use std::error::Error;
use std::fmt::{self, Display};

use crate::cancellation::Cancelled;
use crate::linalg;

/// Results within a training.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// What went wrong, whichever part it was.
#[derive(Debug)]
pub struct Failure(Box<dyn Error + Send + Sync>);

/// Why a training ended before it was done.
#[derive(Debug)]
pub enum Stopped {
    /// Nobody listens any more.
    Cancelled,
    /// Something went wrong.
    Failed(Failure),
}

/// An error of any part.
pub(crate) fn failed(error: impl Error + Send + Sync + 'static) -> Failure {
    Failure(Box::new(error))
}

impl Failure {
    /// Whether a file could not be written or read: nothing is wrong with the training then.
    pub(crate) fn is_of_the_disk(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self.0.as_ref());
        while let Some(error) = cause {
            if error.is::<std::io::Error>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Failure> for Box<dyn Error + Send + Sync> {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<crate::registry::Error> for Stopped {
    fn from(error: crate::registry::Error) -> Self {
        failed(error).into()
    }
}

impl From<Cancelled> for Stopped {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<linalg::Error> for Stopped {
    fn from(error: linalg::Error) -> Self {
        match error {
            linalg::Error::Cancelled(cancelled) => cancelled.into(),
            linalg::Error::Singular(_) => failed(error).into(),
        }
    }
}
