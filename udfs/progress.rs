//! How far a long call is, for whoever shows it to people.

use std::sync::atomic::{AtomicU64, Ordering};

/// Steps that are done, of how many.
#[derive(Debug, Default)]
pub struct Progress {
    steps: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// The work will take so many steps.
    pub fn begin(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// So many of them are done.
    pub fn reach(&self, steps: u64) {
        self.steps.store(steps, Ordering::Relaxed);
    }

    /// Steps that are done, and steps in all; 0 in all until the work has begun.
    pub fn get(&self) -> (u64, u64) {
        (self.steps.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}
