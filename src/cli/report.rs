//! `debut report`: a training run or an evaluation as one HTML page.
//!
//! Takes the command's arguments; gives the page's path on stdout. Reads the files of what is reported alone: no model,
//! no runtime, no network.

use std::io::Write;
use std::process::ExitCode;

use super::args::Report;
use super::error::{CliError, Result};
use super::output::destination::Destination;
use crate::home::Home;
use crate::recommend::evaluation::record::{PREFIX, Records};
use crate::report;
use crate::train::run::info::Status;
use crate::train::run::{Listed, Runs};

/// Writes the page and says where it is.
///
/// # Errors
/// There is no such run or evaluation, it is damaged, or the page cannot be written.
pub(super) fn run(arguments: &Report) -> Result<ExitCode> {
    let (usual, page) = if arguments.run.starts_with(PREFIX) {
        let records = Records::open(&Home::from_env());
        let record = records.find(&arguments.run).map_err(CliError::part)?;
        (records.path(&record.id).with_extension("html"), report::evaluation::page(&record))
    } else {
        let run = Runs::open(&Home::from_env()).find(&arguments.run).map_err(CliError::part)?;
        (run.folder.join(report::run::FILE), page(run)?)
    };
    let path = arguments.output.clone().unwrap_or(usual);
    let mut file = Destination::file(&path)?;
    file.write_all(page.as_bytes()).map_err(|source| CliError::File { action: "write", path: path.clone(), source })?;
    file.commit()?;
    match writeln!(std::io::stdout().lock(), "{}", path.display()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(CliError::Closed),
        printed => printed.map(|()| ExitCode::SUCCESS).map_err(CliError::part),
    }
}

fn page(run: Listed) -> Result<String> {
    let metrics = run.metrics().map_err(CliError::part)?;
    // A run that is damaged has no status, and its record says why.
    let status = run.status().unwrap_or(Status::Failed);
    let info = run.info.map_err(CliError::part)?;
    Ok(report::run::page(&info, status, &metrics))
}
