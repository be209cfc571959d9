//! Errors in words: takes errors of every part; gives text for people. DataFusion's prefixes, the names of its optimizer
//! rules and the layers between cause and caller are left out.

use std::error::Error;

use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::parquet::errors::ParquetError;
use datafusion::sql::sqlparser::parser::ParserError;

/// A DataFusion error without its wrappings.
pub(crate) fn describe(error: &DataFusionError) -> String {
    use DataFusionError as E;
    let text = match error {
        E::Plan(text) => missing_table(text).unwrap_or_else(|| text.clone()),
        E::Execution(text) | E::Configuration(text) | E::ResourcesExhausted(text) => text.clone(),
        E::NotImplemented(text) => format!("not supported: {text}"),
        E::Internal(text) => format!("{text} (a bug in Debut or DataFusion, not in the query)"),
        E::SQL(error, _) => match error.as_ref() {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => format!("SQL: {text}"),
            other => other.to_string(),
        },
        E::SchemaError(error, _) => schema(error),
        E::ArrowError(error, _) => chain(error.as_ref()),
        E::ParquetError(error) => chain(error.as_ref()),
        E::ObjectStore(error) => chain(error.as_ref()),
        E::IoError(error) => chain(error),
        E::External(error) => chain(error.as_ref()),
        E::Shared(error) => describe(error),
        E::Diagnostic(_, error) => describe(error),
        E::Context(context, error) if tells_something(context) => format!("{context}: {}", describe(error)),
        E::Context(_, error) => describe(error),
        E::Collection(errors) => errors.iter().map(describe).collect::<Vec<_>>().join("; "),
        other => chain(other),
    };
    let end = text.find(E::BACK_TRACE_SEP).unwrap_or(text.len());
    text[..end].trim_end().to_string()
}

/// DataFusion names the catalog and schema of a table that it does not find, even where the table is a file.
fn missing_table(text: &str) -> Option<String> {
    let name = text.strip_prefix("table 'datafusion.public.")?.strip_suffix("' not found")?;
    Some(if name.contains(['.', '/', '\\']) {
        format!("there is no file '{name}', or it is of a kind that cannot be queried (parquet, csv, json, arrow)")
    } else {
        format!("there is no table '{name}'")
    })
}

/// The optimizer adds the names of its rules, which mean nothing to who wrote the query.
fn tells_something(context: &str) -> bool {
    context.contains(' ') && !context.starts_with("Optimizer rule") && !context.starts_with("Check optimizer")
}

fn schema(error: &SchemaError) -> String {
    let text = error.to_string();
    text.strip_prefix("Schema error: ").unwrap_or(&text).to_string()
}

fn arrow(error: &ArrowError) -> String {
    use ArrowError as E;
    match error {
        E::CastError(text) | E::ComputeError(text) | E::InvalidArgumentError(text) | E::ParseError(text) => {
            text.clone()
        }
        other => other.to_string(),
    }
}

/// An error and its causes, each once: many errors repeat their cause in their own text.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    if let Some(error) = error.downcast_ref::<DataFusionError>()
        && !matches!(error, DataFusionError::ExecutionJoin(_) | DataFusionError::Substrait(_) | DataFusionError::Ffi(_))
    {
        return describe(error);
    }
    if let Some(ArrowError::ExternalError(inner)) = error.downcast_ref() {
        return chain(inner.as_ref());
    }
    if let Some(ParquetError::External(inner)) = error.downcast_ref() {
        return chain(inner.as_ref());
    }
    let mut text = match (error.downcast_ref::<ArrowError>(), error.downcast_ref::<ParquetError>()) {
        (Some(error), _) => arrow(error),
        (_, Some(ParquetError::General(text))) => format!("Parquet: {text}"),
        _ => error.to_string(),
    };
    if let Some(source) = error.source() {
        let cause = chain(source);
        if !text.contains(&cause) {
            text = if text.contains(&source.to_string()) {
                text.replace(&source.to_string(), &cause)
            } else {
                format!("{text}: {cause}")
            };
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use datafusion::common::plan_datafusion_err;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot import 'm'")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn only_the_message_is_left() {
        let inner = plan_datafusion_err!("embed: unknown model 'x'");
        let wrapped =
            DataFusionError::External(Box::new(ArrowError::ExternalError(Box::new(inner.context("push_down_filter")))));
        assert_eq!(describe(&wrapped.context("Optimizer rule 'lift' failed")), "embed: unknown model 'x'");
    }

    #[test]
    fn causes_follow_once() {
        let error = DataFusionError::External(Box::new(Outer(std::io::Error::other("disk full"))));
        assert_eq!(describe(&error), "cannot import 'm': disk full");
        assert_eq!(describe(&DataFusionError::External(Box::new(std::io::Error::other("x")))), "x");
    }

    #[test]
    fn a_missing_table_is_called_by_the_name_in_the_query() {
        let message = |name| describe(&plan_datafusion_err!("table 'datafusion.public.{name}' not found"));
        assert_eq!(message("t"), "there is no table 't'");
        assert!(message("a/x.parquet").starts_with("there is no file 'a/x.parquet'"));
    }

    #[test]
    fn a_context_that_explains_stays() {
        let error = plan_datafusion_err!("no such column").context("in the subquery");
        assert_eq!(describe(&error), "in the subquery: no such column");
    }
}
