//! The shell's own commands, which start with a backslash.
//!
//! Takes what stands behind it; gives the command.

use std::str::FromStr;

use clap::ValueEnum;

use crate::cli::output::Format;

/// What `\?` shows.
pub(super) const HELP: &str = "\
  \\q              leave (also Ctrl-D)
  \\d              list the tables
  \\d NAME         describe a table or a file
  \\df [WORD]      list the functions
  \\models         list the models
  \\timing [on|off] show how long a statement took
  \\format [NAME]  the format of results: table, csv, tsv, json, ndjson
  \\?              this help
A statement ends with a semicolon. Ctrl-C stops a query. Files are tables: SELECT * FROM 'products.parquet';";

/// The tables but those that describe them.
const TABLES: &str = "SELECT table_schema AS schema, table_name AS name, table_type AS kind \
    FROM information_schema.tables WHERE table_schema <> 'information_schema' ORDER BY 1, 2";

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Leave.
    Quit,
    /// Show [`HELP`].
    Help,
    /// Switch the line under results, or turn it over.
    Timing(Option<bool>),
    /// Change the format, or show it.
    Format(Option<Format>),
    /// What is short for a statement.
    Sql(String),
}

impl FromStr for Command {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let argument = argument.trim().trim_end_matches(';');
        match (word, argument) {
            ("q" | "quit" | "exit", "") => Ok(Self::Quit),
            ("?" | "h" | "help", "") => Ok(Self::Help),
            ("timing", "") => Ok(Self::Timing(None)),
            ("timing", "on") => Ok(Self::Timing(Some(true))),
            ("timing", "off") => Ok(Self::Timing(Some(false))),
            ("format", "") => Ok(Self::Format(None)),
            ("format", name) => match Format::from_str(name, true) {
                Ok(format) => Ok(Self::Format(Some(format))),
                Err(_) => Err(format!("there is no format '{name}'; the formats are table, csv, tsv, json, ndjson")),
            },
            ("d", "") => Ok(Self::Sql(TABLES.to_string())),
            ("d", name) => Ok(Self::Sql(format!("DESCRIBE {}", relation(name)))),
            ("df", "") => Ok(Self::Sql(functions(""))),
            ("df", word) => Ok(Self::Sql(functions(word))),
            ("models", "") => Ok(Self::Sql("SHOW MODELS".to_string())),
            _ => Err(format!("there is no command '\\{text}'; \\? lists them")),
        }
    }
}

/// The name that a person types for a format.
pub(super) fn name(format: Format) -> String {
    format.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
}

/// A file's name needs quotes in SQL; a table's is left as it is.
fn relation(name: &str) -> String {
    let is_file = name.contains(['/', '\\']) || name.contains('.') && std::path::Path::new(name).exists();
    if is_file && !name.starts_with(['\'', '"']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.into() }
}

fn functions(word: &str) -> String {
    format!(
        "SELECT DISTINCT routine_name AS name, function_type AS kind, syntax_example AS usage, description \
         FROM information_schema.routines WHERE routine_name LIKE '%{}%' ORDER BY name",
        word.replace('\'', "''")
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        assert_eq!("q".parse(), Ok(Command::Quit));
        assert_eq!("timing off".parse(), Ok(Command::Timing(Some(false))));
        assert_eq!("format ndjson".parse(), Ok(Command::Format(Some(Format::Ndjson))));
        assert_eq!("d products;".parse(), Ok(Command::Sql("DESCRIBE products".into())));
        assert_eq!("d some/file.parquet".parse(), Ok(Command::Sql("DESCRIBE \"some/file.parquet\"".into())));
        for wrong in ["", "x", "q now", "format xml", "timing maybe"] {
            assert!(wrong.parse::<Command>().is_err(), "{wrong}");
        }
    }
}
