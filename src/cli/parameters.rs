//! `--param name=value`: values for the `$name` of a script, and for `{name}` in its locations.
//!
//! Takes what was written on the command line and the script's statements; puts the values in, or says which name lacks
//! its other half, before the first statement runs.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::Expr;

use super::error::{CliError, Result};
use crate::engine::describe::describe;
use crate::engine::statements::Kind;
use crate::engine::{Parameters, Statement};

/// `NAME=VALUE`; the `$` may be written.
pub(super) fn parse(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a parameter is NAME=VALUE")?;
    let name = name.strip_prefix('$').unwrap_or(name);
    if name.is_empty() || !name.chars().all(|letter| letter.is_alphanumeric() || letter == '_') {
        return Err(format!("'{name}' is not a name: letters, digits and _ only"));
    }
    Ok((name.to_string(), value.to_string()))
}

/// Puts the values into the statements.
///
/// # Errors
/// A name is given twice, a `$name` has no value, or a value has no `$name`.
pub(super) fn bind(given: &[(String, String)], statements: &mut [Statement]) -> Result<()> {
    bind_with(given, &[], statements)
}

/// [`bind`] with names that have a value whether the statements use them or not.
///
/// # Errors
/// As there; or one of these names is given.
pub(super) fn bind_with(
    given: &[(String, String)],
    built_in: &[(&str, Expr)],
    statements: &mut [Statement],
) -> Result<()> {
    let mut parameters = Parameters::default();
    for (name, value) in given {
        if built_in.iter().any(|(known, _)| known == name) {
            return Err(CliError::Usage(format!(
                "${name} is set by the run itself: call the parameter something else"
            )));
        }
        parameters.add(name, value).map_err(usage)?;
    }
    for (name, value) in built_in {
        parameters.set(name, value.clone());
    }
    let mut used = BTreeSet::new();
    for statement in statements {
        if let Kind::Sql(sql) = &mut statement.kind {
            parameters.bind(sql, &mut used).map_err(usage)?;
            parameters.bind_locations(sql, &mut used).map_err(usage)?;
        }
    }
    let unused: Vec<_> = given
        .iter()
        .map(|(name, _)| name)
        .filter(|name| !used.contains(*name))
        .map(|name| format!("${name}"))
        .collect();
    if unused.is_empty() {
        return Ok(());
    }
    Err(CliError::Usage(format!("the SQL has no {} to give a value to", unused.join(", "))))
}

fn usage(error: datafusion::common::DataFusionError) -> CliError {
    CliError::Usage(describe(&error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use super::*;
    use crate::engine::statements;

    #[test]
    fn a_parameter_has_a_name() {
        assert_eq!(parse("$k=a=b").unwrap(), ("k".to_string(), "a=b".to_string()));
        for wrong in ["k", "=1", "$=1", "a b=1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_name_has_a_value_and_every_value_a_name() {
        let bound = |given: &[&str], sql: &str| {
            let given: Vec<_> = given.iter().map(|text| parse(text).unwrap()).collect();
            bind(&given, &mut statements::parse(sql, &GenericDialect {}).unwrap()).map_err(|error| error.to_string())
        };
        assert_eq!(bound(&["a=1", "b=x"], "SELECT $a; SELECT $b, '$c' -- $d"), Ok(()));
        assert!(bound(&["a=1"], "SELECT $a; SELECT $b").unwrap_err().contains("$b"));
        assert!(bound(&["a=1"], "SELECT 1").unwrap_err().contains("$a"));
        assert!(bound(&["a=1", "a=2"], "SELECT $a").unwrap_err().contains("twice"));
        // The places of a prepared statement are for EXECUTE.
        assert_eq!(bound(&["a=1"], "PREPARE p AS SELECT $1 + $a; EXECUTE p(4)"), Ok(()));
        assert_eq!(bound(&["a=4"], "PREPARE p AS SELECT $1; EXECUTE p($a)"), Ok(()));
        assert!(bound(&["1=4"], "PREPARE p AS SELECT $1").unwrap_err().contains("$1"));
        assert!(bound(&[], "PREPARE p AS SELECT $a").unwrap_err().contains("$a"));
        assert!(bound(&[], "SELECT $1").unwrap_err().contains("--param 1="));
    }
}
