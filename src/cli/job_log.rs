//! What a run of a job says on stderr: takes what happens; gives lines for people, or one JSON object a line.

use std::time::{Duration, UNIX_EPOCH};

use clap::ValueEnum;
use serde_json::{Value, json};

use super::error::CliError;
use super::note;
use super::progress::{Terminal, thousands};
use crate::engine::statement_text::{short, without_credentials};
use crate::jobs::Job;
use crate::jobs::record::{Record, State, Statement, instant};

/// Characters of a statement that are shown.
const FIRST_WORDS: usize = 80;

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// The log of a run.
#[derive(Debug, Clone)]
pub(super) struct JobLog {
    format: LogFormat,
    job: Option<String>,
    /// The run as it was last heard of.
    record: Option<Record>,
    started_at: i64,
}

impl JobLog {
    /// The log of a run that is about to begin.
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format, job: None, record: None, started_at: now() }
    }

    /// What shows steps and progress in the same form.
    pub(super) fn terminal(&self) -> Terminal {
        match self.format {
            LogFormat::Text => Terminal::new(),
            LogFormat::Json => Terminal::json(),
        }
    }

    /// Which job it is.
    pub(super) fn job(&mut self, job: &Job) {
        self.job = Some(job.path().display().to_string());
    }

    /// How the run stands at its end.
    pub(super) fn record(&mut self, record: Record) {
        self.record = Some(record);
    }

    /// The run has begun.
    pub(super) fn begin(&self, record: &Record) {
        match self.format {
            LogFormat::Text => note(format_args!("run {} of {}", record.id, record.job)),
            LogFormat::Json => note(json!({
                "event": "begin", "run": record.id, "job": record.job, "parameters": record.parameters,
                "since": record.since.map(instant), "until": instant(record.until), "process": record.process, "statements": record.total,
                "started_at": instant(record.started_at),
            })),
        }
    }

    /// A statement has ended.
    pub(super) fn statement_ends(&self, record: &Record, index: usize) {
        let Some(statement) = record.statements.get(index) else { return };
        match self.format {
            LogFormat::Text => note(line(statement, record.total)),
            LogFormat::Json => note(object(statement, record)),
        }
    }

    /// A statement is tried again.
    pub(super) fn retry(&self, record: &Record, statement: usize, attempts: u32, pause: Duration, error: &str) {
        match self.format {
            LogFormat::Text => {
                note(format_args!(
                    "statement {statement}, attempt {attempts}: {error}; again in {:.1} s",
                    pause.as_secs_f64()
                ));
            }
            LogFormat::Json => note(json!({
                "event": "retry", "run": record.id, "job": record.job, "number": statement, "attempt": attempts,
                "error": error, "pause_seconds": pause.as_secs_f64(),
            })),
        }
    }

    /// The run has ended, or could not begin.
    pub(super) fn end(&self, error: Option<&CliError>, status: u8) {
        let message = error.map(|error| without_credentials(&error.to_string()));
        if self.format == LogFormat::Text {
            return match (&message, error) {
                (_, Some(CliError::Interrupted(_))) => note("cancelled"),
                (Some(message), _) => note(format_args!("error: {message}")),
                (None, _) => {}
            };
        }
        let state = match (error, self.record.as_ref()) {
            // A record that says `running` here could not be brought up to date.
            (_, Some(record)) if record.state != State::Running => record.state,
            (None, _) => State::Succeeded,
            (Some(CliError::Interrupted(_)), _) => State::Cancelled,
            (Some(_), _) => State::Failed,
        };
        let started = self.record.as_ref().map_or(self.started_at, |record| record.started_at);
        let finished = self.record.as_ref().and_then(|record| record.finished_at).unwrap_or_else(now);
        note(json!({
            "event": "end", "run": self.record.as_ref().map(|record| &record.id), "job": self.job, "state": state,
            "error": message, "status": status, "started_at": instant(started), "finished_at": instant(finished),
            "seconds": finished.saturating_sub(started) as f64 / 1e6,
        }));
    }
}

fn line(statement: &Statement, total: usize) -> String {
    let rows = match statement.rows {
        Some(1) => ", 1 row".to_owned(),
        Some(rows) => format!(", {} rows", thousands(usize::try_from(rows).unwrap_or(usize::MAX))),
        None => String::new(),
    };
    format!(
        "statement {} of {total}: {}{rows} in {:.3} s: {}",
        statement.number,
        statement.state,
        statement.seconds.unwrap_or_default(),
        short(&statement.statement, FIRST_WORDS)
    )
}

fn object(statement: &Statement, record: &Record) -> Value {
    let finished = statement.seconds.map(|seconds| statement.started_at.saturating_add((seconds * 1e6) as i64));
    json!({
        "event": "statement", "run": record.id, "job": record.job, "number": statement.number, "line": statement.line,
        "statement": short(&statement.statement, FIRST_WORDS), "state": statement.state, "rows": statement.rows,
        "seconds": statement.seconds, "attempts": statement.attempts, "error": statement.error,
        "started_at": instant(statement.started_at), "finished_at": finished.map(instant),
    })
}

/// Microseconds since 1970.
fn now() -> i64 {
    i64::try_from(UNIX_EPOCH.elapsed().unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}
