//! Evaluations on disk: what was measured of a model, as `<home>/evaluations/<id>.json`.
//!
//! Takes what `evaluate(...)` has found; gives it an id and a file that is written once, whole or not at all, and never
//! changed.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::fetch;
use crate::fetch::files;
use crate::home::{self, Home};

/// What the ids of evaluations begin with, so that they are never taken for training runs.
pub const PREFIX: &str = "eval-";
/// What the names of their files end with.
const SUFFIX: &str = ".json";
/// Evaluations that a message names, the newest first.
const NAMED: usize = 5;

/// Evaluations of this process that were given an id: two of one instant are told apart by it.
static KEPT: AtomicU64 = AtomicU64::new(0);

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// `eval-`, the instant of its end and a few digits, so that ids sort as the evaluations came.
    pub id: String,
    /// The model, as `name@version`; also the method of its rows.
    pub model: String,
    /// The model that it was compared with; also the method of its rows. The rows of the paired difference have the
    /// method `model - against`.
    pub against: Option<String>,
    /// Seconds since 1970.
    pub created_at: u64,
    /// Interactions from this instant on were measured, in microseconds since 1970. `None` in older records.
    #[serde(default)]
    pub since: Option<i64>,
    /// Users who took anything.
    pub users: u64,
    /// What was left out, a sentence each.
    pub notes: Vec<String>,
    /// The rows that SQL saw.
    pub rows: Vec<Row>,
    /// The model's probabilities beside what happened, by ascending probability.
    pub bins: Vec<CalibrationBin>,
}

/// A row of the result of `evaluate(...)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What is measured: a model, a baseline, a part of the model, or the difference of two of them.
    pub method: String,
    /// What is ranked: `new` items among themselves, or `all` together.
    pub candidates: String,
    /// What counts of that which users took: `new` items, `warm` ones, or `all`.
    pub segment: String,
    /// How it is measured.
    pub metric: String,
    /// Length of the list, where it matters.
    pub k: Option<u64>,
    /// The measured value.
    pub value: Option<f64>,
    /// Lower end of its 95% interval.
    pub ci_low: Option<f64>,
    /// Upper end of its 95% interval.
    pub ci_high: Option<f64>,
    /// Users that were measured.
    pub users: u64,
    /// Items that were ranked.
    pub items: u64,
    /// How much more new items counted, where all are ranked together.
    pub boost: Option<f64>,
    /// Whole weeks since the items' launch, where the row is about one of them; how many were forecast, where it is about forecasts.
    pub week: Option<u64>,
}

/// Pairs of a user and an item whose probabilities are alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// The least probability among them.
    pub low: f64,
    /// The greatest.
    pub high: f64,
    /// How many pairs there are.
    pub rows: u64,
    /// Their mean probability.
    pub predicted: f64,
    /// The share of them that happened.
    pub observed: f64,
}

/// Why an evaluation cannot be kept or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// None is called so.
    #[error("there is no evaluation '{text}': {}", hint(newest))]
    Unknown {
        /// What was asked for.
        text: String,
        /// The newest there are.
        newest: Vec<String>,
    },
    /// More than one begins so.
    #[error("'{text}' is the beginning of several evaluations ({}): write more of it", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// The newest that begin so.
        candidates: Vec<String>,
    },
    /// The file is not what was written.
    #[error("evaluation {id} is damaged: '{}' {reason}; remove the file and evaluate again", path.display())]
    Damaged {
        /// The evaluation.
        id: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system said no.
    #[error(transparent)]
    File(#[from] fetch::Error),
}

fn hint(newest: &[String]) -> String {
    match newest {
        [] => "nothing was evaluated yet; SELECT * FROM evaluate(...) does".to_owned(),
        some => format!("the newest are {}", some.join(", ")),
    }
}

/// The evaluations of a home.
#[derive(Debug, Clone)]
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// The evaluations in `home`, which may not exist yet.
    pub fn open(home: &Home) -> Self {
        Self { folder: home.evaluations() }
    }

    /// Keeps a record under an id of its own, whatever its `id` says, and gives it back with that.
    ///
    /// # Errors
    /// The file system's; nothing is kept then.
    pub fn create(&self, mut record: Record) -> Result<Record> {
        let path = loop {
            let nonce = KEPT.fetch_add(1, Ordering::Relaxed);
            let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
            let seed = format!("{} {now} {} {nonce}", record.model, std::process::id());
            record.id = format!("{PREFIX}{}", home::dated_id(record.created_at, &seed));
            let path = self.path(&record.id);
            if !path.exists() {
                break path;
            }
        };
        let mut text =
            serde_json::to_vec_pretty(&record).map_err(|error| fetch::Error::io("write", &path)(error.into()))?;
        text.push(b'\n');
        files::write(&path, &text)?;
        Ok(record)
    }

    /// The ids of all evaluations, the oldest first.
    ///
    /// # Errors
    /// The folder is there but cannot be read.
    pub fn list(&self) -> Result<Vec<String>> {
        let failed = |error| fetch::Error::io("list", &self.folder)(error);
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            // What is not finished, and pages that somebody has put there, are no records.
            if let Some(id) = name.to_string_lossy().strip_suffix(SUFFIX).filter(|id| id.starts_with(PREFIX)) {
                ids.push(id.to_owned());
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Every evaluation by id, the oldest first; a damaged one says what is wrong.
    ///
    /// # Errors
    /// The folder is there but cannot be read.
    pub fn all(&self) -> Result<Vec<(String, Result<Record>)>> {
        Ok(self.list()?.into_iter().map(|id| (id.clone(), self.read(id))).collect())
    }

    /// The evaluation of this id, or the only one whose id begins so.
    ///
    /// # Errors
    /// [`Error::Unknown`] and [`Error::Ambiguous`], naming what there is; [`Error::Damaged`] if it cannot be understood.
    pub fn find(&self, text: &str) -> Result<Record> {
        let ids = self.list()?;
        let newest = |ids: Vec<String>| ids.into_iter().rev().take(NAMED).collect();
        let candidates = match ids.iter().find(|id| *id == text) {
            Some(exact) => vec![exact.clone()],
            None => ids.iter().filter(|id| id.starts_with(text)).cloned().collect(),
        };
        match <[String; 1]>::try_from(candidates) {
            Ok([id]) => self.read(id),
            Err(candidates) if candidates.is_empty() || text.is_empty() => {
                Err(Error::Unknown { text: text.to_owned(), newest: newest(ids) })
            }
            Err(candidates) => Err(Error::Ambiguous { text: text.to_owned(), candidates: newest(candidates) }),
        }
    }

    /// The file of an evaluation.
    pub fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}{SUFFIX}"))
    }

    fn read(&self, id: String) -> Result<Record> {
        let path = self.path(&id);
        let text = std::fs::read(&path).map_err(fetch::Error::io("read", &path))?;
        serde_json::from_slice(&text).map_err(|error| {
            let reason = format!("is not the record of an evaluation ({error})");
            Error::Damaged { id, path, reason }
        })
    }
}

#[cfg(test)]
#[path = "tests/record.rs"]
mod tests;
