//! What one call of `Model::run` shares with the thread that owns the session.
//!
//! Takes the settings and the size of a job; gives its output once every chunk has run, and a way to stop it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use debut_udfs::model::{Output, Stats};
use ort::session::RunOptions;

use super::batcher::Batches;
use super::preprocessor::Prepared;

/// Rows of a job that were prepared together, and how they are run.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Where the chunk's first row is in the job.
    pub(crate) first_row: usize,
    /// The rows as the graph reads them.
    pub(crate) prepared: Box<dyn Prepared>,
    /// The rows in groups of similar length.
    pub(crate) batches: Batches,
}

/// A job while it runs.
pub(crate) struct RunningJob {
    /// Where the work is counted.
    pub(crate) stats: Arc<Stats>,
    /// Every run of the session for this job is started with these, so that stopping them stops this job only.
    run_options: RunOptions,
    cancelled: AtomicBool,
    output: Mutex<Output>,
}

impl RunningJob {
    /// Makes room for `values` results.
    ///
    /// # Errors
    /// The runtime could not allocate its part.
    pub(crate) fn new(values: usize, stats: Arc<Stats>) -> Result<Arc<Self>, ort::Error> {
        Ok(Arc::new(Self {
            stats,
            run_options: RunOptions::new()?,
            cancelled: AtomicBool::new(false),
            output: Mutex::new(Output { values: vec![0.0; values], failures: Vec::new() }),
        }))
    }

    /// The options of this job's runs.
    pub(crate) fn run_options(&self) -> &RunOptions {
        &self.run_options
    }

    /// Whether nobody waits for the results any more.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Skips what has not run, interrupts what runs, and frees the output.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        // Before the output's lock is asked for: the session's thread holds it only between runs, never during one.
        if let Err(error) = self.run_options.terminate() {
            tracing::warn!(%error, "a running batch could not be interrupted; it ends by itself");
        }
        *self.output() = Output::default();
    }

    /// Where results are written. Nothing may be written once the job is cancelled: the room is gone.
    pub(crate) fn output(&self) -> MutexGuard<'_, Output> {
        // A thread that died while writing left some rows unwritten, and its job never learns of success.
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The finished output, failures in the order of their rows.
    pub(crate) fn take_output(&self) -> Output {
        let mut output = std::mem::take(&mut *self.output());
        output.failures.sort_by_key(|(row, _)| *row);
        output
    }
}

/// Cancels the job when it is dropped: in the end, and whenever the future that holds it is dropped.
pub(crate) struct CancelOnDrop(pub(crate) Arc<RunningJob>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
