//! The shell: statements as a person types them.
//!
//! Takes lines from a terminal; gives results under them. A statement ends with a semicolon and may span lines; a line
//! that starts with a backslash is a command of the shell. Ctrl-C stops a query, or clears the line; Ctrl-D leaves.

mod commands;
mod helper;

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Editor, EventHandler, KeyCode, KeyEvent, Modifiers};

use super::args::Common;
use super::error::{CliError, Result};
use super::execute;
use super::output::{Format, Output};
use super::progress::Terminal;
use super::task::Tasks;
use super::{note, open};
use crate::engine::Session;
use crate::home::Home;
use commands::{Command, HELP};
use helper::ShellHelper;

/// Lines that are remembered.
const HISTORY: usize = 5_000;

/// Reads and runs statements until the user leaves.
///
/// # Errors
/// The engine cannot start or the terminal cannot be read. A statement's error is shown, and the shell goes on.
pub(super) fn run(common: &Common, tasks: &Tasks, terminal: &Terminal) -> Result<ExitCode> {
    let session = open(common, terminal)?;
    let mut editor: Editor<ShellHelper, FileHistory> = Editor::new().map_err(CliError::part)?;
    editor.set_max_history_size(HISTORY).map_err(CliError::part)?;
    let color = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    editor.set_helper(Some(ShellHelper::new(&session, color)));
    // Alt-Enter makes a line break inside a finished statement.
    let alt_enter = KeyEvent(KeyCode::Enter, Modifiers::ALT);
    editor.bind_sequence(alt_enter, EventHandler::Simple(rustyline::Cmd::Newline));
    let history = History::open(&mut editor);
    note(format_args!("Debut {} - \\? for help, \\q to leave", env!("CARGO_PKG_VERSION")));
    let mut shell = Shell { session, tasks, terminal, format: Format::Table, timing: true };
    loop {
        match editor.readline("debut> ") {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => {
                // Not being able to remember a line is no reason to refuse it.
                let _ = editor.add_history_entry(line.trim());
                if !shell.line(line.trim()) {
                    break;
                }
                if let Some(helper) = editor.helper_mut() {
                    helper.learn(&shell.session);
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(CliError::part(error)),
        }
    }
    history.save(&mut editor);
    Ok(ExitCode::SUCCESS)
}

struct Shell<'a> {
    session: Arc<Session>,
    tasks: &'a Tasks,
    terminal: &'a Terminal,
    format: Format,
    timing: bool,
}

impl Shell<'_> {
    /// Does what a line says; false when it says to leave.
    fn line(&mut self, line: &str) -> bool {
        let Some(command) = line.strip_prefix('\\') else {
            self.sql(line.to_string());
            return true;
        };
        match command.parse() {
            Ok(Command::Quit) => return false,
            Ok(Command::Help) => note(HELP),
            Ok(Command::Timing(on)) => {
                self.timing = on.unwrap_or(!self.timing);
                note(format_args!("timing is {}", if self.timing { "on" } else { "off" }));
            }
            Ok(Command::Format(format)) => {
                self.format = format.unwrap_or(self.format);
                note(format_args!("format is {}", commands::name(self.format)));
            }
            Ok(Command::Sql(sql)) => self.sql(sql),
            Err(message) => note(message),
        }
        true
    }

    fn sql(&self, sql: String) {
        if let Err(error) = self.try_sql(sql) {
            error.report();
        }
    }

    fn try_sql(&self, sql: String) -> Result<()> {
        let session = Arc::clone(&self.session);
        let (terminal, timing) = (self.terminal.clone(), self.timing);
        let mut output = Output::open(self.format, None, None)?;
        self.tasks.run(async move {
            for statement in session.statements(&sql)? {
                let begun = Instant::now();
                let outcome = execute::run(&session, statement, &mut output, &terminal).await?;
                if timing {
                    terminal.step(&outcome.summary(begun.elapsed()));
                }
            }
            output.commit()
        })
    }
}

/// What was typed, kept in the home for this user's eyes only: SQL may hold secrets.
struct History {
    path: PathBuf,
}

impl History {
    fn open(editor: &mut Editor<ShellHelper, FileHistory>) -> Self {
        let path = Home::from_env().root().join("history");
        // There is none the first time.
        let _ = editor.load_history(&path);
        Self { path }
    }

    /// Adds the new lines to the file, which another shell may have written to meanwhile.
    fn save(&self, editor: &mut Editor<ShellHelper, FileHistory>) {
        let saved = self.path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(ReadlineError::from);
        if let Err(error) = saved.and_then(|()| editor.append_history(&self.path)) {
            note(format_args!("the history could not be saved in '{}': {error}", self.path.display()));
        }
    }
}
