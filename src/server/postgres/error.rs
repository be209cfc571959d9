//! What a client is told when something goes wrong: takes the errors of the engine; gives a message for people and
//! PostgreSQL's code (SQLSTATE) for programs.

use std::borrow::Cow;

use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::parser::ParserError;

use crate::engine::describe::describe;

/// The codes that are used, by their names in appendix A of PostgreSQL's documentation.
pub(super) mod codes {
    pub(in super::super) const PROTOCOL_VIOLATION: &str = "08P01";
    pub(in super::super) const FEATURE_NOT_SUPPORTED: &str = "0A000";
    pub(in super::super) const DATA_EXCEPTION: &str = "22000";
    pub(in super::super) const NUMERIC_VALUE_OUT_OF_RANGE: &str = "22003";
    pub(in super::super) const DATETIME_FIELD_OVERFLOW: &str = "22008";
    pub(in super::super) const DIVISION_BY_ZERO: &str = "22012";
    pub(in super::super) const CHARACTER_NOT_IN_REPERTOIRE: &str = "22021";
    pub(in super::super) const INVALID_PARAMETER_VALUE: &str = "22023";
    pub(in super::super) const INVALID_TEXT_REPRESENTATION: &str = "22P02";
    pub(in super::super) const INVALID_BINARY_REPRESENTATION: &str = "22P03";
    pub(in super::super) const NO_ACTIVE_TRANSACTION: &str = "25P01";
    pub(in super::super) const IN_FAILED_TRANSACTION: &str = "25P02";
    pub(in super::super) const INVALID_STATEMENT_NAME: &str = "26000";
    pub(in super::super) const INVALID_AUTHORIZATION: &str = "28000";
    pub(in super::super) const INVALID_PASSWORD: &str = "28P01";
    pub(in super::super) const INVALID_CURSOR_NAME: &str = "34000";
    pub(in super::super) const SYNTAX_ERROR_OR_ACCESS_RULE: &str = "42000";
    pub(in super::super) const INSUFFICIENT_PRIVILEGE: &str = "42501";
    pub(in super::super) const SYNTAX_ERROR: &str = "42601";
    pub(in super::super) const AMBIGUOUS_COLUMN: &str = "42702";
    pub(in super::super) const UNDEFINED_COLUMN: &str = "42703";
    pub(in super::super) const UNDEFINED_OBJECT: &str = "42704";
    pub(in super::super) const UNDEFINED_FUNCTION: &str = "42883";
    pub(in super::super) const UNDEFINED_TABLE: &str = "42P01";
    pub(in super::super) const DUPLICATE_CURSOR: &str = "42P03";
    pub(in super::super) const DUPLICATE_PREPARED_STATEMENT: &str = "42P05";
    pub(in super::super) const DUPLICATE_TABLE: &str = "42P07";
    pub(in super::super) const OUT_OF_MEMORY: &str = "53200";
    pub(in super::super) const TOO_MANY_CONNECTIONS: &str = "53300";
    pub(in super::super) const PROGRAM_LIMIT_EXCEEDED: &str = "54000";
    pub(in super::super) const STATEMENT_TOO_COMPLEX: &str = "54001";
    pub(in super::super) const QUERY_CANCELED: &str = "57014";
    pub(in super::super) const ADMIN_SHUTDOWN: &str = "57P01";
    pub(in super::super) const CANNOT_CONNECT_NOW: &str = "57P03";
    pub(in super::super) const IO_ERROR: &str = "58030";
    pub(in super::super) const INTERNAL_ERROR: &str = "XX000";
}

/// An error as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PgError {
    /// Whether the connection ends with it.
    pub(super) fatal: bool,
    /// The SQLSTATE.
    pub(super) code: &'static str,
    /// For people.
    pub(super) message: Cow<'static, str>,
    /// What to do about it.
    pub(super) hint: Option<&'static str>,
    /// Which character of the statement it is about, from 1.
    pub(super) position: Option<usize>,
}

impl PgError {
    /// An error after which the session goes on.
    pub(super) fn error(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { fatal: false, code, message: message.into(), hint: None, position: None }
    }

    /// An error that ends the connection.
    pub(super) fn fatal(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { fatal: true, ..Self::error(code, message) }
    }

    /// The client does not speak the protocol, so that nothing that follows can be understood.
    pub(super) fn protocol(message: impl Into<Cow<'static, str>>) -> Self {
        Self::fatal(codes::PROTOCOL_VIOLATION, message)
    }

    /// The same with what to do about it.
    pub(super) fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// What the engine says about a statement with this text.
    pub(super) fn of_engine(error: &DataFusionError, sql: &str) -> Self {
        let text = describe(error);
        let place = place(&text);
        let position = place.and_then(|(line, column)| position(sql, line, column));
        Self { position, ..Self::error(code(error), text) }
    }
}

/// The code that fits best.
fn code(error: &DataFusionError) -> &'static str {
    use DataFusionError as E;
    match error.find_root() {
        E::SQL(error, _) => match error.as_ref() {
            ParserError::RecursionLimitExceeded => codes::PROGRAM_LIMIT_EXCEEDED,
            _ => codes::SYNTAX_ERROR,
        },
        E::Plan(text) => code_of_plan(text),
        E::SchemaError(error, _) => match error.as_ref() {
            SchemaError::FieldNotFound { .. } => codes::UNDEFINED_COLUMN,
            SchemaError::AmbiguousReference { .. } => codes::AMBIGUOUS_COLUMN,
            _ => codes::SYNTAX_ERROR_OR_ACCESS_RULE,
        },
        E::NotImplemented(_) => codes::FEATURE_NOT_SUPPORTED,
        E::Configuration(_) => codes::INVALID_PARAMETER_VALUE,
        E::ResourcesExhausted(_) => codes::OUT_OF_MEMORY,
        E::ObjectStore(_) | E::IoError(_) | E::ParquetError(_) => codes::IO_ERROR,
        E::ArrowError(error, _) => match error.as_ref() {
            ArrowError::DivideByZero => codes::DIVISION_BY_ZERO,
            ArrowError::ArithmeticOverflow(_) => codes::NUMERIC_VALUE_OUT_OF_RANGE,
            ArrowError::CastError(_) | ArrowError::ParseError(_) => codes::INVALID_TEXT_REPRESENTATION,
            ArrowError::IoError(..) | ArrowError::ParquetError(_) => codes::IO_ERROR,
            _ => codes::DATA_EXCEPTION,
        },
        E::Execution(text) if text.contains("already exists") => codes::DUPLICATE_TABLE,
        E::Execution(_) => codes::DATA_EXCEPTION,
        E::Internal(_) => codes::INTERNAL_ERROR,
        _ => codes::DATA_EXCEPTION,
    }
}

/// DataFusion tells what is missing in words only.
fn code_of_plan(text: &str) -> &'static str {
    let text = text.to_ascii_lowercase();
    let says = |part: &str| text.contains(part);
    if (says("table ") && says(" not found")) || says("doesn't exist") {
        codes::UNDEFINED_TABLE
    } else if says("invalid function") || says("failed to coerce") || says("there is no function") {
        codes::UNDEFINED_FUNCTION
    } else if says("ambiguous") {
        codes::AMBIGUOUS_COLUMN
    } else {
        codes::SYNTAX_ERROR_OR_ACCESS_RULE
    }
}

/// The line and column, both from 1, that an error of the parser names.
fn place(text: &str) -> Option<(usize, usize)> {
    let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    let after = |text: &str, name: &str| {
        let at = text.to_ascii_lowercase().rfind(name)? + name.len();
        number(text.get(at..)?.trim_start_matches([':', ' ']))
    };
    Some((after(text, "line")?, after(text, "column")?))
}

/// Which character of a text stands at a line and column.
fn position(sql: &str, line: usize, column: usize) -> Option<usize> {
    let before: usize = sql.split('\n').take(line.checked_sub(1)?).map(|line| line.chars().count() + 1).sum();
    Some(before + column).filter(|position| (1..=sql.chars().count() + 1).contains(position))
}

#[cfg(test)]
mod tests {
    use datafusion::common::{plan_datafusion_err, resources_datafusion_err};

    use super::*;

    #[test]
    fn codes_tell_mistakes_apart() {
        for (error, expected) in [
            (plan_datafusion_err!("table 'datafusion.public.t' not found"), codes::UNDEFINED_TABLE),
            (plan_datafusion_err!("Invalid function 'f'"), codes::UNDEFINED_FUNCTION),
            (plan_datafusion_err!("x").context("c"), codes::SYNTAX_ERROR_OR_ACCESS_RULE),
            (ArrowError::DivideByZero.into(), codes::DIVISION_BY_ZERO),
            (ArrowError::CastError("x".into()).into(), codes::INVALID_TEXT_REPRESENTATION),
            (resources_datafusion_err!("full"), codes::OUT_OF_MEMORY),
            (DataFusionError::Execution("x".into()), codes::DATA_EXCEPTION),
            (DataFusionError::NotImplemented("x".into()), codes::FEATURE_NOT_SUPPORTED),
        ] {
            assert_eq!(PgError::of_engine(&error, "").code, expected, "{error}");
        }
    }

    #[test]
    fn a_mistake_in_the_syntax_has_its_place() {
        let parser = ParserError::ParserError("Expected: x, found: y at Line: 2, Column: 3".into());
        let error = DataFusionError::SQL(Box::new(parser), None);
        let error = PgError::of_engine(&error, "sélect\n  y");
        assert_eq!((error.code, error.position), (codes::SYNTAX_ERROR, Some(10)));
        assert_eq!(PgError::of_engine(&plan_datafusion_err!("column 'a'"), "a").position, None);
    }
}
