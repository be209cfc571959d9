//! Values for the `$name` placeholders of a script.
//!
//! Takes `key=value` pairs; gives statements in which every `$key` is the literal. They are put in before planning, so
//! that a parameter can also be what has to be a literal: a model's name, a LIMIT. In locations, `{key}` is the value
//! ([`location`]).

mod location;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::common::{Result, plan_err};
use datafusion::sql::parser::{CopyToSource, Statement as DataFusionStatement};
use datafusion::sql::sqlparser::ast::{
    Expr, ObjectNamePart, Statement as SqlStatement, Value, VisitMut, visit_expressions_mut, visit_relations_mut,
};

use super::files::is_location;

/// Parameters by name, without the `$`.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    values: BTreeMap<String, Expr>,
}

impl Parameters {
    /// Adds a parameter. An integer, a decimal number, `true`, `false` and `null` become what they look like; anything
    /// else is text, and so is everything in single quotes.
    ///
    /// # Errors
    /// The name is empty or set already.
    pub fn add(&mut self, name: &str, value: &str) -> Result<()> {
        if name.is_empty() {
            return plan_err!("a parameter needs a name: --param name=value");
        }
        if self.values.insert(name.to_string(), Expr::value(literal(value))).is_some() {
            return plan_err!("parameter '{name}' was given twice");
        }
        Ok(())
    }

    /// Sets a parameter to what is written as this expression.
    pub fn set(&mut self, name: &str, value: Expr) {
        self.values.insert(name.to_string(), value);
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Puts the values into a statement and adds the names that it used to `used`. In a PREPARE, `$1`, `$2` and so on
    /// stand for what EXECUTE gives, and stay.
    ///
    /// # Errors
    /// The statement has a `$name` that has no value.
    pub fn bind(&self, statement: &mut DataFusionStatement, used: &mut BTreeSet<String>) -> Result<()> {
        match statement {
            DataFusionStatement::Statement(statement) => self.bind_sql(statement, used),
            DataFusionStatement::Explain(explain) => self.bind(&mut explain.statement, used),
            DataFusionStatement::CopyTo(copy) => match &mut copy.source {
                CopyToSource::Query(query) => {
                    let mut statement = SqlStatement::Query(query.clone());
                    self.bind_sql(&mut statement, used)?;
                    if let SqlStatement::Query(bound) = statement {
                        *query = bound;
                    }
                    Ok(())
                }
                CopyToSource::Relation(_) => Ok(()),
            },
            DataFusionStatement::CreateExternalTable(_) | DataFusionStatement::Reset(_) => Ok(()),
        }
    }

    /// Puts the values in the place of `{name}` in the locations of a statement: where COPY writes, where an external table
    /// is, and which file a query reads. Adds the names to `used`.
    ///
    /// # Errors
    /// A name has no value, or a value cannot be part of a name of a file.
    pub fn bind_locations(&self, statement: &mut DataFusionStatement, used: &mut BTreeSet<String>) -> Result<()> {
        match statement {
            DataFusionStatement::Statement(statement) => self.bind_files(statement, used),
            DataFusionStatement::Explain(explain) => self.bind_locations(&mut explain.statement, used),
            DataFusionStatement::CopyTo(copy) => {
                copy.target = self.bind_location(&copy.target, used)?;
                match &mut copy.source {
                    CopyToSource::Query(query) => self.bind_files(query.as_mut(), used),
                    CopyToSource::Relation(_) => Ok(()),
                }
            }
            DataFusionStatement::CreateExternalTable(table) => {
                for location in &mut table.locations {
                    *location = self.bind_location(location, used)?;
                }
                Ok(())
            }
            DataFusionStatement::Reset(_) => Ok(()),
        }
    }

    /// The files that a statement names as tables.
    fn bind_files<V: VisitMut>(&self, statement: &mut V, used: &mut BTreeSet<String>) -> Result<()> {
        let bound = visit_relations_mut(statement, |name| {
            let [ObjectNamePart::Identifier(file)] = name.0.as_mut_slice() else { return ControlFlow::Continue(()) };
            if file.quote_style.is_none() || !is_location(&file.value) {
                return ControlFlow::Continue(());
            }
            match self.bind_location(&file.value, used) {
                Ok(location) => {
                    file.value = location;
                    ControlFlow::Continue(())
                }
                Err(error) => ControlFlow::Break(error),
            }
        });
        match bound {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok(()),
        }
    }

    fn bind_sql(&self, statement: &mut SqlStatement, used: &mut BTreeSet<String>) -> Result<()> {
        let prepares = matches!(statement, SqlStatement::Prepare { .. });
        let missing = visit_expressions_mut(statement, |expr| {
            let Expr::Value(value) = expr else { return ControlFlow::Continue(()) };
            let Value::Placeholder(placeholder) = &value.value else { return ControlFlow::Continue(()) };
            let Some(name) = placeholder.strip_prefix('$') else { return ControlFlow::Continue(()) };
            if prepares && name.bytes().all(|byte| byte.is_ascii_digit()) {
                return ControlFlow::Continue(());
            }
            match self.values.get(name) {
                Some(literal) => {
                    used.insert(name.to_string());
                    *expr = literal.clone();
                    ControlFlow::Continue(())
                }
                None => ControlFlow::Break(name.to_string()),
            }
        });
        match missing {
            ControlFlow::Break(name) => plan_err!("no value for ${name}: pass --param {name}=value"),
            ControlFlow::Continue(()) => Ok(()),
        }
    }
}

fn literal(text: &str) -> Value {
    if let Some(quoted) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        return Value::SingleQuotedString(quoted.replace("''", "'"));
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty()
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
        && text.parse::<f64>().is_ok();
    match text {
        "true" | "false" => Value::Boolean(text == "true"),
        "null" => Value::Null,
        _ if is_number => Value::Number(text.to_string(), false),
        _ => Value::SingleQuotedString(text.to_string()),
    }
}
