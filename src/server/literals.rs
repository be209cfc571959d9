//! Values as SQL writes them: for parameters that stand where SQL wants a literal, such as a model's name.
//!
//! Takes a statement and values; gives the statement with literals in the place of its parameters, or the types that it casts
//! them to. It is the parsed statement that is changed: a text stays a text whatever is in it, and is never read as SQL.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::arrow::array::Array as _;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::sql::parser::{CopyToSource, CopyToStatement, Statement as DataFusionStatement};
use datafusion::sql::sqlparser::ast::{
    Array, DataType as SqlType, Expr as SqlExpr, UnaryOperator, Value, ValueWithSpan, visit_expressions,
};

use crate::engine::statements::Kind;
use crate::engine::{Parameters, Statement};

/// The statement with the values in the place of `$1`, `$2` and so on; `None` where a value cannot be written.
///
/// # Errors
/// A parameter has no value.
pub(crate) fn write(statement: Statement, values: &[ScalarValue]) -> Result<Option<Statement>, DataFusionError> {
    let Statement { kind: Kind::Sql(mut sql), line } = statement else { return Ok(None) };
    let mut written = Parameters::default();
    for (index, value) in values.iter().enumerate() {
        let Some(literal) = literal(value)? else { return Ok(None) };
        written.set(&(index + 1).to_string(), literal);
    }
    written.bind(&mut sql, &mut BTreeSet::new())?;
    Ok(Some(Statement { kind: Kind::Sql(sql), line }))
}

/// The placeholders that a statement casts, with the types that it names.
pub(crate) fn casts(statement: &Statement) -> Vec<(String, SqlType)> {
    let mut found = Vec::new();
    let Kind::Sql(sql) = &statement.kind else { return found };
    let mut sql = sql.as_ref();
    while let DataFusionStatement::Explain(explain) = sql {
        sql = &explain.statement;
    }
    let visit = |expr: &SqlExpr| {
        if let SqlExpr::Cast { expr, data_type, .. } = expr
            && let SqlExpr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) = expr.as_ref()
        {
            found.push((name.clone(), data_type.clone()));
        }
        ControlFlow::<()>::Continue(())
    };
    // Nothing ends the visit before its end.
    let _ = match sql {
        DataFusionStatement::Statement(statement) => visit_expressions(statement, visit),
        DataFusionStatement::CopyTo(CopyToStatement { source: CopyToSource::Query(query), .. }) => {
            visit_expressions(query, visit)
        }
        _ => ControlFlow::Continue(()),
    };
    found
}

/// A value as SQL writes it. A text is a literal whatever is in it: it is never read as SQL.
fn literal(value: &ScalarValue) -> Result<Option<SqlExpr>, DataFusionError> {
    if value.is_null() {
        return Ok(Some(SqlExpr::value(Value::Null)));
    }
    Ok(Some(match value {
        ScalarValue::Boolean(Some(value)) => SqlExpr::value(Value::Boolean(*value)),
        ScalarValue::Int16(_) | ScalarValue::Int32(_) | ScalarValue::Int64(_) => number(value.to_string()),
        ScalarValue::Float32(Some(value)) if value.is_finite() => number(format!("{value:e}")),
        ScalarValue::Float64(Some(value)) if value.is_finite() => number(format!("{value:e}")),
        ScalarValue::List(list) => {
            let items = list.value(0);
            let items = (0..items.len()).map(|row| literal(&ScalarValue::try_from_array(&items, row)?));
            let Some(elem) = items.collect::<Result<Option<Vec<_>>, DataFusionError>>()? else { return Ok(None) };
            SqlExpr::Array(Array { elem, named: false })
        }
        value => match value.cast_to(&DataType::Utf8)? {
            ScalarValue::Utf8(Some(text)) => SqlExpr::value(Value::SingleQuotedString(text)),
            _ => return Ok(None),
        },
    }))
}

fn number(text: String) -> SqlExpr {
    match text.strip_prefix('-') {
        Some(digits) => SqlExpr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: Box::new(SqlExpr::value(Value::Number(digits.to_string(), false))),
        },
        None => SqlExpr::value(Value::Number(text, false)),
    }
}
