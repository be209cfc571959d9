//! Feedback: takes events of what was shown and what came of it; keeps them as Parquet that SQL reads as it is.
//!
//! # Where events are
//! ```text
//! FOLDER/events                       a symbolic link to the generation in use: FROM 'FOLDER/events/' reads it
//! FOLDER/.generations/0000000007/     events-000000000042.parquet ...
//! FOLDER/.unfinished/                 files that are being written
//! FOLDER/.lock                        held by the server that writes
//! ```
//! # What is promised
//! - An event that was acknowledged is on the disk: its file was written beside, synced, renamed, and its folder synced.
//!   Requests that come meanwhile share the next file ([`writer`]).
//! - No reader meets an event twice or not at all. A generation only ever grows. Small files are merged ([`merge`]) into a new
//!   generation, which has the merged file, and hard links to all others; then the link is replaced, which is atomic. Who
//!   listed the old generation by its own path goes on reading it: it stays for [`folder::RETIRED`]. The engine resolves
//!   the link once for each query, before it lists.
//! - A request with an `Idempotency-Key` that was acknowledged before, even by a server that was killed since, is
//!   acknowledged again and not written again: the key stands beside the events. The last [`writer::KEYS`] are remembered.

pub(super) mod event;
mod folder;
mod keys;
mod merge;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{Semaphore, oneshot};

use super::error::{ApiError, Result};
use super::metrics::Metrics;
use event::Events;
use writer::{Command, Writer};

/// Most events that wait for the disk.
const MAX_QUEUED: usize = 100_000;

/// Why feedback cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum FeedbackError {
    /// A file or folder cannot be read or written.
    #[error("cannot {action} the feedback in '{}': {source}", path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is no Parquet file of feedback.
    #[error("'{}' is no feedback: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another server writes to the folder.
    #[error("another server keeps its feedback in '{}': give each a folder of its own", .0.display())]
    Locked(PathBuf),
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receipt {
    /// Its events are on the disk now.
    Written,
    /// They were before: the key is known.
    Known,
}

/// Why a request was not taken.
#[derive(Debug, Clone)]
pub(super) enum Rejected {
    /// The log has ids of the other type.
    IdType(&'static str, String),
    /// The key was used for another request.
    KeyConflict(usize),
    /// The disk failed.
    Failed(String),
}

/// The log of a server.
#[derive(Debug)]
pub(super) struct Feedback {
    commands: Mutex<Option<Sender<Command>>>,
    thread: Option<JoinHandle<()>>,
    room: Arc<Semaphore>,
    /// Events per second, as measured; 0 before anything was.
    rate: Arc<AtomicU64>,
}

impl Feedback {
    /// Opens the log in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// The folder cannot be written, another server does, or a file in it is no feedback.
    pub(super) fn open(folder: &Path, metrics: Arc<Metrics>) -> Result<Self, FeedbackError> {
        let rate = Arc::new(AtomicU64::default());
        let (commands, thread) = Writer::start(folder, metrics, Arc::clone(&rate))?;
        Ok(Self {
            commands: Mutex::new(Some(commands)),
            thread: Some(thread),
            room: Arc::new(Semaphore::new(MAX_QUEUED)),
            rate,
        })
    }

    /// Appends the events of a request; ends when they are on the disk. They are written even if the future is dropped.
    ///
    /// # Errors
    /// 429 when too much waits for the disk, 400 and 409 for what does not fit the log, 503 when the disk fails.
    pub(super) async fn append(&self, events: Events, key: Option<String>) -> Result<Receipt> {
        let queued = MAX_QUEUED - self.room.available_permits();
        let wanted = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(wanted) else {
            let rate = self.rate.load(Ordering::Relaxed);
            let wait = Duration::from_secs_f64(queued as f64 / (rate.max(1) as f64)).min(Duration::from_secs(60));
            let message =
                format!("{queued} events wait for the disk already: send them again after the time in Retry-After");
            let wait = if rate == 0 { Duration::from_secs(1) } else { wait };
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message).retry_after(wait));
        };
        let (reply, answer) = oneshot::channel();
        let sent = {
            let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
            let append = Command::Append { events, key, reply, room };
            commands.as_ref().is_some_and(|commands| commands.send(append).is_ok())
        };
        if !sent {
            return Err(ApiError::internal(&"the thread that writes feedback has ended"));
        }
        let answer = answer.await.map_err(|_| ApiError::internal(&"the thread that writes feedback has ended"))?;
        answer.map_err(|rejected| match rejected {
            Rejected::IdType(field, message) => ApiError::field(field, message),
            Rejected::KeyConflict(events) => {
                let message = format!("Idempotency-Key was used for another request, of {events} events");
                ApiError::new(StatusCode::CONFLICT, "key_conflict", message)
            }
            Rejected::Failed(cause) => {
                tracing::error!(cause, "feedback was not written");
                let message = "the events could not be written: send them again, with the same Idempotency-Key";
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_written", message)
                    .retry_after(Duration::from_secs(5))
            }
        })
    }
}

impl Drop for Feedback {
    fn drop(&mut self) {
        // What was sent is written first.
        if let Some(commands) = self.commands.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = commands.send(Command::Stop);
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes feedback had panicked");
        }
    }
}

#[cfg(test)]
mod tests;
