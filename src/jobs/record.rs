//! What is known of a run of a job: takes what happened to its statements; gives what its file holds.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde::{Deserialize, Serialize};

/// A run of a job, as its file has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The second of its start and a few digits: ids sort as the runs came, but for those of one second.
    pub id: String,
    /// The job's file.
    pub job: String,
    /// The parameters as they were given.
    pub parameters: BTreeMap<String, String>,
    /// What `$since` was, in microseconds since 1970, if the run asked for it.
    pub since: Option<i64>,
    /// What `$until` was: where the next run begins.
    pub until: i64,
    /// The number of the process.
    pub process: u32,
    /// How the run stands.
    pub state: State,
    /// Microseconds since 1970.
    pub started_at: i64,
    /// Microseconds since 1970; `None` as long as it runs, and where its process was killed.
    pub finished_at: Option<i64>,
    /// How many statements the job has.
    pub total: usize,
    /// The statements that were begun.
    pub statements: Vec<Statement>,
}

/// A statement of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// Which, counted from 1.
    pub number: usize,
    /// The line that it begins on.
    pub line: u64,
    /// What it says.
    pub statement: String,
    /// How it stands.
    pub state: State,
    /// Microseconds since 1970.
    pub started_at: i64,
    /// How long it took, pauses between attempts included.
    pub seconds: Option<f64>,
    /// Rows that it wrote or printed.
    pub rows: Option<u64>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it failed.
    pub error: Option<String>,
}

/// How a run or a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is under way.
    Running,
    /// It came to its end.
    Succeeded,
    /// An error ended it.
    Failed,
    /// A signal ended it.
    Cancelled,
    /// Its process is gone without a word.
    Killed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Killed => "killed",
        })
    }
}

impl Record {
    /// The record of a run whose process is gone.
    pub(super) fn kill(&mut self) {
        self.state = State::Killed;
        if let Some(last) = self.statements.last_mut().filter(|last| last.state == State::Running) {
            last.state = State::Killed;
        }
    }

    /// Whether a run with these parameters does the same as this one on another day: the names are the same, and so are
    /// the values, but for those that are dates.
    pub fn repeats(&self, parameters: &BTreeMap<String, String>) -> bool {
        undated(&self.parameters) == undated(parameters)
    }
}

/// Parameters without the values that are dates.
pub(super) fn undated(parameters: &BTreeMap<String, String>) -> BTreeMap<&str, Option<&str>> {
    parameters
        .iter()
        .map(|(name, value)| (name.as_str(), Some(value.as_str()).filter(|value| !is_date(value))))
        .collect()
}

/// `2026-11-28`, alone or with a time behind it.
fn is_date(value: &str) -> bool {
    let value = value.trim_matches('\'');
    let (date, time) = value.split_at_checked(10).unwrap_or((value, ""));
    NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok()
        && (time.is_empty()
            || DateTime::parse_from_rfc3339(value).is_ok()
            || ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
                .iter()
                .any(|format| NaiveDateTime::parse_from_str(value, format).is_ok()))
}

/// An instant as text, in UTC: `2026-11-28T02:00:00.123456Z`.
pub fn instant(microseconds: i64) -> String {
    let instant = DateTime::from_timestamp_micros(microseconds);
    instant.map_or_else(|| microseconds.to_string(), |instant| instant.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_repeat_each_other_where_only_dates_differ() {
        let parameters = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        let run = |pairs: &[(&str, &str)]| Record {
            id: String::new(),
            job: String::new(),
            parameters: parameters(pairs),
            since: None,
            until: 0,
            process: 1,
            state: State::Succeeded,
            started_at: 0,
            finished_at: None,
            total: 1,
            statements: Vec::new(),
        };
        let run = run(&[("as_of", "2026-11-28"), ("country", "DE")]);
        assert!(run.repeats(&parameters(&[("as_of", "2026-11-29"), ("country", "DE")])));
        assert!(run.repeats(&parameters(&[("as_of", "2026-11-29T02:00:00Z"), ("country", "DE")])));
        assert!(!run.repeats(&parameters(&[("as_of", "2026-11-29"), ("country", "FR")])));
        assert!(!run.repeats(&parameters(&[("as_of", "today"), ("country", "DE")])));
        assert!(!run.repeats(&parameters(&[("country", "DE")])));
        for date in
            ["2026-02-28", "'2026-02-28'", "2026-02-28 10:00", "2026-02-28T10:00:00.5", "2026-02-28T10:00:00+02:00"]
        {
            assert!(is_date(date), "{date}");
        }
        for other in ["", "2026", "2026-02-30", "2026-02-28x", "28.02.2026", "ä026-02-28", "20260228"] {
            assert!(!is_date(other), "{other}");
        }
    }

    #[test]
    fn instants_are_in_utc() {
        // As `date -u -d @1735689599` has it.
        assert_eq!(instant(1_735_689_599_000_001), "2024-12-31T23:59:59.000001Z");
    }
}
