//! Stopping what computes for long: the question that it asks now and then, and the answer that it gives up with.

/// Asked now and then whether to stop.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// The work was stopped before it was done, because nobody waits for it any more. No failure, and nothing to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work was cancelled")]
pub struct Cancelled;

impl From<Cancelled> for datafusion::common::DataFusionError {
    fn from(cancelled: Cancelled) -> Self {
        Self::External(Box::new(cancelled))
    }
}

/// Gives up if `stop` says so.
///
/// # Errors
/// It does.
pub fn check(stop: Stop<'_>) -> Result<(), Cancelled> {
    if stop() { Err(Cancelled) } else { Ok(()) }
}
