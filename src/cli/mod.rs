//! The command line: thin shells over [`crate::engine`].
//!
//! Takes the process's arguments; gives its exit status. Results go to stdout, everything else to stderr. In the order
//! that a command passes through:
//! - [`args`]: what may be written on the command line; `values`: sizes, durations and addresses
//! - `sql`, `run`, `schedule`, `shell`, `demo`, `model`, `report`, `serve`, `user`, `cache`, `doctor`: the commands
//! - `job_log`: what a run of a job says; `messages`: what else is said where programs read it
//! - `parameters`: `--param k=v` and the `$k` of a script
//! - `execute`: statements one after another, each to an output
//! - `output`: formats and destinations
//! - `progress`: what a person sees while a query runs
//! - `task`: work that a signal can stop
//! - `error`: one clean message, and the exit status

mod args;
mod cache;
mod demo;
mod doctor;
mod error;
mod execute;
mod job_log;
mod messages;
mod model;
mod output;
mod parameters;
mod progress;
mod report;
mod run;
mod schedule;
mod serve;
mod shell;
mod sql;
mod task;
mod user;
mod values;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use clap::error::ErrorKind;

use crate::engine::{Access, Engine, EngineOptions, Session};
use crate::home::Home;
use crate::inference::Models;
use args::{Arguments, Command, Common};
use error::{CliError, Result};
use messages::Messages;
use progress::Terminal;
use task::Tasks;

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    task::quiet_panics(false);
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let json = arguments.logs_json();
    task::quiet_panics(json);
    logging(json);
    let status = dispatch(arguments).unwrap_or_else(|error| error.report());
    // A run that was cancelled may still be winding down; the runtime must not be torn down under it.
    Models::unload_all();
    status
}

fn dispatch(Arguments { common, command }: Arguments) -> Result<ExitCode> {
    let terminal = Terminal::new();
    let tasks = Tasks::new()?;
    match command {
        None if std::io::stdin().is_terminal() => shell::run(&common, &tasks, &terminal),
        None => sql::run(args::Sql::from_stdin(), &common, &tasks, &terminal),
        Some(Command::Sql(sql)) => sql::run(sql, &common, &tasks, &terminal),
        Some(Command::Run(arguments)) => run::run(arguments, &common, &tasks),
        Some(Command::Schedule(arguments)) => schedule::run(&arguments, &common, &terminal),
        Some(Command::Model(command)) => model::run(command, &common, &tasks, &terminal),
        Some(Command::Report(report)) => report::run(&report),
        Some(Command::Demo(demo)) => demo::run(&demo, &common, &tasks, &terminal),
        Some(Command::Serve(arguments)) => serve::run(*arguments, &common, &tasks, &terminal),
        Some(Command::User(command)) => user::run(command),
        Some(Command::Cache(command)) => cache::run(&command, &common),
        Some(Command::Doctor(doctor)) => doctor::run(&doctor, &common, &tasks, &terminal),
    }
}

/// Opens the engine as the common options say. Touches no model and no runtime.
fn open(common: &Common, terminal: &Terminal) -> Result<Arc<Session>> {
    let models = Arc::new(Models::with_progress(Home::from_env(), terminal.sink()));
    let session =
        Engine::open(models, &engine_options(common)).and_then(|engine| engine.session(&Access::everything()));
    Ok(Arc::new(session.map_err(CliError::query)?))
}

/// What the common options say of the engine.
fn engine_options(common: &Common) -> EngineOptions {
    EngineOptions {
        device: common.device,
        offline: common.offline,
        memory_limit: common.memory_limit,
        cache: common.cache,
        cache_folder: common.cache_folder.clone(),
        cache_size: common.cache_size,
        ..EngineOptions::default()
    }
}

/// clap's messages; help and version are no mistakes.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed stdout or stderr is nothing to complain about, least of all there.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}

/// Writes a line to stderr. Unlike `eprintln!`, it does not panic when nobody reads it.
fn note(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// `DEBUT_LOG=debug` shows what the parts log; without it they are silent.
fn logging(json: bool) {
    let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("DEBUT_LOG") else { return };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter);
    // A second subscriber cannot be set; there is none before this one.
    let _ = match json {
        true => subscriber.with_ansi(false).with_writer(|| Messages).try_init(),
        false => subscriber.with_writer(std::io::stderr).try_init(),
    };
}
