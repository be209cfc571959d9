//! The records of a home: takes a job or none; gives its runs as they stand, and keeps their number bounded.
//!
//! One file a run, `<home>/jobs/<job>/<id>.json`, replaced whole. A record that says `running` while nobody records the job
//! is that of a process that was killed. Whoever begins to record a job first writes that down of the runs before, and takes
//! the lock that readers ask for only then: so a reader that lists, asks for the lock and reads, in this order, never takes
//! the dead for the living or the other way round.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::record::{Record, State, undated};
use super::{Error, Job, Result};
use crate::fetch::files;
use crate::fetch::lock::Lock;
use crate::home::Home;

/// Runs of a job that are kept, and besides them the last success of so many sets of parameters.
pub const KEPT: usize = 100;

const SUFFIX: &str = ".json";

/// The runs in a home.
#[derive(Debug, Clone)]
pub struct Runs {
    home: Home,
}

/// A run on disk.
#[derive(Debug)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its file.
    pub path: PathBuf,
    /// What is written of it, or why that cannot be read.
    pub record: Result<Record>,
}

impl Listed {
    /// Sorts by the instant of the start, of which ids have the second.
    fn order(&self) -> (String, i64, String) {
        let second = self.id.rsplit_once('-').map_or(self.id.as_str(), |(second, _)| second).to_owned();
        (second, self.record.as_ref().map_or(i64::MAX, |record| record.started_at), self.id.clone())
    }
}

impl Runs {
    /// The runs in `home`, which may not exist yet.
    pub fn open(home: &Home) -> Self {
        Self { home: home.clone() }
    }

    /// Every run of every job, the oldest first.
    ///
    /// # Errors
    /// A folder is there but cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let folder = self.home.jobs();
        let mut listed = Vec::new();
        for key in names(&folder)?.into_iter().filter(|key| folder.join(key).is_dir()) {
            listed.extend(self.of(&key)?);
        }
        listed.sort_by_cached_key(Listed::order);
        Ok(listed)
    }

    /// The run that holds the lock of a job; `None` where it has not said so yet.
    ///
    /// # Errors
    /// The folder is there but cannot be read.
    pub fn holder(&self, job: &Job) -> Result<Option<Record>> {
        let runs = self.of(job.key())?.into_iter().rev().filter_map(|listed| listed.record.ok());
        Ok(runs.into_iter().find(|record| record.state == State::Running))
    }

    /// Where the last run stopped that did the same on another day and succeeded, in microseconds since 1970.
    ///
    /// # Errors
    /// The folder is there but cannot be read, or one of the newer records is damaged: it may be that of the last success.
    pub fn last_success(&self, job: &Job, parameters: &BTreeMap<String, String>) -> Result<Option<i64>> {
        for listed in self.of(job.key())?.into_iter().rev() {
            let record = listed.record?;
            if record.state == State::Succeeded && record.repeats(parameters) {
                return Ok(Some(record.until));
            }
        }
        Ok(None)
    }

    /// Where a run of a job is written.
    pub(super) fn path(&self, job: &Job, id: &str) -> PathBuf {
        self.home.jobs().join(job.key()).join(format!("{id}{SUFFIX}"))
    }

    /// Writes a record in the place of the last one.
    pub(super) fn write(path: &Path, record: &Record) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(record).map_err(|error| Error::io("write", path)(error.into()))?;
        text.push(b'\n');
        Ok(files::write(path, &text)?)
    }

    /// Tidies up before a new run of a job, whose lock the caller has: writes down which runs were killed, and removes
    /// what is too old or was not finished.
    pub(super) fn tidy(&self, job: &Job) -> Result<()> {
        let folder = self.home.jobs().join(job.key());
        for name in names(&folder)?.iter().filter(|name| files::is_unfinished(name)) {
            remove(&folder.join(name))?;
        }
        let runs = self.of(job.key())?;
        for listed in &runs {
            if let Ok(record) = &listed.record
                && record.state == State::Killed
            {
                Self::write(&listed.path, record)?;
            }
        }
        let old = runs.len().saturating_sub(KEPT);
        let (old, recent) = runs.split_at(old);
        let success = |listed: &&Listed| listed.record.as_ref().is_ok_and(|record| record.state == State::Succeeded);
        let mut known: Vec<_> = Vec::new();
        for listed in recent.iter().rev().filter(success) {
            known.extend(listed.record.as_ref().ok().map(|record| undated(&record.parameters)));
        }
        let mut kept = 0;
        for listed in old.iter().rev() {
            // `--since last` looks for it.
            let last = listed.record.as_ref().ok().filter(|record| record.state == State::Succeeded);
            if let Some(parameters) = last.map(|record| undated(&record.parameters))
                && kept < KEPT
                && !known.contains(&parameters)
            {
                known.push(parameters);
                kept += 1;
                continue;
            }
            remove(&listed.path)?;
        }
        Ok(())
    }

    /// The runs of a job, the oldest first.
    fn of(&self, key: &str) -> Result<Vec<Listed>> {
        let folder = self.home.jobs().join(key);
        let names = names(&folder)?;
        let finished = names.iter().filter(|name| !files::is_unfinished(name));
        let ids: Vec<_> = finished.filter_map(|name| name.strip_suffix(SUFFIX).map(str::to_owned)).collect();
        let alive = Lock::is_held(&self.home, &recording(key))?;
        let mut runs = Vec::with_capacity(ids.len());
        for id in ids {
            let path = folder.join(format!("{id}{SUFFIX}"));
            let text = match std::fs::read(&path) {
                // Pruned since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                text => text.map_err(Error::io("read", &path)),
            };
            let record = text.and_then(|text| {
                let damaged =
                    |error: serde_json::Error| Error::Damaged { path: path.clone(), reason: error.to_string() };
                serde_json::from_slice::<Record>(&text).map_err(damaged)
            });
            let record = record.map(|mut record| {
                if record.state == State::Running && !alive {
                    record.kill();
                }
                record
            });
            runs.push(Listed { id, path, record });
        }
        runs.sort_by_cached_key(Listed::order);
        Ok(runs)
    }
}

/// The lock that a run holds as long as its record says `running`.
pub(super) fn recording(key: &str) -> String {
    format!("job-{key}-recording")
}

/// The names in a folder; none where there is no folder.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io("list", folder))?,
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<std::io::Result<_>>().map_err(Error::io("list", folder))
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
