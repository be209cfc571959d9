//! `debut model`: the statements about models, for those who are not in SQL.
//!
//! Takes the command's arguments; gives the result of the same call that `CREATE MODEL` and its kin make.

use std::process::ExitCode;

use datafusion::common::ScalarValue;

use super::args::{Common, Model};
use super::error::Result;
use super::output::{Format, Output};
use super::progress::Terminal;
use super::task::Tasks;
use super::{execute, open};
use crate::engine::Statement;
use crate::engine::statements::{FunctionCall, Kind};

/// Runs the command.
///
/// # Errors
/// What the registry or an import says.
pub(super) fn run(command: Model, common: &Common, tasks: &Tasks, terminal: &Terminal) -> Result<ExitCode> {
    let session = open(common, terminal)?;
    let mut output = Output::open(Format::Table, None, Some(0))?;
    let statement = Statement { kind: Kind::Model(call(command)), line: 1 };
    let terminal = terminal.clone();
    tasks.run(async move {
        execute::run(&session, statement, &mut output, &terminal).await?;
        output.commit()
    })?;
    Ok(ExitCode::SUCCESS)
}

fn call(command: Model) -> FunctionCall {
    let (name, arguments): (_, Vec<ScalarValue>) = match command {
        Model::Import { name, source, options } => {
            let options = options.into_iter().map(|(key, value)| format!("{key}={value}").into());
            ("create_model", [name.into(), source.into()].into_iter().chain(options).collect())
        }
        Model::List => ("show_models", vec![]),
        Model::Show { name } => ("describe_model", vec![name.into()]),
        Model::Remove { name } => ("drop_model", vec![name.into(), false.into()]),
    };
    FunctionCall { name, arguments }
}
