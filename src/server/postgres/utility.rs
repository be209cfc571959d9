//! Statements about the session: takes a statement's words; gives what it does, if it is about transactions, settings,
//! prepared statements or cursors. Everything else is the engine's.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::error::{PgError, codes};
use super::script::Piece;
use super::settings::is_setting;

/// A statement about the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Utility {
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, END.
    Commit,
    /// ROLLBACK, ABORT.
    Rollback,
    /// SAVEPOINT, RELEASE, ROLLBACK TO: the tag, and whether it ends a failed transaction's failure.
    Savepoint(&'static str, bool),
    /// SET.
    Set {
        /// The setting.
        name: String,
        /// `None` for DEFAULT.
        value: Option<String>,
        /// For this transaction only.
        local: bool,
    },
    /// What is accepted and means nothing here: its tag.
    Nothing(&'static str),
    /// RESET of one setting.
    Reset(String),
    /// RESET ALL.
    ResetAll,
    /// SHOW.
    Show(String),
    /// SHOW ALL.
    ShowAll,
    /// DISCARD ALL.
    DiscardAll,
    /// DEALLOCATE of one statement.
    Deallocate(String),
    /// DEALLOCATE ALL.
    DeallocateAll,
    /// DECLARE of a cursor.
    Declare {
        /// Its name.
        name: String,
        /// Whether its rows are to be in binary.
        binary: bool,
        /// Whether it outlives its transaction.
        hold: bool,
        /// Where its query begins, in bytes of the statement's text.
        query: usize,
    },
    /// FETCH, or MOVE, which gives no rows.
    Fetch {
        /// The cursor.
        cursor: String,
        /// How many rows; all if `None`.
        count: Option<usize>,
        /// MOVE.
        silent: bool,
    },
    /// CLOSE of one cursor.
    Close(String),
    /// CLOSE ALL.
    CloseAll,
}

impl Utility {
    /// Whether it may run in a transaction that has failed.
    pub(super) fn ends_failure(&self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::Savepoint(_, true))
    }
}

/// What a statement does, if it is about the session.
///
/// # Errors
/// It begins as one that is and goes on as none.
pub(super) fn of(piece: &Piece<'_>) -> Result<Option<Utility>, PgError> {
    Words { piece, at: 0 }.utility()
}

/// Reads the words of a statement, one after another.
struct Words<'a> {
    piece: &'a Piece<'a>,
    at: usize,
}

impl Words<'_> {
    fn utility(&mut self) -> Result<Option<Utility>, PgError> {
        let first = self.word().unwrap_or_default();
        self.at = 1;
        Ok(Some(match first.as_str() {
            "BEGIN" => Utility::Begin,
            "START" if self.take("TRANSACTION") => Utility::Begin,
            "COMMIT" | "END" if !self.is("PREPARED") => Utility::Commit,
            "ROLLBACK" | "ABORT" => {
                let _ = self.take("WORK") || self.take("TRANSACTION");
                if self.take("TO") { Utility::Savepoint("ROLLBACK", true) } else { Utility::Rollback }
            }
            "SAVEPOINT" => Utility::Savepoint("SAVEPOINT", false),
            "RELEASE" => Utility::Savepoint("RELEASE", false),
            "SET" => return self.set(),
            "RESET" if self.take("ALL") => Utility::ResetAll,
            "RESET" => match self.setting()? {
                name if is_setting(&name) => Utility::Reset(name),
                name => return refuse_runtime(&name).map(|()| None),
            },
            "SHOW" => return self.show(),
            "DISCARD" if self.take("ALL") => Utility::DiscardAll,
            "DISCARD" => Utility::Nothing("DISCARD"),
            "UNLISTEN" => Utility::Nothing("UNLISTEN"),
            "DEALLOCATE" => {
                // A statement may be called that.
                if self.is("PREPARE") && self.piece.tokens.len() > 2 {
                    self.at += 1;
                }
                if self.take("ALL") { Utility::DeallocateAll } else { Utility::Deallocate(self.name()?) }
            }
            "DECLARE" => self.declare()?,
            "FETCH" => self.fetch(false)?,
            "MOVE" => self.fetch(true)?,
            "CLOSE" if self.take("ALL") => Utility::CloseAll,
            "CLOSE" => Utility::Close(self.name()?),
            _ => return Ok(None),
        }))
    }

    /// `SET [SESSION | LOCAL] name {= | TO} value`, and its relatives.
    fn set(&mut self) -> Result<Option<Utility>, PgError> {
        let local = self.take("LOCAL");
        if !local && self.take("SESSION") && (self.is("CHARACTERISTICS") || self.is("AUTHORIZATION")) {
            return if self.is("CHARACTERISTICS") { Ok(Some(Utility::Nothing("SET"))) } else { Ok(None) };
        }
        if self.is("TRANSACTION") || self.is("CONSTRAINTS") {
            return Ok(Some(Utility::Nothing("SET")));
        }
        let (name, assigned) = if self.take("NAMES") {
            ("client_encoding".to_string(), true)
        } else if self.is("TIME") || (self.is("TIMEZONE") && !self.assigns(1)) {
            self.at += if self.is("TIME") { 2 } else { 1 };
            ("TimeZone".to_string(), true)
        } else {
            (self.setting()?, false)
        };
        if !is_setting(&name) {
            refuse_runtime(&name)?;
            if local {
                let message = format!("SET LOCAL {name}: only PostgreSQL's own settings can be set for a transaction");
                return Err(PgError::error(codes::FEATURE_NOT_SUPPORTED, message).hint("use SET"));
            }
            return Ok(None);
        }
        if !assigned && !self.take("TO") && !self.take_token(&Token::Eq) {
            return Err(self.unexpected("TO or ="));
        }
        let value = self.value()?;
        Ok(Some(Utility::Set { name, value, local }))
    }

    fn show(&mut self) -> Result<Option<Utility>, PgError> {
        let rest = self.piece.tokens.len() - self.at;
        if self.is("ALL") && rest == 1 {
            return Ok(Some(Utility::ShowAll));
        }
        if self.is("TRANSACTION") {
            return Ok(Some(Utility::Show("transaction_isolation".into())));
        }
        if self.is("TIME") && rest == 2 {
            return Ok(Some(Utility::Show("TimeZone".into())));
        }
        // The engine has statements such as SHOW TABLES.
        if rest != 1 && !self.piece.tokens.contains(&Token::Period)
            || self.is("TABLES")
            || self.is("MODELS")
            || self.is("FUNCTIONS")
        {
            return Ok(None);
        }
        let name = self.setting()?;
        Ok(if is_setting(&name) { Some(Utility::Show(name)) } else { None })
    }

    /// `DECLARE name [BINARY] [INSENSITIVE] [[NO] SCROLL] CURSOR [{WITH | WITHOUT} HOLD] FOR query`.
    fn declare(&mut self) -> Result<Utility, PgError> {
        let name = self.name()?;
        let (mut binary, mut hold) = (false, false);
        loop {
            match self.word().unwrap_or_default().as_str() {
                "BINARY" => binary = true,
                "INSENSITIVE" | "ASENSITIVE" | "CURSOR" | "WITHOUT" => {}
                "NO" => {
                    self.at += 1;
                    if !self.is("SCROLL") {
                        return Err(self.unexpected("SCROLL"));
                    }
                }
                "SCROLL" => {
                    let message = format!("cursor \"{name}\" cannot scroll: rows are computed once, in their order");
                    return Err(PgError::error(codes::FEATURE_NOT_SUPPORTED, message).hint("declare it with NO SCROLL"));
                }
                "WITH" => hold = true,
                "HOLD" => {}
                "FOR" => break,
                _ => return Err(self.unexpected("CURSOR ... FOR")),
            }
            self.at += 1;
        }
        match self.piece.starts.get(self.at + 1) {
            Some(query) => Ok(Utility::Declare { name, binary, hold, query: *query }),
            None => Err(self.unexpected("a query")),
        }
    }

    /// `FETCH [NEXT | FORWARD | ALL | count | FORWARD ALL | FORWARD count] [FROM | IN] name`.
    fn fetch(&mut self, silent: bool) -> Result<Utility, PgError> {
        let backwards = || {
            let message = "a cursor gives its rows forward only";
            PgError::error("55000", message).hint("use FETCH NEXT, FETCH n or FETCH ALL")
        };
        let mut count = Some(1);
        match self.word().unwrap_or_default().as_str() {
            "NEXT" => self.at += 1,
            "PRIOR" | "FIRST" | "LAST" | "ABSOLUTE" | "RELATIVE" | "BACKWARD" if self.piece.tokens.len() > 2 => {
                return Err(backwards());
            }
            _ => {
                let _ = self.take("FORWARD");
                if self.take("ALL") {
                    count = None;
                } else if self.take_token(&Token::Minus) {
                    return Err(backwards());
                } else if let Some(Token::Number(number, _)) = self.piece.tokens.get(self.at) {
                    count = Some(number.parse().map_err(|_| self.unexpected("a number of rows"))?);
                    self.at += 1;
                }
            }
        }
        let _ = self.take("FROM") || self.take("IN");
        Ok(Utility::Fetch { cursor: self.name()?, count, silent })
    }

    /// The last word of a statement: a name.
    fn name(&mut self) -> Result<String, PgError> {
        let name = match self.piece.tokens.get(self.at) {
            Some(Token::Word(word)) if word.quote_style.is_some() => word.value.clone(),
            Some(Token::Word(word)) => word.value.to_lowercase(),
            Some(Token::SingleQuotedString(text)) => text.clone(),
            _ => return Err(self.unexpected("a name")),
        };
        self.at += 1;
        Ok(name)
    }

    /// The name of a setting: words with points between them.
    fn setting(&mut self) -> Result<String, PgError> {
        let mut name = self.name()?;
        while self.take_token(&Token::Period) {
            name = format!("{name}.{}", self.name()?);
        }
        Ok(name)
    }

    /// The value of a setting, `None` for DEFAULT; several with commas are one text.
    fn value(&mut self) -> Result<Option<String>, PgError> {
        let mut values: Vec<String> = Vec::new();
        while let Some(token) = self.piece.tokens.get(self.at) {
            match token {
                Token::Word(word)
                    if word.value.eq_ignore_ascii_case("DEFAULT") && self.piece.tokens.len() == self.at + 1 =>
                {
                    return Ok(None);
                }
                Token::Word(word) => values.push(word.value.clone()),
                Token::SingleQuotedString(text) => values.push(text.clone()),
                Token::Number(number, _) => values.push(number.clone()),
                Token::Minus => {
                    self.at += 1;
                    match self.piece.tokens.get(self.at) {
                        Some(Token::Number(number, _)) => values.push(format!("-{number}")),
                        _ => return Err(self.unexpected("a number")),
                    }
                }
                _ => return Err(self.unexpected("a value")),
            }
            self.at += 1;
            if !self.take_token(&Token::Comma) && self.at < self.piece.tokens.len() {
                return Err(self.unexpected("the end of the statement"));
            }
        }
        if values.is_empty() { Err(self.unexpected("a value")) } else { Ok(Some(values.join(", "))) }
    }

    fn word(&self) -> Option<String> {
        match self.piece.tokens.get(self.at) {
            Some(Token::Word(word)) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
            _ => None,
        }
    }

    fn is(&self, word: &str) -> bool {
        self.word().is_some_and(|here| here == word)
    }

    fn assigns(&self, further: usize) -> bool {
        match self.piece.tokens.get(self.at + further) {
            Some(Token::Eq) => true,
            Some(Token::Word(word)) => word.value.eq_ignore_ascii_case("TO"),
            _ => false,
        }
    }

    fn take(&mut self, word: &str) -> bool {
        let is = self.is(word);
        self.at += usize::from(is);
        is
    }

    fn take_token(&mut self, token: &Token) -> bool {
        let is = self.piece.tokens.get(self.at) == Some(token);
        self.at += usize::from(is);
        is
    }

    fn unexpected(&self, expected: &str) -> PgError {
        let found = self.piece.tokens.get(self.at).map_or("the end".to_string(), |token| format!("\"{token}\""));
        let at = self.piece.starts.get(self.at).copied().unwrap_or(self.piece.sql.len());
        let position = self.piece.sql.get(..at).map(|before| before.chars().count() + 1);
        let message = format!("syntax error at or near {found}: expected {expected}");
        PgError { position, ..PgError::error(codes::SYNTAX_ERROR, message) }
    }
}

/// Memory, temporary files and caches are the server's: a client cannot give itself more.
fn refuse_runtime(name: &str) -> Result<(), PgError> {
    if name.to_ascii_lowercase().starts_with("datafusion.runtime") {
        let message = format!("permission denied to set parameter \"{name}\": it is the server's");
        return Err(PgError::error(codes::INSUFFICIENT_PRIVILEGE, message));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use proptest::prelude::*;

    use super::super::script::split;
    use super::*;

    fn parsed(sql: &str) -> Result<Option<Utility>, PgError> {
        of(&split(sql, &GenericDialect {}).unwrap()[0])
    }

    fn set(name: &str, value: &str) -> Option<Utility> {
        Some(Utility::Set { name: name.into(), value: Some(value.into()), local: false })
    }

    #[test]
    fn statements_about_the_session() {
        assert_eq!(parsed("begin isolation level serializable").unwrap(), Some(Utility::Begin));
        assert_eq!(parsed("ROLLBACK TO SAVEPOINT a").unwrap(), Some(Utility::Savepoint("ROLLBACK", true)));
        assert_eq!(parsed("SET application_name = 'x y'").unwrap(), set("application_name", "x y"));
        assert_eq!(parsed("SET SESSION statement_timeout TO 5").unwrap(), set("statement_timeout", "5"));
        assert_eq!(parsed("set extra_float_digits=-3").unwrap(), set("extra_float_digits", "-3"));
        assert_eq!(parsed("SET search_path TO a, \"B\"").unwrap(), set("search_path", "a, B"));
        assert_eq!(parsed("SET TIME ZONE 'UTC'").unwrap(), set("TimeZone", "UTC"));
        assert_eq!(parsed("SET SESSION TIMEZONE TO 'UTC'").unwrap(), set("timezone", "UTC"));
        assert_eq!(parsed("SET NAMES 'UTF8'").unwrap(), set("client_encoding", "UTF8"));
        assert_eq!(parsed("SET debut.vector_output = pgvector").unwrap(), set("debut.vector_output", "pgvector"));
        assert_eq!(
            parsed("SHOW transaction isolation level").unwrap(),
            Some(Utility::Show("transaction_isolation".into()))
        );
        assert_eq!(parsed("DEALLOCATE PREPARE a").unwrap(), Some(Utility::Deallocate("a".into())));
        let declare =
            |name: &str, binary, hold, query| Some(Utility::Declare { name: name.into(), binary, hold, query });
        assert_eq!(parsed("DECLARE C CURSOR WITH HOLD FOR SELECT 1").unwrap(), declare("c", false, true, 31));
        assert_eq!(
            parsed("DECLARE \"C\" BINARY NO SCROLL CURSOR FOR VALUES (1)").unwrap(),
            declare("C", true, false, 40)
        );
        let fetch = |count, silent| Some(Utility::Fetch { cursor: "c".into(), count, silent });
        assert_eq!(parsed("FETCH c").unwrap(), fetch(Some(1), false));
        assert_eq!(parsed("FETCH FORWARD 100 FROM C").unwrap(), fetch(Some(100), false));
        assert_eq!(parsed("MOVE FORWARD ALL IN \"c\"").unwrap(), fetch(None, true));
        assert!(parsed("FETCH BACKWARD 1 FROM c").is_err() && parsed("FETCH -1 FROM c").is_err());
    }

    #[test]
    fn what_is_the_engines_is_left_to_it() {
        for sql in [
            "SELECT 1",
            "SET debut.model = 'm'",
            "SET datafusion.execution.batch_size = 1",
            "SHOW TABLES",
            "SHOW MODELS",
            "SHOW COLUMNS FROM t",
            "SHOW datafusion.execution.batch_size",
            "RESET datafusion.execution.batch_size",
            "PREPARE p AS SELECT 1",
        ] {
            assert_eq!(parsed(sql).unwrap(), None, "{sql}");
        }
    }

    #[test]
    fn mistakes_have_their_place() {
        let error = parsed("SET work_mem 1").unwrap_err();
        assert_eq!((error.code, error.position), (codes::SYNTAX_ERROR, Some(14)));
        for sql in [
            "SET work_mem =",
            "SET work_mem = 1 2",
            "CLOSE",
            "DECLARE c FOR",
            "DECLARE c SCROLL CURSOR FOR SELECT 1",
            "SET LOCAL debut.model = 'x'",
        ] {
            assert!(parsed(sql).is_err(), "{sql}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(sql in "\\PC{0,60}", word in 0..9_usize) {
            let words = ["SET ", "SHOW ", "DECLARE ", "FETCH ", "CLOSE ", "RESET ", "DEALLOCATE ", "ROLLBACK ", ""];
            let sql = format!("{}{sql}", words[word]);
            if let Ok(pieces) = split(&sql, &GenericDialect {}) {
                for piece in pieces {
                    let _ = of(&piece);
                }
            }
        }
    }
}
