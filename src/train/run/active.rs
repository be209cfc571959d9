//! A run that is under way: takes what the trainer measures and reaches; gives files that tell it all, at any moment.
//!
//! What a crash leaves behind is always the last whole `run.json`, the last whole checkpoint, and all metrics up to a
//! torn line at most.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::checkpoint::{self, Checkpoint};
use super::events::Events;
use super::info::{Outcome, RunInfo, Status};
use super::metrics::{self, Log, Metric};
use super::{Error, Result};
use crate::fetch::files;
use crate::fetch::lock::Lock;

/// Time since 1970.
pub(super) fn now() -> Duration {
    // A clock that stands before 1970 is set wrong; no time is better than no run.
    UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// The record of a run, in its folder.
pub(super) const INFO: &str = "run.json";

/// A run that this process trains. Dropped without an ending it counts as interrupted, and can be resumed.
#[derive(Debug)]
pub struct Run {
    info: RunInfo,
    folder: PathBuf,
    metrics: Log,
    events: Events,
    checkpoint: Option<Checkpoint>,
    begun: Instant,
    /// Seconds of training before the process that is now at work.
    before: f64,
    _lock: Lock,
}

impl Run {
    /// Goes on with the run in `folder`, from its checkpoint or from the beginning. The caller holds the lock.
    pub(super) fn open(info: RunInfo, folder: PathBuf, lock: Lock) -> Result<Self> {
        // What a process that died in the middle of a write has left: a checkpoint may be as large as a model.
        remove_files(&folder, files::is_unfinished)?;
        let checkpoint = Checkpoint::load(&folder)?;
        let step = checkpoint.as_ref().map(|checkpoint| checkpoint.progress.step);
        let (metrics, kept) = Log::open(&folder, step)?;
        let events = Events::open(&folder, now(), info.resumed, step.unwrap_or(0))?;
        let before = kept.last().map_or(0.0, |metric| metric.seconds);
        Ok(Self { info, folder, metrics, events, checkpoint, begun: Instant::now(), before, _lock: lock })
    }

    /// The run's name.
    pub fn id(&self) -> &str {
        &self.info.id
    }

    /// What is written of it so far.
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether nothing was trained yet that it goes on with.
    pub fn is_fresh(&self) -> bool {
        self.checkpoint.is_none()
    }

    /// Where to go on: the last checkpoint of a run that was resumed. It is given away, since it may be large.
    pub fn take_checkpoint(&mut self) -> Option<Checkpoint> {
        self.checkpoint.take()
    }

    /// Seconds of training, those before an interruption included.
    pub fn seconds(&self) -> f64 {
        self.before + self.begun.elapsed().as_secs_f64()
    }

    /// Adds what has become known: the number of parameters, the baseline, the best epoch.
    ///
    /// # Errors
    /// The file system's.
    pub fn update(&mut self, change: impl FnOnce(&mut RunInfo)) -> Result<()> {
        change(&mut self.info);
        write_info(&self.folder, &self.info)
    }

    /// Writes down what was measured after `step` steps.
    ///
    /// # Errors
    /// The file system's.
    pub fn log(&mut self, epoch: u64, step: u64, values: &[(&str, f64)]) -> Result<()> {
        let seconds = self.seconds();
        let metric =
            |(name, value): &(&str, f64)| Metric { epoch, step, name: (*name).to_owned(), value: *value, seconds };
        self.metrics.append(&values.iter().map(metric).collect::<Vec<_>>())?;
        self.events.append(now(), step, values)
    }

    /// Writes down those of the values that are not written of this step yet: after its last checkpoint a run that was
    /// interrupted may have come as far as this.
    ///
    /// # Errors
    /// The file system's, or the file of metrics is damaged.
    pub fn log_missing(&mut self, epoch: u64, step: u64, values: &[(&str, f64)]) -> Result<()> {
        let mut missing = values.to_vec();
        if self.info.resumed > 0 {
            let written = metrics::read(&self.folder)?;
            let is_written = |name: &str| written.iter().any(|metric| metric.step == step && metric.name == name);
            missing.retain(|(name, _)| !is_written(name));
        }
        self.log(epoch, step, &missing)
    }

    /// Makes sure that the run can go on from here: afterwards this is the state that a crash leaves.
    ///
    /// # Errors
    /// The file system's; the last checkpoint is still there then.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        // First, so that no checkpoint is ahead of the metrics: they would be missing from a resumed run.
        self.metrics.sync()?;
        checkpoint.save(&self.folder)
    }

    /// Keeps what a part of the training came to, counted from 1, until the run has ended for good.
    ///
    /// # Errors
    /// The file system's.
    pub fn keep_part(&self, part: usize, finished: &Checkpoint) -> Result<()> {
        finished.write(&self.folder.join(checkpoint::part_file(part)))
    }

    /// Whether a part is kept.
    pub fn has_part(&self, part: usize) -> bool {
        self.folder.join(checkpoint::part_file(part)).is_file()
    }

    /// What a part of the training came to, before it was interrupted.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is missing or cannot be read.
    pub fn part(&self, part: usize) -> Result<Checkpoint> {
        let path = self.folder.join(checkpoint::part_file(part));
        Checkpoint::read(&path)?.ok_or_else(|| Error::damaged(&path, "is missing"))
    }

    /// Ends a run that was trained to its end.
    ///
    /// # Errors
    /// The file system's.
    pub fn finish(self, outcome: Outcome) -> Result<RunInfo> {
        self.end(Status::Finished, |info| info.outcome = Some(outcome))
    }

    /// Ends a run that an error has stopped; the same request starts anew.
    ///
    /// # Errors
    /// The file system's.
    pub fn fail(self, error: &str) -> Result<RunInfo> {
        self.end(Status::Failed, |info| info.error = Some(error.to_owned()))
    }

    /// Ends a run that somebody has stopped; the same request goes on from the last checkpoint.
    ///
    /// # Errors
    /// The file system's.
    pub fn cancel(self) -> Result<RunInfo> {
        self.end(Status::Cancelled, |_| {})
    }

    fn end(mut self, status: Status, change: impl FnOnce(&mut RunInfo)) -> Result<RunInfo> {
        self.metrics.sync()?;
        self.update(|info| {
            change(info);
            info.status = status;
            info.finished_at = Some(now().as_secs());
        })?;
        if !status.can_resume() {
            remove_files(&self.folder, checkpoint::is_for_resuming)?;
        }
        Ok(self.info)
    }
}

/// Removes the files in the folder of a run of whose names `which` says so.
fn remove_files(folder: &Path, which: impl Fn(&str) -> bool) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        if which(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path()).map_err(Error::io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// Writes `run.json`, in place of the last one.
pub(super) fn write_info(folder: &Path, info: &RunInfo) -> Result<()> {
    let path = folder.join(INFO);
    let mut text = serde_json::to_vec_pretty(info).map_err(|error| Error::io("write", &path)(error.into()))?;
    text.push(b'\n');
    Ok(files::write(&path, &text)?)
}

/// Reads `run.json`.
pub(super) fn read_info(folder: &Path) -> Result<RunInfo> {
    let path = folder.join(INFO);
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Error::damaged(&path, "is missing")),
        read => read.map_err(Error::io("read", &path))?,
    };
    serde_json::from_slice(&text).map_err(|error| Error::damaged(&path, format!("is not a run's record ({error})")))
}
