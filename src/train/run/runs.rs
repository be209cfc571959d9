//! All training runs of a home: takes what a run is to do; gives new runs, old ones, and those to go on with.
//!
//! A run's folder appears whole, under its lock. A run whose `run.json` says that it is running while nobody holds the
//! lock was interrupted.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::active::{now, read_info, write_info};
use super::info::{Outcome, RunInfo, Setup, Status};
use super::metrics::{self, Metric};
use super::{Error, Result, Run};
use crate::fetch::files::{self, Staging};
use crate::fetch::lock::Lock;
use crate::home::{self, Home};

/// Runs of this process that were given a name: two of one instant are told apart by it.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// The training runs in a home.
#[derive(Debug, Clone)]
pub struct Runs {
    home: Home,
}

/// A run on disk, as it stands.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub id: String,
    /// Where its files are.
    pub folder: PathBuf,
    /// What is written of it, or why that cannot be read.
    pub info: Result<RunInfo>,
    /// Whether a process works on it.
    pub alive: bool,
}

impl Listed {
    /// How it stands; nothing is known of a damaged one.
    pub fn status(&self) -> Option<Status> {
        let written = self.info.as_ref().ok()?.status;
        Some(if written == Status::Running && !self.alive { Status::Interrupted } else { written })
    }

    /// What was measured.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn metrics(&self) -> Result<Vec<Metric>> {
        metrics::read(&self.folder)
    }
}

impl Runs {
    /// The runs in `home`, which may not exist yet.
    pub fn open(home: &Home) -> Self {
        Self { home: home.clone() }
    }

    /// Starts a run.
    ///
    /// # Errors
    /// The file system's.
    pub fn create(&self, setup: Setup) -> Result<Run> {
        let now = now();
        let mut info = RunInfo::new(String::new(), setup, now.as_secs());
        loop {
            let nonce = STARTED.fetch_add(1, Ordering::Relaxed);
            let seed = format!("{} {} {} {nonce}", info.key, now.as_nanos(), std::process::id());
            info.id = home::dated_id(now.as_secs(), &seed);
            // A name that another process has chosen in this instant is locked by it, or taken.
            let Some(lock) = Lock::try_acquire(&self.home, &lock_name(&info.id))? else { continue };
            let folder = self.home.runs().join(&info.id);
            if folder.exists() {
                continue;
            }
            let staging = Staging::beside(&folder)?;
            write_info(staging.path(), &info)?;
            staging.publish()?;
            return Run::open(info, folder, lock);
        }
    }

    /// Goes on with the newest run that was to do the same and did not come to an end, if there is one.
    ///
    /// # Errors
    /// [`Error::InUse`] if somebody does the same right now; [`Error::Damaged`] if its checkpoint cannot be read.
    pub fn resume(&self, setup: &Setup) -> Result<Option<Run>> {
        let key = setup.key();
        for listed in self.list()?.into_iter().rev() {
            let same = |info: &RunInfo| {
                info.key == key && matches!(info.status, Status::Running | Status::Cancelled | Status::Interrupted)
            };
            if !listed.info.as_ref().is_ok_and(same) {
                continue;
            }
            let Some(lock) = Lock::try_acquire(&self.home, &lock_name(&listed.id))? else {
                return Err(Error::InUse { id: listed.id });
            };
            // Read again: who had the lock before may have brought it to its end.
            let mut info = read_info(&listed.folder)?;
            if !same(&info) {
                continue;
            }
            info.status = Status::Running;
            info.finished_at = None;
            info.resumed += 1;
            write_info(&listed.folder, &info)?;
            return Run::open(info, listed.folder, lock).map(Some);
        }
        Ok(None)
    }

    /// Brings a run to its end whose process died after its version was published and before that was written down. `None`
    /// if there is no such run, if it has ended, or if its process lives.
    ///
    /// # Errors
    /// The file system's.
    pub fn recover(&self, id: &str, version: &str) -> Result<Option<RunInfo>> {
        let open = |info: &RunInfo| info.status == Status::Running;
        let Some(listed) = self.list()?.into_iter().find(|listed| listed.id == id) else { return Ok(None) };
        if !listed.info.as_ref().is_ok_and(open) {
            return Ok(None);
        }
        let Some(lock) = Lock::try_acquire(&self.home, &lock_name(id))? else { return Ok(None) };
        let info = read_info(&listed.folder)?;
        if !open(&info) {
            return Ok(None);
        }
        let run = Run::open(info, listed.folder, lock)?;
        run.finish(Outcome::Published(version.to_owned())).map(Some)
    }

    /// Every run, oldest first; damaged ones say what is wrong.
    ///
    /// # Errors
    /// The runs' folder is there but cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>> {
        self.ids()?.into_iter().map(|id| self.read(id)).collect()
    }

    /// The run of this name, or the only one whose name begins so.
    ///
    /// # Errors
    /// [`Error::Unknown`] and [`Error::Ambiguous`], naming what there is.
    pub fn find(&self, text: &str) -> Result<Listed> {
        let ids = self.ids()?;
        let candidates = match ids.iter().find(|id| *id == text) {
            Some(exact) => vec![exact.clone()],
            None => ids.iter().filter(|id| id.starts_with(text)).cloned().collect(),
        };
        match <[String; 1]>::try_from(candidates) {
            Ok([id]) => self.read(id),
            Err(candidates) if candidates.is_empty() || text.is_empty() => {
                Err(Error::Unknown { text: text.to_owned(), newest: ids.into_iter().rev().take(3).collect() })
            }
            Err(candidates) => Err(Error::Ambiguous { text: text.to_owned(), candidates }),
        }
    }

    fn ids(&self) -> Result<Vec<String>> {
        let folder = self.home.runs();
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::io("list", &folder))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("list", &folder))?;
            let id = entry.file_name().to_string_lossy().into_owned();
            if !files::is_unfinished(&id) && entry.path().is_dir() {
                ids.push(id);
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    fn read(&self, id: String) -> Result<Listed> {
        let folder = self.home.runs().join(&id);
        // In this order: a run that ends in between is not taken for one that was interrupted.
        let alive = Lock::is_held(&self.home, &lock_name(&id))?;
        Ok(Listed { info: read_info(&folder), id, folder, alive })
    }
}

fn lock_name(id: &str) -> String {
    format!("run-{id}")
}
