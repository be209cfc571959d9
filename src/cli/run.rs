//! `debut run`: the statements of a job, under its lock and with a record.
//!
//! Takes the command's arguments; gives what SELECTs print on stdout, and an exit status that schedulers understand. The
//! statements run as `debut sql -f` runs them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::sql::sqlparser::ast::{Expr, Value};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::args::{Common, Run};
use super::error::{CliError, Result};
use super::execute::{self, Outcome};
use super::job_log::JobLog;
use super::output::Output;
use super::progress::Terminal;
use super::task::Tasks;
use super::values::Since;
use super::{open, parameters};
use crate::engine::statement_text::{short, text, without_credentials};
use crate::engine::{Session, Statement, repeatable};
use crate::home::Home;
use crate::jobs::active::Locked;
use crate::jobs::record::instant;
use crate::jobs::retry::{Backoff, is_transient};
use crate::jobs::window::BEGINNING;
use crate::jobs::{self, ActiveRun, Job, Runs, Window};

/// Characters of an error that are recorded.
const LONGEST_ERROR: usize = 4000;

/// Runs the job.
///
/// # Errors
/// None: they are told as the log is kept, and give the status.
pub(super) fn run(arguments: Run, common: &Common, tasks: &Tasks) -> Result<ExitCode> {
    let mut log = JobLog::new(arguments.log);
    let ended = run_job(arguments, common, tasks, &mut log);
    let status = match &ended {
        Ok(()) => 0,
        // A shell's pipeline may end early; a job of which statements were left out has failed.
        Err(error) => error.status().max(u8::from(error.is_closed())),
    };
    log.end(ended.as_ref().err(), status);
    Ok(ExitCode::from(status))
}

fn run_job(arguments: Run, common: &Common, tasks: &Tasks, log: &mut JobLog) -> Result<()> {
    let job = open_job(&arguments.file)?;
    log.job(&job);
    let terminal = log.terminal();
    let session = open(common, &terminal)?;
    let mut statements = read(&job, &session)?;
    let texts = statements.iter().map(|statement| (statement.line, text(statement))).collect();
    let home = Home::from_env();
    let locked = Locked::acquire(&home, &job).map_err(jobs_error)?;
    let given: BTreeMap<String, String> = arguments.parameters.iter().cloned().collect();
    let since = match arguments.since {
        Some(Since::Last) => {
            Some(Runs::open(&home).last_success(&job, &given).map_err(jobs_error)?.unwrap_or(BEGINNING))
        }
        Some(Since::At(time)) => Some(time),
        None => None,
    };
    let window = Window::new(since, locked.started_at(), arguments.late.unwrap_or_default());
    let built_in = built_in(locked.id(), locked.started_at(), window)?;
    parameters::bind_with(&arguments.parameters, &built_in, &mut statements)?;
    let slot = Arc::new(Slot::default());
    let work =
        Work { session, statements, terminal, log: log.clone(), retries: arguments.retries, slot: Arc::clone(&slot) };
    let format = arguments.format;
    let done = tasks.run(async move {
        // Begun where a signal is waited for: one that comes before leaves no record.
        let run = locked.begin(given, window, texts).map_err(jobs_error)?;
        work.log.begin(run.record());
        *work.slot.run() = Some(run);
        let mut output = Output::open(format, None, None)?;
        work.statements(&mut output).await?;
        output.commit()
    });
    // What ended the run is told after it.
    if let Err(error) = slot.finish(&done) {
        log.terminal().step(&format!("the end of the run is not in its record: {error}"));
    }
    if let Some(run) = slot.run().as_ref() {
        log.record(run.record().clone());
    }
    done
}

/// The job of a file.
///
/// # Errors
/// There is no such file.
pub(super) fn open_job(path: &std::path::Path) -> Result<Job> {
    Job::open(path).map_err(|source| CliError::File { action: "read", path: path.to_path_buf(), source })
}

/// The statements of a job; there is at least one.
///
/// # Errors
/// The file cannot be read, is not SQL, or is empty.
pub(super) fn read(job: &Job, session: &Session) -> Result<Vec<Statement>> {
    let failed = |source| CliError::File { action: "read", path: job.path().to_path_buf(), source };
    let statements = session.statements(&std::fs::read_to_string(job.path()).map_err(failed)?)?;
    match statements.is_empty() {
        true => Err(CliError::Usage(format!("there is no statement in '{}'", job.path().display()))),
        false => Ok(statements),
    }
}

/// What a run knows of itself: `$run_id`, `$run_at`, `$run_date`, `$until`, and `$since` where it was asked for.
pub(super) fn built_in(id: &str, started_at: i64, window: Window) -> Result<Vec<(&'static str, Expr)>> {
    let text = |text: &str| Expr::value(Value::SingleQuotedString(text.to_owned()));
    let time = |microseconds: i64| {
        let time = instant(microseconds);
        let time = time.trim_end_matches('Z');
        let literal = format!("TIMESTAMP '{}'", time.strip_suffix(".000000").unwrap_or(time));
        let parsed = Parser::new(&GenericDialect {}).try_with_sql(&literal).and_then(|mut parser| parser.parse_expr());
        parsed.map_err(CliError::part)
    };
    let started = instant(started_at);
    let date = started.split_once('T').map_or(started.as_str(), |(date, _)| date);
    let mut values = vec![("run_id", text(id)), ("run_date", text(date))];
    values.extend([("run_at", time(started_at)?), ("until", time(window.until)?)]);
    if let Some(since) = window.since {
        values.push(("since", time(since)?));
    }
    Ok(values)
}

/// Where the run is while its statements are worked on, so that whoever is left records its end.
#[derive(Default)]
struct Slot(Mutex<Option<ActiveRun>>);

impl Slot {
    fn run(&self) -> MutexGuard<'_, Option<ActiveRun>> {
        // A record is whole between any two steps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, change: impl FnOnce(&mut ActiveRun) -> jobs::Result<()>) -> Result<()> {
        self.run().as_mut().map_or(Ok(()), change).map_err(jobs_error)
    }

    /// Writes down how the run has ended, where that is not written yet.
    fn finish<T>(&self, done: &Result<T>) -> Result<()> {
        match done {
            Ok(_) => Ok(()),
            Err(CliError::Interrupted(_)) => self.record(ActiveRun::cancel),
            Err(error) => {
                let attempts = |run: &ActiveRun| run.record().statements.last().map_or(1, |one| one.attempts);
                self.record(|run| run.fail(&recorded(error), attempts(run)))
            }
        }
    }
}

/// What the statements need.
struct Work {
    session: Arc<Session>,
    statements: Vec<Statement>,
    terminal: Terminal,
    log: JobLog,
    retries: u32,
    slot: Arc<Slot>,
}

impl Work {
    /// All statements, to the first that fails.
    async fn statements(&self, output: &mut Output) -> Result<()> {
        for (index, statement) in self.statements.iter().enumerate() {
            let mut attempts = 0;
            let outcome = self.attempts(index + 1, statement, output, &mut attempts).await;
            let end = match &outcome {
                Ok(outcome) => self.slot.record(|run| run.succeed(outcome.rows(), attempts)),
                Err(error) => self.slot.record(|run| run.fail(&recorded(error), attempts)),
            };
            if let Some(run) = self.slot.run().as_ref() {
                self.log.statement_ends(run.record(), index);
            }
            let (number, line) = (index + 1, statement.line);
            outcome.map_err(|source| match source {
                CliError::Temporary(reason) => {
                    CliError::Temporary(format!("statement {number} (line {line}): {reason}"))
                }
                source => CliError::Statement { number, line, source: Box::new(source) },
            })?;
            end?;
        }
        Ok(())
    }

    /// One statement, again where an object store did not answer and nothing was printed or left behind.
    async fn attempts(
        &self,
        number: usize,
        statement: &Statement,
        output: &mut Output,
        attempts: &mut u32,
    ) -> Result<Outcome> {
        let mut backoff = Backoff::default();
        loop {
            *attempts += 1;
            let written = output.written();
            let mut repeats = true;
            let error = match self.attempt(statement, output, &mut repeats).await {
                Err(CliError::Query(error)) if is_transient(&error) => CliError::Query(error),
                other => return other,
            };
            if !repeats || output.written() > written {
                return Err(CliError::Temporary(format!(
                    "{error} (not tried again: a part of what the statement does is done)"
                )));
            }
            if *attempts > self.retries {
                return Err(CliError::Temporary(format!("{error} (after {})", times(*attempts))));
            }
            let pause = backoff.pause(*attempts);
            self.slot.record(|run| {
                self.log.retry(run.record(), number, *attempts, pause, &recorded(&error));
                run.retry(*attempts + 1)
            })?;
            tokio::time::sleep(pause).await;
        }
    }

    /// `repeats` says in the end whether there can be another attempt: planning does nothing yet.
    async fn attempt(&self, statement: &Statement, output: &mut Output, repeats: &mut bool) -> Result<Outcome> {
        let plan = self.session.plan(statement.clone()).await?;
        repeatable::check(&plan)?;
        *repeats = repeatable::leaves_nothing_half_done(&plan)?;
        execute::run_logical(&self.session, plan, output, &self.terminal).await
    }
}

/// An error as it is written down.
fn recorded(error: &CliError) -> String {
    short(&without_credentials(&error.to_string()), LONGEST_ERROR)
}

fn times(attempts: u32) -> String {
    if attempts == 1 { "one attempt".to_owned() } else { format!("{attempts} attempts") }
}

fn jobs_error(error: jobs::Error) -> CliError {
    match error {
        jobs::Error::Locked { .. } => CliError::Temporary(error.to_string()),
        error => CliError::part(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_run_knows_itself() {
        let window = Window { since: Some(0), until: 1_735_689_599_000_000 };
        let values: Vec<String> = built_in("id", 1_735_689_599_000_001, window)
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        let expected = [
            "run_id 'id'",
            "run_date '2024-12-31'",
            "run_at TIMESTAMP '2024-12-31T23:59:59.000001'",
            "until TIMESTAMP '2024-12-31T23:59:59'",
            "since TIMESTAMP '1970-01-01T00:00:00'",
        ];
        assert_eq!(values, expected);
    }
}
