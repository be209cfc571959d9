//! The run that is under way: takes what becomes of its statements; gives a record that is true at every moment.
//!
//! The record is replaced when a statement ends, in one step with the beginning of the next one, so that whenever the process
//! is killed the last statement that was begun is the one that was cut off.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Instant, UNIX_EPOCH};

use super::record::{Record, State, Statement};
use super::runs::recording;
use super::{Error, Job, Result, Runs, Window};
use crate::fetch::lock::Lock;
use crate::home::{self, Home};

/// The lock of a job, before it is known what the run will do.
#[derive(Debug)]
pub struct Locked {
    home: Home,
    job: Job,
    lock: Lock,
    id: String,
    started_at: i64,
}

/// A run of a job that this process does. Dropped without an ending it counts as killed.
#[derive(Debug)]
pub struct ActiveRun {
    record: Record,
    path: PathBuf,
    /// What is still to be done: line and text.
    rest: std::vec::IntoIter<(u64, String)>,
    begun: Instant,
    _locks: (Lock, Lock),
}

impl Locked {
    /// Takes the lock of a job.
    ///
    /// # Errors
    /// [`Error::Locked`] if another run has it, naming that; the file system's.
    pub fn acquire(home: &Home, job: &Job) -> Result<Self> {
        let Some(lock) = Lock::try_acquire(home, &format!("job-{}", job.key()))? else {
            let run = Runs::open(home).holder(job)?.map(Box::new);
            return Err(Error::Locked { job: job.path().display().to_string(), run });
        };
        let now = UNIX_EPOCH.elapsed().unwrap_or_default();
        let seed = format!("{} {} {}", job.key(), now.as_nanos(), std::process::id());
        let started_at = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        Ok(Self { home: home.clone(), job: job.clone(), lock, id: home::dated_id(now.as_secs(), &seed), started_at })
    }

    /// What the run will be called.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When it started, in microseconds since 1970.
    pub fn started_at(&self) -> i64 {
        self.started_at
    }

    /// Begins the run with its first statement. `statements` are lines and texts; there is at least one.
    ///
    /// # Errors
    /// The file system's.
    pub fn begin(
        self,
        parameters: BTreeMap<String, String>,
        window: Window,
        statements: Vec<(u64, String)>,
    ) -> Result<ActiveRun> {
        let runs = Runs::open(&self.home);
        // In this order: see `runs`.
        runs.tidy(&self.job)?;
        let recording = Lock::acquire(&self.home, &recording(self.job.key()), &|_| {})?;
        let record = Record {
            job: self.job.path().display().to_string(),
            parameters,
            since: window.since,
            until: window.until,
            process: std::process::id(),
            state: State::Running,
            started_at: self.started_at,
            finished_at: None,
            total: statements.len(),
            statements: Vec::new(),
            id: self.id,
        };
        let mut run = ActiveRun {
            path: runs.path(&self.job, &record.id),
            record,
            rest: statements.into_iter(),
            begun: Instant::now(),
            _locks: (self.lock, recording),
        };
        run.next();
        run.write()?;
        Ok(run)
    }
}

impl ActiveRun {
    /// What is written of it.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The statement that is under way has come to its end. After the last one the run has succeeded.
    ///
    /// # Errors
    /// The file system's.
    pub fn succeed(&mut self, rows: Option<u64>, attempts: u32) -> Result<()> {
        self.end(State::Succeeded, attempts, rows, None)
    }

    /// The statement that is under way has failed, and the run with it.
    ///
    /// # Errors
    /// The file system's.
    pub fn fail(&mut self, error: &str, attempts: u32) -> Result<()> {
        self.end(State::Failed, attempts, None, Some(error.to_owned()))
    }

    /// A signal has stopped the run.
    ///
    /// # Errors
    /// The file system's.
    pub fn cancel(&mut self) -> Result<()> {
        let attempts = self.record.statements.last().map_or(1, |statement| statement.attempts);
        self.end(State::Cancelled, attempts, None, None)
    }

    /// The statement that is under way is tried once more.
    ///
    /// # Errors
    /// The file system's.
    pub fn retry(&mut self, attempts: u32) -> Result<()> {
        if let Some(statement) = self.record.statements.last_mut() {
            statement.attempts = attempts;
        }
        self.write()
    }

    fn end(&mut self, state: State, attempts: u32, rows: Option<u64>, error: Option<String>) -> Result<()> {
        // What ended is not changed any more: work that a signal did not reach in time may still report.
        if self.record.state != State::Running {
            return Ok(());
        }
        let before = self.record.clone();
        if let Some(statement) = self.record.statements.last_mut() {
            statement.state = state;
            statement.attempts = attempts;
            statement.seconds = Some(self.begun.elapsed().as_secs_f64());
            statement.rows = rows;
            statement.error = error;
        }
        if state != State::Succeeded || !self.next() {
            self.record.state = state;
            self.record.finished_at = Some(now());
        }
        // What could not be written down has not come to its end.
        self.write().inspect_err(|_| self.record = before)
    }

    /// Begins the next statement, if there is one.
    fn next(&mut self) -> bool {
        let Some((line, statement)) = self.rest.next() else { return false };
        self.begun = Instant::now();
        self.record.statements.push(Statement {
            number: self.record.statements.len() + 1,
            line,
            statement,
            state: State::Running,
            started_at: now(),
            seconds: None,
            rows: None,
            attempts: 1,
            error: None,
        });
        true
    }

    fn write(&self) -> Result<()> {
        Runs::write(&self.path, &self.record)
    }
}

/// Microseconds since 1970.
fn now() -> i64 {
    let now = UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}
