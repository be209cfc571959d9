//! `debut user`: who may connect to a server.
//!
//! Takes a name, and a password from a terminal or stdin, never from the command line, where other users of the machine could
//! read it; changes the file of users.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use super::args::User;
use super::error::{CliError, Result};
use super::note;
use crate::server::users::Users;

/// Longest password that is read.
const LONGEST: u64 = 4096;

/// Adds, removes or lists, or makes a token.
///
/// # Errors
/// The name or the password is none, or the file cannot be read or written.
pub(super) fn run(command: User) -> Result<ExitCode> {
    match command {
        User::Add { name, users } => {
            let users = Users::at(users).map_err(CliError::part)?;
            let password = password(&name)?;
            let new = users.add(&name, &password).map_err(CliError::part)?;
            let what = if new { "added" } else { "changed the password of" };
            note(format_args!("{what} user '{name}' in {}", users.path().display()));
        }
        User::Remove { name, users } => {
            let users = Users::at(users).map_err(CliError::part)?;
            users.remove(&name).map_err(CliError::part)?;
            note(format_args!("removed user '{name}' from {}", users.path().display()));
        }
        User::Token { name, users } => {
            let users = Users::at(users).map_err(CliError::part)?;
            let token = users.set_token(&name).map_err(CliError::part)?;
            note(format_args!("a new token of user '{name}', which is not shown again:"));
            if writeln!(io::stdout().lock(), "{token}").is_err() {
                return Err(CliError::Closed);
            }
        }
        User::List { users } => {
            let names = Users::at(users).and_then(|users| users.names()).map_err(CliError::part)?;
            let mut out = io::stdout().lock();
            for name in names {
                if writeln!(out, "{name}").is_err() {
                    return Err(CliError::Closed);
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks on a terminal, twice and without showing it; else the first line of stdin.
fn password(name: &str) -> Result<String> {
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        let mut input = io::Read::take(io::stdin().lock(), LONGEST);
        input.read_line(&mut line).map_err(CliError::part)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_string());
    }
    let ask = |prompt: String| rpassword::prompt_password(prompt).map_err(CliError::part);
    let first = ask(format!("Password for user '{name}': "))?;
    if first != ask("The same again: ".to_string())? {
        return Err(CliError::Usage("the passwords differ; nothing was changed".to_string()));
    }
    Ok(first)
}
