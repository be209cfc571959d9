//! `debut sql`: a script from the command line, a file or a pipe.
//!
//! Takes the command's arguments; gives results on stdout or in a file.

use std::io::{IsTerminal, Read, stdin};
use std::path::Path;
use std::process::ExitCode;

use super::args::{Common, Sql};
use super::error::{CliError, Result};
use super::output::Output;
use super::progress::Terminal;
use super::task::Tasks;
use super::{execute, open, parameters};

/// Runs the script.
///
/// # Errors
/// There is none, it does not fit its parameters, or a statement fails.
pub(super) fn run(sql: Sql, common: &Common, tasks: &Tasks, terminal: &Terminal) -> Result<ExitCode> {
    let script = read(sql.command, sql.file.as_deref())?;
    let session = open(common, terminal)?;
    let mut statements = session.statements(&script)?;
    parameters::bind(&sql.parameters, &mut statements)?;
    let terminal = terminal.clone();
    tasks.run(async move {
        // Its temporary file is made where a signal finds who removes it.
        let mut output = Output::open(sql.format, sql.output.as_deref(), sql.max_rows)?;
        execute::script(&session, statements, &mut output, &terminal).await?;
        output.commit()
    })?;
    Ok(ExitCode::SUCCESS)
}

fn read(command: Option<String>, file: Option<&Path>) -> Result<String> {
    if let Some(command) = command {
        return Ok(command);
    }
    match file {
        Some(path) if path != Path::new("-") => std::fs::read_to_string(path).map_err(|source| CliError::File {
            action: "read",
            path: path.to_path_buf(),
            source,
        }),
        None if stdin().is_terminal() => Err(CliError::Usage(
            "no SQL: write it after -c, name a file after -f, or pipe it in (see debut sql --help)".to_string(),
        )),
        _ => {
            let mut script = String::new();
            stdin().read_to_string(&mut script).map_err(|source| CliError::File {
                action: "read",
                path: "stdin".into(),
                source,
            })?;
            Ok(script)
        }
    }
}
