//! The flag of a statement: set when nobody waits for it any more, and looked at while it is computed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cancellation::{Cancelled, check};

/// Who waits for a statement; dropping it cancels the statement.
#[derive(Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

/// Knows whether a statement was cancelled.
#[derive(Debug, Clone)]
pub struct Interrupted(Arc<AtomicBool>);

impl Interrupt {
    /// For the plan of the statement.
    pub fn flag(&self) -> Interrupted {
        Interrupted(Arc::clone(&self.0))
    }
}

impl Interrupted {
    /// Gives up once the statement was cancelled.
    ///
    /// # Errors
    /// It was.
    pub(super) fn check(&self) -> Result<(), Cancelled> {
        check(&|| self.0.load(Ordering::Relaxed))
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
