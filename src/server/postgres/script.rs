//! What a client sends as SQL, in statements: takes a text; gives each statement's own text.
//!
//! A text is split where the tokenizer sees a semicolon, so that strings and comments may hold them.

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::error::{PgError, codes};
use crate::server::nesting;

/// One statement of a text.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    /// Its text.
    pub(super) sql: &'a str,
    /// How many characters of the whole text stand before it.
    pub(super) before: usize,
    /// Its tokens, without spaces and comments.
    pub(super) tokens: Vec<Token>,
    /// Where each token begins, in bytes of its text.
    pub(super) starts: Vec<usize>,
}

/// Splits a text into its statements; empty ones are left out.
///
/// # Errors
/// A string or comment does not end, or a statement nests too deep.
pub(super) fn split<'a>(sql: &'a str, dialect: &dyn Dialect) -> Result<Vec<Piece<'a>>, PgError> {
    let tokens = Tokenizer::new(dialect, sql).tokenize_with_location().map_err(|error| {
        let place = offset(sql, error.location);
        PgError {
            position: Some(sql[..place].chars().count() + 1),
            ..PgError::error(codes::SYNTAX_ERROR, format!("SQL: {error}"))
        }
    })?;
    let mut offsets = Offsets { text: sql, line: 1, column: 1, byte: 0 };
    let mut pieces = Vec::new();
    let mut piece: Vec<(Token, usize)> = Vec::new();
    for TokenWithSpan { token, span } in tokens {
        let at = offsets.of(span.start);
        match token {
            Token::EOF | Token::Whitespace(_) => {}
            Token::SemiColon => finish(&mut piece, sql, at, &mut pieces),
            token => piece.push((token, at)),
        }
    }
    finish(&mut piece, sql, sql.len(), &mut pieces);
    match pieces.iter().find_map(|piece| nesting::too_deep(&piece.tokens)) {
        Some(message) => Err(PgError::error(codes::STATEMENT_TOO_COMPLEX, message).hint("IN (...) takes long lists")),
        None => Ok(pieces),
    }
}

fn finish<'a>(piece: &mut Vec<(Token, usize)>, sql: &'a str, end: usize, pieces: &mut Vec<Piece<'a>>) {
    let Some((_, start)) = piece.first() else { return };
    let start = *start;
    let (tokens, starts) = piece.drain(..).map(|(token, at)| (token, at - start)).unzip();
    let before = sql[..start].chars().count();
    pieces.push(Piece { sql: sql[start..end].trim_end(), before, tokens, starts });
}

/// Bytes before a place; places come in their order.
struct Offsets<'a> {
    text: &'a str,
    line: u64,
    column: u64,
    byte: usize,
}

impl Offsets<'_> {
    fn of(&mut self, place: Location) -> usize {
        for letter in self.text[self.byte..].chars() {
            if (self.line, self.column) >= (place.line, place.column) {
                break;
            }
            self.byte += letter.len_utf8();
            if letter == '\n' {
                (self.line, self.column) = (self.line + 1, 1);
            } else {
                self.column += 1;
            }
        }
        self.byte
    }
}

fn offset(text: &str, place: Location) -> usize {
    Offsets { text, line: 1, column: 1, byte: 0 }.of(place)
}

impl<'a> Piece<'a> {
    /// What follows so many bytes of it, which is where a token begins.
    pub(super) fn from(&self, start: usize) -> Piece<'a> {
        let passed = self.starts.iter().take_while(|at| **at < start).count();
        let before = self.sql.get(..start).map_or(0, |before| before.chars().count());
        Piece {
            sql: self.sql.get(start..).unwrap_or_default(),
            before: self.before + before,
            tokens: self.tokens[passed..].to_vec(),
            starts: self.starts[passed..].iter().map(|at| at - start).collect(),
        }
    }

    /// The position, in the whole text, of what an error says about this statement.
    pub(super) fn placed(&self, error: PgError) -> PgError {
        PgError { position: error.position.map(|position| position + self.before), ..error }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    #[test]
    fn a_text_is_split_outside_strings_and_comments() {
        let sql = "SELECT ';é' -- ;\n, 1;;\n/* ; */ SHOW x ;\n SELECT 2";
        let pieces = split(sql, &GenericDialect {}).unwrap();
        let texts: Vec<_> = pieces.iter().map(|piece| (piece.sql, piece.before)).collect();
        assert_eq!(texts, [("SELECT ';é' -- ;\n, 1", 0), ("SHOW x", 31), ("SELECT 2", 41)]);
        assert!(split(" ; -- x", &GenericDialect {}).unwrap().is_empty());
        let error = split("SELECT 'x", &GenericDialect {}).unwrap_err();
        assert_eq!((error.code, error.position), (codes::SYNTAX_ERROR, Some(8)));
    }

    #[test]
    fn what_nests_too_deep_is_refused_and_a_list_is_not() {
        let refused = |sql: String| split(&sql, &GenericDialect {}).err().map(|error| error.code);
        for deep in [
            format!("SELECT 1{}", " + 1".repeat(2000)),
            format!("SELECT {}true", "NOT ".repeat(2000)),
            format!("SELECT {}1{}", "(1 + ".repeat(800), ")".repeat(800)),
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(2000)),
            format!("SELECT 1{}", "::INT".repeat(2000)),
        ] {
            assert_eq!(refused(deep.clone()), Some(codes::STATEMENT_TOO_COMPLEX), "{}", &deep[..40]);
        }
        for flat in [
            format!("SELECT 1 IN (1{})", ", -1 + 2".repeat(20_000)),
            format!("SELECT a{} FROM t", ", a + 1 AS b".repeat(5000)),
            format!("SELECT 1{}", " OR a = 1".repeat(300)),
            ")".repeat(10),
        ] {
            assert_eq!(refused(flat.clone()), None, "{}", &flat[..10]);
        }
    }
}
