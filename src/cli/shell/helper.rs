//! What the line editor knows of SQL: where a statement ends, colours, and how words go on.
//!
//! Takes the line as it is typed; gives what rustyline asks for. DataFusion's own helper refuses whatever its parser
//! does not know, such as `CREATE MODEL`; here the engine decides that.

use std::borrow::Cow;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use crate::engine::Session;

const KEYWORDS: &[&str] = &[
    "ANALYZE",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COPY",
    "CREATE",
    "CROSS",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "EXTERNAL",
    "FALSE",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LOCATION",
    "MODEL",
    "MODELS",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OPTIONS",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "RIGHT",
    "SELECT",
    "SET",
    "SHOW",
    "STORED",
    "TABLE",
    "TABLES",
    "THEN",
    "TO",
    "TRUE",
    "UNION",
    "USING",
    "VALUES",
    "VIEW",
    "WHEN",
    "WHERE",
    "WITH",
];

/// The helper of one shell.
pub(super) struct ShellHelper {
    /// Whether SQL is coloured.
    color: bool,
    files: FilenameCompleter,
    functions: Vec<String>,
    tables: Vec<String>,
}

impl ShellHelper {
    /// A helper that knows the session's functions and tables.
    pub(super) fn new(session: &Session, color: bool) -> Self {
        let state = session.context().state();
        let scalars = state.scalar_functions().keys();
        let functions = scalars.chain(state.aggregate_functions().keys()).chain(state.window_functions().keys());
        let mut functions: Vec<String> = functions.cloned().collect();
        functions.sort_unstable();
        functions.dedup();
        let mut helper = Self { color, files: FilenameCompleter::new(), functions, tables: Vec::new() };
        helper.learn(session);
        helper
    }

    /// Looks which tables there are now.
    pub(super) fn learn(&mut self, session: &Session) {
        let catalogs = &session.context().state().config_options().catalog.clone();
        let schema =
            session.context().catalog(&catalogs.default_catalog).and_then(|c| c.schema(&catalogs.default_schema));
        self.tables = schema.map(|schema| schema.table_names()).unwrap_or_default();
    }

    /// Words that go on from `start`: keywords in capitals unless small letters were typed.
    fn words(&self, start: &str) -> Vec<Pair> {
        let small = start.chars().any(char::is_lowercase);
        let keywords = KEYWORDS.iter().map(|word| if small { word.to_lowercase() } else { (*word).to_string() });
        let calls = self.functions.iter().map(|name| format!("{name}("));
        let words = self.tables.iter().cloned().chain(keywords).chain(calls);
        let fits = |word: &String| word.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
        words.filter(fits).map(|word| Pair { display: word.clone(), replacement: word }).collect()
    }
}

/// A line with the terminal's colours around keywords and texts; as it is while the tokenizer cannot read it, as in the middle
/// of a text.
fn colored(line: &str) -> Cow<'_, str> {
    const KEYWORD: &str = "\x1b[1;34m";
    const TEXT: &str = "\x1b[32m";
    const PLAIN: &str = "\x1b[0m";
    // Unescaped, a text would not have the letters that were typed.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, line).with_unescape(false).tokenize() else {
        return Cow::Borrowed(line);
    };
    let mut colored = String::with_capacity(2 * line.len());
    for token in tokens {
        let color = match &token {
            Token::Word(word) if word.keyword != Keyword::NoKeyword => KEYWORD,
            Token::SingleQuotedString(_) => TEXT,
            _ => "",
        };
        let end = if color.is_empty() { "" } else { PLAIN };
        colored.push_str(&format!("{color}{token}{end}"));
    }
    Cow::Owned(colored)
}

/// How far a text has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing but blanks and comments.
    Empty,
    /// More is to come.
    Open,
    /// The last statement has its semicolon.
    Complete,
}

fn progress(text: &str) -> Progress {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize() else {
        // A string or comment that has not ended; or text that no more typing mends, for the engine to explain. A
        // semicolon at the end of a line tells them apart: it is rare inside a string.
        let ends = text.trim_end().ends_with(';') && !open_string(text) && !open_comment(text);
        return if ends { Progress::Complete } else { Progress::Open };
    };
    match tokens.iter().rfind(|token| !matches!(token, Token::Whitespace(_))) {
        None => Progress::Empty,
        Some(Token::SemiColon) => Progress::Complete,
        Some(_) => Progress::Open,
    }
}

/// Whether a comment is open at the end of a text that the tokenizer refuses.
fn open_comment(text: &str) -> bool {
    text.rfind("/*") > text.rfind("*/")
}

/// Whether a quote is open at the end.
fn open_string(text: &str) -> bool {
    let mut quote = None;
    for letter in text.chars() {
        match quote {
            None if matches!(letter, '\'' | '"') => quote = Some(letter),
            Some(open) if open == letter => quote = None,
            _ => {}
        }
    }
    quote.is_some()
}

impl Validator for ShellHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let input = context.input();
        Ok(if input.trim_start().starts_with('\\') || progress(input) != Progress::Open {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

impl Completer for ShellHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..pos];
        if open_string(before) {
            return self.files.complete(line, pos, context);
        }
        let start = before
            .char_indices()
            .rfind(|(_, letter)| !letter.is_alphanumeric() && *letter != '_')
            .map_or(0, |(index, letter)| index + letter.len_utf8());
        let word = &before[start..];
        Ok((start, if word.is_empty() { Vec::new() } else { self.words(word) }))
    }
}

impl Highlighter for ShellHelper {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.color { colored(line) } else { Cow::Borrowed(line) }
    }

    fn highlight_char(&self, line: &str, _: usize, _: CmdKind) -> bool {
        self.color && !line.is_empty()
    }
}

impl Hinter for ShellHelper {
    type Hint = String;
}

impl Helper for ShellHelper {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_with_its_semicolon() {
        for complete in
            ["SELECT 1;", "CREATE MODEL m FROM 'x' ; ", "SELECT ';';", "SELECT 1; -- done", "SELECT 1; SELECT 2;"]
        {
            assert_eq!(progress(complete), Progress::Complete, "{complete}");
        }
        for open in [
            "SELECT 1",
            "SELECT ';",
            "SELECT 'a;\n",
            "SELECT 1 -- ;",
            "SELECT /* ;",
            "SELECT 1; SELECT 2",
            "SELECT \"a;",
        ] {
            assert_eq!(progress(open), Progress::Open, "{open}");
        }
        assert_eq!(progress("-- a thought\n"), Progress::Empty);
    }

    #[test]
    fn colours_leave_the_letters_as_they_were_typed() {
        for line in ["select embed('it''s')  FROM \"a b\" -- why", "SELECT 'open", "\\timing on", "sélect 1;", ""] {
            let colored = colored(line);
            let codes = ["\x1b[1;34m", "\x1b[32m", "\x1b[0m"];
            assert_eq!(codes.iter().fold(colored.to_string(), |text, code| text.replace(code, "")), line);
        }
        assert_eq!(colored("select 'a'"), "\x1b[1;34mselect\x1b[0m \x1b[32m'a'\x1b[0m");
    }

    #[test]
    fn quotes_inside_quotes_are_text() {
        assert!(open_string("SELECT 'it''s"));
        assert!(!open_string("SELECT 'it''s', \"a'b\""));
    }
}
