//! `debut schedule`: what to tell cron or systemd, so that it runs a job.
//!
//! Takes the command's arguments; gives a crontab line or units on stdout, and checks before that the job can be read and
//! has its parameters. Installs nothing.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use super::args::{Common, Schedule};
use super::error::{CliError, Result};
use super::progress::Terminal;
use super::run::{built_in, open_job, read};
use super::{open, parameters};
use crate::home::Home;
use crate::jobs::Window;
use crate::jobs::schedule::{Command, When, crontab, systemd};

/// Prints what to install.
///
/// # Errors
/// There is no such job, it lacks a parameter, or a path cannot be written into a line.
pub(super) fn run(arguments: &Schedule, common: &Common, terminal: &Terminal) -> Result<ExitCode> {
    let when = when(arguments)?;
    let job = open_job(&arguments.file)?;
    let session = open(common, terminal)?;
    let mut statements = read(&job, &session)?;
    let window = Window { since: arguments.since_last.then_some(0), until: 0 };
    parameters::bind_with(&arguments.parameters, &built_in("id", 0, window)?, &mut statements)?;

    let program = std::env::current_exe().map_err(CliError::part)?;
    let mut line = vec![path(&program)?, "run".to_owned(), path(job.path())?];
    for (name, value) in &arguments.parameters {
        line.extend(["--param".to_owned(), format!("{name}={value}")]);
    }
    if arguments.since_last {
        line.extend(["--since", "last"].map(str::to_owned));
    }
    if let Some(late) = arguments.late {
        let milliseconds = late.as_millis();
        let text = if milliseconds % 1000 == 0 { format!("{}s", late.as_secs()) } else { format!("{milliseconds}ms") };
        line.extend(["--late".to_owned(), text]);
    }
    line.extend(["--log", "json"].map(str::to_owned));
    if let Some(newline) = line.iter().find(|word| word.contains(['\n', '\r', '\0'])) {
        return Err(CliError::Usage(format!("{newline:?} has a line break, which no schedule can hold")));
    }
    let folder = std::env::current_dir().map_err(CliError::part)?;
    let home = std::path::absolute(Home::from_env().root()).map_err(CliError::part)?;
    let name = format!(
        "debut-{}",
        if arguments.parameters.is_empty() { job.name() } else { suffixed(&job.name(), arguments) }
    );
    let command = Command { name, arguments: line, folder: path(&folder)?, home: path(&home)? };
    let text = if arguments.systemd { systemd(&command, when) } else { crontab(&command, when) };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(CliError::Closed),
        printed => printed.map(|()| ExitCode::SUCCESS).map_err(CliError::part),
    }
}

fn when(arguments: &Schedule) -> Result<When> {
    let read = CliError::Usage;
    match (&arguments.daily, arguments.weekly.as_deref()) {
        (Some(time), _) => Ok(When::Daily(time.parse().map_err(read)?)),
        (None, Some([day, time])) => Ok(When::Weekly(day.parse().map_err(read)?, time.parse().map_err(read)?)),
        _ => Ok(When::Hourly),
    }
}

/// Two schedules of one job have different names where their parameters differ.
fn suffixed(name: &str, arguments: &Schedule) -> String {
    let values = arguments.parameters.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("-");
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    format!("{name}-{}", values.chars().take(40).map(plain).collect::<String>())
}

fn path(path: &Path) -> Result<String> {
    match path.to_str() {
        Some(text) if !text.contains(['\n', '\r']) => Ok(text.to_owned()),
        _ => Err(CliError::Usage(format!("the path '{}' has characters that no schedule can hold", path.display()))),
    }
}
