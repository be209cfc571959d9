//! `COPY ... TO STDOUT`, by which psql's `\copy` and drivers export: takes a statement's words; gives the query whose rows are
//! wanted and the layout to write them in.
//!
//! `COPY ... TO 'file'` is the engine's. What reads from the client (`FROM STDIN`) is refused: there is nothing to write into.

use std::ops::Range;

use bytes::BytesMut;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::backend;
use super::encode::{Column, Plain};
use super::error::{PgError, codes};
use super::script::Piece;

/// How rows are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    csv: bool,
    /// Whether the names of the columns come first.
    pub(super) header: bool,
    delimiter: u8,
    /// What stands for NULL.
    null: String,
    quote: u8,
    escape: u8,
}

/// A statement that wants rows as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CopyOut {
    /// The query.
    pub(super) query: String,
    /// The layout.
    pub(super) layout: Layout,
}

/// What a statement wants, if it is `COPY ... TO STDOUT`.
///
/// # Errors
/// An option is not known, or rows are to be read from the client.
pub(super) fn of(piece: &Piece<'_>) -> Result<Option<CopyOut>, PgError> {
    let mut words = Words { piece, at: 0 };
    if !words.take("COPY") {
        return Ok(None);
    }
    let query = if words.piece.tokens.get(words.at) == Some(&Token::LParen) {
        words.parenthesized().map(str::to_string)
    } else {
        let start = words.start();
        while matches!(words.token(), Some(Token::Word(_) | Token::Period)) && !words.is("TO") && !words.is("FROM") {
            words.at += 1;
        }
        let table = piece.sql.get(start..words.start()).unwrap_or_default();
        let columns = if words.token() == Some(&Token::LParen) { words.parenthesized() } else { Some("*") };
        columns.map(|columns| format!("SELECT {columns} FROM {table}"))
    };
    if words.take("FROM") && words.take("STDIN") {
        let error = PgError::error(codes::FEATURE_NOT_SUPPORTED, "COPY ... FROM STDIN: rows of a client are not taken");
        return Err(error.hint("put the file where the server reads and name it: SELECT * FROM 'file.csv'"));
    }
    match query {
        Some(query) if words.take("TO") && words.take("STDOUT") => {
            Ok(Some(CopyOut { query, layout: words.options()?.layout()? }))
        }
        _ => Ok(None),
    }
}

/// What the options say.
#[derive(Debug, Default)]
struct Options {
    csv: bool,
    header: bool,
    delimiter: Option<String>,
    null: Option<String>,
    quote: Option<String>,
    escape: Option<String>,
}

impl Options {
    fn layout(self) -> Result<Layout, PgError> {
        let Self { csv, header, delimiter, null, quote, escape } = self;
        if !csv && (quote.is_some() || escape.is_some()) {
            return Err(PgError::error(codes::FEATURE_NOT_SUPPORTED, "COPY: QUOTE and ESCAPE need the format csv"));
        }
        let one = |option: &str, given: Option<String>, default: u8| match given.as_deref().map(str::as_bytes) {
            None => Ok(default),
            Some([byte]) if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(*byte),
            Some(_) => {
                let message = format!("COPY: {option} is one character of one byte, and no end of a line");
                Err(PgError::error(codes::INVALID_PARAMETER_VALUE, message))
            }
        };
        let delimiter = one("DELIMITER", delimiter, if csv { b',' } else { b'\t' })?;
        let quote = one("QUOTE", quote, b'"')?;
        let escape = one("ESCAPE", escape, quote)?;
        // What is part of a value could not be told from it.
        let taken =
            if csv { delimiter == quote } else { delimiter.is_ascii_alphanumeric() || b"\\.".contains(&delimiter) };
        if taken {
            let message = format!("COPY: the delimiter cannot be \"{}\"", char::from(delimiter));
            return Err(PgError::error(codes::INVALID_PARAMETER_VALUE, message));
        }
        let null = null.unwrap_or_else(|| if csv { String::new() } else { "\\N".to_string() });
        Ok(Layout { csv, header, delimiter, null, quote, escape })
    }
}

impl Layout {
    /// Appends the names of the columns as a line.
    pub(super) fn names(&self, columns: &[Column], output: &mut BytesMut) {
        self.line(columns.len(), output, |index, value| {
            value.extend_from_slice(columns[index].name().as_bytes());
            Ok(true)
        })
        // Names are there.
        .unwrap_or_default();
    }

    /// Appends these rows, a line each.
    ///
    /// # Errors
    /// A value has no text.
    pub(super) fn rows(
        &self,
        batch: &Plain,
        rows: Range<usize>,
        columns: &[Column],
        output: &mut BytesMut,
    ) -> Result<(), PgError> {
        for row in rows {
            self.line(columns.len(), output, |index, value| batch.text(row, index, columns, value))?;
        }
        Ok(())
    }

    /// Appends a line, of whose values `write` appends the text, or says that there is none.
    fn line(
        &self,
        values: usize,
        output: &mut BytesMut,
        mut write: impl FnMut(usize, &mut BytesMut) -> Result<bool, PgError>,
    ) -> Result<(), PgError> {
        let mut value = BytesMut::new();
        let mut written = Ok(());
        let start = output.len();
        backend::copy_data(output, |body| {
            for index in 0..values {
                if index > 0 {
                    body.extend_from_slice(&[self.delimiter]);
                }
                value.clear();
                match write(index, &mut value) {
                    Ok(true) if self.csv => self.quoted(&value, values == 1, body),
                    Ok(true) => self.escaped(&value, body),
                    Ok(false) => body.extend_from_slice(self.null.as_bytes()),
                    Err(error) => {
                        written = Err(error);
                        return;
                    }
                }
            }
            body.extend_from_slice(b"\n");
        });
        if written.is_err() {
            output.truncate(start);
        }
        written
    }

    /// A value of csv, in quotes where it must be; alone in its line, the mark of an end is one that must.
    fn quoted(&self, value: &[u8], alone: bool, output: &mut BytesMut) {
        let special = |byte: &u8| *byte == self.delimiter || *byte == self.quote || matches!(byte, b'\n' | b'\r');
        if value != self.null.as_bytes() && !value.iter().any(special) && !(alone && value == b"\\.") {
            output.extend_from_slice(value);
            return;
        }
        output.extend_from_slice(&[self.quote]);
        for byte in value {
            if *byte == self.quote || *byte == self.escape {
                output.extend_from_slice(&[self.escape]);
            }
            output.extend_from_slice(&[*byte]);
        }
        output.extend_from_slice(&[self.quote]);
    }

    /// A value of the format text.
    fn escaped(&self, value: &[u8], output: &mut BytesMut) {
        for byte in value {
            let letter = match *byte {
                b'\\' => b'\\',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                8 => b'b',
                11 => b'v',
                12 => b'f',
                byte if byte == self.delimiter => byte,
                byte => {
                    output.extend_from_slice(&[byte]);
                    continue;
                }
            };
            output.extend_from_slice(&[b'\\', letter]);
        }
    }
}

/// Reads the words of a statement, one after another.
struct Words<'a> {
    piece: &'a Piece<'a>,
    at: usize,
}

impl<'a> Words<'a> {
    fn token(&self) -> Option<&'a Token> {
        self.piece.tokens.get(self.at)
    }

    /// Where the next token begins, in bytes.
    fn start(&self) -> usize {
        self.piece.starts.get(self.at).copied().unwrap_or(self.piece.sql.len())
    }

    fn is(&self, word: &str) -> bool {
        matches!(self.token(), Some(Token::Word(it)) if it.quote_style.is_none() && it.value.eq_ignore_ascii_case(word))
    }

    fn take(&mut self, word: &str) -> bool {
        let is = self.is(word);
        self.at += usize::from(is);
        is
    }

    /// What stands between parentheses that open here, which are passed; `None` where they do not close.
    fn parenthesized(&mut self) -> Option<&'a str> {
        let mut depth = 0_usize;
        let open = self.start();
        while let Some(token) = self.token() {
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            let close = self.start();
            self.at += 1;
            if depth == 0 {
                return self.piece.sql.get(open + 1..close);
            }
        }
        None
    }

    /// `[WITH] (FORMAT csv, HEADER true, ...)`, or `[WITH] CSV HEADER DELIMITER AS ';' ...`.
    fn options(&mut self) -> Result<Options, PgError> {
        let mut options = Options::default();
        let _ = self.take("WITH");
        let listed = self.token() == Some(&Token::LParen);
        self.at += usize::from(listed);
        while let Some(token) = self.token() {
            match token {
                Token::RParen if listed => {
                    self.at += 1;
                    break;
                }
                Token::Comma if listed => self.at += 1,
                Token::Word(word) => {
                    self.at += 1;
                    self.option(&word.value.to_ascii_uppercase(), listed, &mut options)?;
                }
                _ => break,
            }
        }
        match self.token() {
            None => Ok(options),
            Some(token) => {
                Err(PgError::error(codes::SYNTAX_ERROR, format!("COPY: syntax error at or near \"{token}\"")))
            }
        }
    }

    fn option(&mut self, name: &str, listed: bool, options: &mut Options) -> Result<(), PgError> {
        let unknown = |what: &str| {
            let message = format!("COPY ... TO STDOUT: {what} is not supported");
            PgError::error(codes::FEATURE_NOT_SUPPORTED, message)
                .hint("FORMAT text or csv, HEADER, DELIMITER, NULL, QUOTE, ESCAPE")
        };
        match name {
            "FORMAT" if listed => {
                let format = self.text(name)?;
                match format.to_ascii_lowercase().as_str() {
                    "csv" => options.csv = true,
                    "text" => {}
                    other => return Err(unknown(&format!("the format \"{other}\""))),
                }
            }
            "CSV" if !listed => options.csv = true,
            "HEADER" if listed && matches!(self.token(), Some(Token::Word(_) | Token::Number(..))) => {
                let given = self.token().map(|token| token.to_string().to_ascii_lowercase()).unwrap_or_default();
                self.at += 1;
                options.header = match given.as_str() {
                    "true" | "on" | "1" => true,
                    "false" | "off" | "0" => false,
                    other => return Err(unknown(&format!("HEADER {other}"))),
                };
            }
            "HEADER" => options.header = true,
            "DELIMITER" | "DELIMITERS" => options.delimiter = Some(self.text(name)?),
            "NULL" => options.null = Some(self.text(name)?),
            "QUOTE" => options.quote = Some(self.text(name)?),
            "ESCAPE" => options.escape = Some(self.text(name)?),
            "ENCODING" if matches!(self.text(name)?.to_ascii_uppercase().as_str(), "UTF8" | "UTF-8") => {}
            other => return Err(unknown(other)),
        }
        Ok(())
    }

    /// The value of an option.
    fn text(&mut self, option: &str) -> Result<String, PgError> {
        let _ = self.take("AS");
        let text = match self.token() {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => text.clone(),
            Some(Token::Word(word)) => word.value.clone(),
            _ => return Err(PgError::error(codes::SYNTAX_ERROR, format!("COPY: {option} needs a value"))),
        };
        self.at += 1;
        Ok(text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use super::super::script::split;
    use super::*;

    fn parsed(sql: &str) -> Result<Option<CopyOut>, PgError> {
        of(&split(sql, &GenericDialect {}).unwrap()[0])
    }

    #[test]
    fn the_query_and_its_layout_are_read() {
        let copy = parsed("COPY  ( SELECT 1 AS a, (2) ) TO STDOUT csv header").unwrap().unwrap();
        assert_eq!(copy.query.trim(), "SELECT 1 AS a, (2)");
        assert!(copy.layout.csv && copy.layout.header && copy.layout.delimiter == b',' && copy.layout.null.is_empty());
        let copy = parsed("copy public.\"T\" (a, b) to stdout").unwrap().unwrap();
        assert_eq!(copy.query.trim(), "SELECT a, b FROM public.\"T\"");
        assert_eq!((copy.layout.delimiter, copy.layout.null.as_str()), (b'\t', "\\N"));
        let listed = "COPY t TO STDOUT WITH (FORMAT csv, HEADER false, DELIMITER ';', NULL 'x', QUOTE '''')";
        let layout = parsed(listed).unwrap().unwrap().layout;
        assert!(!layout.header && layout.delimiter == b';' && layout.null == "x" && layout.escape == b'\'');
    }

    #[test]
    fn what_is_not_supported_is_told() {
        for (sql, code) in [
            ("COPY t FROM STDIN", codes::FEATURE_NOT_SUPPORTED),
            ("COPY t TO STDOUT (FORMAT binary)", codes::FEATURE_NOT_SUPPORTED),
            ("COPY t TO STDOUT (FORCE_QUOTE *)", codes::FEATURE_NOT_SUPPORTED),
            ("COPY t TO STDOUT (DELIMITER 'ab')", codes::INVALID_PARAMETER_VALUE),
            ("COPY t TO STDOUT (FORMAT csv, DELIMITER '\"')", codes::INVALID_PARAMETER_VALUE),
            ("COPY t TO STDOUT (QUOTE '''')", codes::FEATURE_NOT_SUPPORTED),
            ("COPY t TO STDOUT (NULL)", codes::SYNTAX_ERROR),
            ("COPY t TO STDOUT 5", codes::SYNTAX_ERROR),
        ] {
            assert_eq!(parsed(sql).unwrap_err().code, code, "{sql}");
        }
        for sql in ["SELECT 1", "COPY t TO 'file.csv'", "COPY (SELECT 1) TO 'x.parquet'", "COPY (SELECT", "COPY"] {
            assert_eq!(parsed(sql).unwrap(), None, "{sql}");
        }
    }

    #[test]
    fn values_are_written_so_that_they_can_be_read_again() {
        let layout = |options: &str| parsed(&format!("COPY t TO STDOUT {options}")).unwrap().unwrap().layout;
        let line = |layout: &Layout, values: &[Option<&str>]| {
            let mut output = BytesMut::new();
            let written = layout.line(values.len(), &mut output, |index, value| {
                value.extend_from_slice(values[index].unwrap_or_default().as_bytes());
                Ok(values[index].is_some())
            });
            written.unwrap();
            String::from_utf8(output[5..].to_vec()).unwrap()
        };
        let values = [Some("a"), None, Some(""), Some("a,\"b"), Some("x\ty\\\n")];
        assert_eq!(line(&layout("csv"), &values), "a,,\"\",\"a,\"\"b\",\"x\ty\\\n\"\n");
        assert_eq!(line(&layout(""), &values), "a\t\\N\t\ta,\"b\tx\\ty\\\\\\n\n");
        assert_eq!(line(&layout("csv"), &[Some("\\.")]), "\"\\.\"\n");
        assert_eq!(line(&layout("csv escape '\\'"), &[Some("\"\\"), None]), "\"\\\"\\\\\",\n");
    }
}
