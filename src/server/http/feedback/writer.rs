//! The thread that writes: takes the events of requests; answers each when its events are on the disk.
//!
//! Group commit: what has come while a file was written and synced is the next file. Merging runs on a thread of its own; its
//! result is put in place here, so that nothing is written meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use debut_udfs::ids::IdType;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::event::{Events, batch, types_in};
use super::folder::{Folder, reader};
use super::keys::Keys;
use super::merge::Plan;
use super::{FeedbackError, Receipt, Rejected};
use crate::server::http::metrics::Metrics;

/// Idempotency keys that are remembered.
pub(super) const KEYS: usize = 100_000;

/// Most events in one file.
const GROUP: usize = 20_000;

/// How often old generations are looked for when nothing comes.
const IDLE: Duration = Duration::from_secs(60);

/// What the thread is told.
pub(super) enum Command {
    /// Write events.
    Append {
        /// The events.
        events: Events,
        /// The key of the request.
        key: Option<String>,
        /// Who waits.
        reply: oneshot::Sender<Result<Receipt, Rejected>>,
        /// The room that they take in the queue.
        room: OwnedSemaphorePermit,
    },
    /// A merge has ended.
    Merged(Result<(PathBuf, Vec<u64>), FeedbackError>),
    /// Write what has come, and end.
    Stop,
}

/// A request that is to be written.
struct Request {
    events: Events,
    key: Option<String>,
    reply: oneshot::Sender<Result<Receipt, Rejected>>,
    _room: OwnedSemaphorePermit,
}

/// What lives on the thread.
pub(super) struct Writer {
    folder: Folder,
    keys: Keys,
    /// The types of ids in the log, once it has events.
    types: Option<(IdType, IdType)>,
    commands: Receiver<Command>,
    /// For merges to send their result.
    myself: Sender<Command>,
    merge: Option<JoinHandle<()>>,
    metrics: Arc<Metrics>,
    rate: Arc<AtomicU64>,
}

impl Writer {
    /// Opens the folder and starts the thread.
    ///
    /// # Errors
    /// The folder cannot be opened, or there can be no more threads.
    pub(super) fn start(
        path: &Path,
        metrics: Arc<Metrics>,
        rate: Arc<AtomicU64>,
    ) -> Result<(Sender<Command>, JoinHandle<()>), FeedbackError> {
        let folder = Folder::open(path)?;
        let keys = Keys::read(&folder, KEYS)?;
        let newest = folder.files().next_back().map(|(number, _)| folder.file(number));
        let types = newest.map(|path| {
            let damaged =
                || FeedbackError::Damaged { path: path.clone(), reason: "it has no user_id and item_id".into() };
            types_in(reader(&path)?.schema()).ok_or_else(damaged)
        });
        let (sender, commands) = mpsc::channel();
        let types = types.transpose()?;
        let writer = Self { folder, keys, types, commands, myself: sender.clone(), merge: None, metrics, rate };
        let thread = thread::Builder::new().name("debut-feedback".to_owned()).spawn(move || writer.serve());
        let failed = |source| FeedbackError::File { action: "start a thread for", path: path.to_owned(), source };
        Ok((sender, thread.map_err(failed)?))
    }

    fn serve(mut self) {
        let mut group: Vec<Request> = Vec::new();
        let mut stopped = false;
        while !stopped {
            let mut events = 0;
            let mut next = match self.commands.recv_timeout(IDLE) {
                Ok(command) => Some(command),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            };
            while let Some(command) = next {
                match command {
                    Command::Append { events: more, key, reply, room } => {
                        events += more.len();
                        group.push(Request { events: more, key, reply, _room: room });
                    }
                    Command::Merged(result) => self.merged(result),
                    Command::Stop => stopped = true,
                }
                next = if events < GROUP { self.commands.try_recv().ok() } else { None };
            }
            self.commit(std::mem::take(&mut group));
            self.folder.remove_retired();
            if !stopped {
                self.merge();
            }
        }
        // Its file goes away unless it was put in place.
        if let Some(merge) = self.merge.take()
            && merge.join().is_err()
        {
            tracing::error!("a merge of feedback had panicked");
        }
    }

    /// Writes a group to one file and answers its requests.
    fn commit(&mut self, group: Vec<Request>) {
        let begun = Instant::now();
        let mut written: Vec<Request> = Vec::new();
        let mut repeated: Vec<(Request, usize)> = Vec::new();
        for request in group {
            match self.check(&request, &written) {
                Ok(None) => {
                    self.types.get_or_insert(request.events.id_types());
                    written.push(request);
                }
                // Known by the file that is about to be written.
                Ok(Some(Some(first))) => repeated.push((request, first)),
                Ok(Some(None)) => answer(request, Ok(Receipt::Known)),
                Err(rejected) => answer(request, Err(rejected)),
            }
        }
        let events: usize = written.iter().map(|request| request.events.len()).sum();
        let result = if events > 0 { self.write(&written) } else { Ok(()) };
        if result.is_ok() && events > 0 {
            let now = (events as f64 / begun.elapsed().as_secs_f64().max(1e-6)) as u64;
            let before = self.rate.load(Ordering::Relaxed);
            self.rate.store(if before == 0 { now } else { (before * 4 + now) / 5 }, Ordering::Relaxed);
            self.metrics.feedback_events.fetch_add(events as u64, Ordering::Relaxed);
            self.metrics.feedback_files.fetch_add(1, Ordering::Relaxed);
        }
        let told = |receipt| match &result {
            Ok(()) => Ok(receipt),
            Err(error) => Err(Rejected::Failed(describe(error))),
        };
        for request in written {
            if let (Ok(()), Some(key)) = (&result, &request.key) {
                self.keys.add(key.clone(), request.events.len());
            }
            answer(request, told(Receipt::Written));
        }
        for (request, _) in repeated {
            answer(request, told(Receipt::Known));
        }
    }

    /// `None` for a request that is to be written; else the place of the same request in the group, if it is there.
    #[expect(clippy::option_option, reason = "what is known, and where")]
    fn check(&self, request: &Request, group: &[Request]) -> Result<Option<Option<usize>>, Rejected> {
        if let Some(key) = &request.key {
            let place = group.iter().position(|other| other.key.as_ref() == Some(key));
            let known = place.map(|place| group[place].events.len()).or_else(|| self.keys.get(key));
            if let Some(events) = known {
                if events != request.events.len() {
                    return Err(Rejected::KeyConflict(events));
                }
                return Ok(Some(place));
            }
        }
        let types = request.events.id_types();
        let log = self.types.unwrap_or(types);
        for (field, wanted, found) in [("user_id", log.0, types.0), ("item_id", log.1, types.1)] {
            if wanted != found {
                let message = format!("the ids of this log are {wanted}, and these are {found}");
                return Err(Rejected::IdType(field, message));
            }
        }
        Ok(None)
    }

    fn write(&mut self, requests: &[Request]) -> Result<(), FeedbackError> {
        let Some(types) = self.types else { return Ok(()) };
        let rows = batch(types, requests.iter().map(|request| (&request.events, request.key.as_deref())));
        let rows =
            rows.map_err(|error| FeedbackError::Damaged { path: self.folder.current(), reason: error.to_string() })?;
        self.folder.write(&rows)
    }

    /// Starts a merge if there is enough to merge and none runs.
    fn merge(&mut self) {
        if self.merge.is_some() {
            return;
        }
        let Some(plan) = Plan::of(&self.folder) else { return };
        let myself = self.myself.clone();
        let merge = thread::Builder::new().name("debut-feedback-merge".to_owned()).spawn(move || {
            let merged = plan.run().map(|path| (path, plan.numbers));
            // Nobody listens when the server has ended.
            let _ = myself.send(Command::Merged(merged));
        });
        match merge {
            Ok(merge) => self.merge = Some(merge),
            Err(error) => tracing::warn!(%error, "feedback is not merged: there can be no more threads"),
        }
    }

    fn merged(&mut self, result: Result<(PathBuf, Vec<u64>), FeedbackError>) {
        self.merge = None;
        let placed = result.and_then(|(path, replaced)| self.folder.replace(&path, &replaced));
        match placed {
            Ok(()) => drop(self.metrics.feedback_merges.fetch_add(1, Ordering::Relaxed)),
            Err(error) => tracing::warn!(%error, "feedback is not merged; the small files stay"),
        }
    }
}

fn answer(request: Request, result: Result<Receipt, Rejected>) {
    // Who went away will send it again.
    let _ = request.reply.send(result);
}

fn describe(error: &FeedbackError) -> String {
    error.to_string()
}
