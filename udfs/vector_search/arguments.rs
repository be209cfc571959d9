//! The arguments of `vector_search`, read from expressions.
//!
//! Takes what DataFusion planned between the parentheses; gives a table name, a query expression, a limit and the
//! optional names.

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, Result, ScalarValue, TableReference, plan_err};
use datafusion::logical_expr::Expr;

use super::{CALLER, Caller};
use crate::distance::Metric;

/// What a call asks for.
#[derive(Debug)]
pub(super) struct Arguments {
    /// Names that the table may have, in the order in which they are looked up.
    pub(super) table: Vec<TableReference>,
    /// A text or a vector, constant for the whole search.
    pub(super) query: Expr,
    /// Rows to return, at least 1.
    pub(super) k: usize,
    /// The column that was named.
    pub(super) column: Option<String>,
    /// How vectors are compared.
    pub(super) metric: Metric,
}

impl Arguments {
    pub(super) fn try_new(arguments: &[Expr]) -> Result<Self> {
        let Caller { name: function, usage } = CALLER;
        let [table, query, k, optional @ ..] = arguments else {
            return plan_err!("{function} needs a table, a query and a number of rows: {usage}");
        };
        if optional.len() > 2 {
            return plan_err!("{function} takes at most five arguments, not {}: {usage}", arguments.len());
        }
        Ok(Self {
            table: table_names(CALLER, table)?,
            query: constant(CALLER, query)?,
            k: limit(CALLER, k)?,
            column: optional.first().map(|column| column_name(CALLER, column)).transpose()?.flatten(),
            metric: optional.get(1).map_or(Ok(Metric::Cosine), metric)?,
        })
    }
}

/// A text is a name as SQL writes it, or failing that a name taken to the letter, such as a file's.
pub(crate) fn table_names(caller: Caller, argument: &Expr) -> Result<Vec<TableReference>> {
    let Caller { name: function, usage } = caller;
    match argument {
        Expr::Column(Column { relation: None, name, .. }) => Ok(vec![TableReference::bare(name.as_str())]),
        Expr::Column(Column { relation: Some(TableReference::Bare { table: schema }), name, .. }) => {
            Ok(vec![TableReference::partial(schema.as_ref(), name.as_str())])
        }
        Expr::Column(Column {
            relation: Some(TableReference::Partial { schema: catalog, table: schema }),
            name,
            ..
        }) => Ok(vec![TableReference::full(catalog.as_ref(), schema.as_ref(), name.as_str())]),
        Expr::Literal(value, _) => match value.try_as_str() {
            Some(Some(text)) => {
                let mut names = vec![TableReference::parse_str(text)];
                let to_the_letter = TableReference::bare(text);
                if names[0] != to_the_letter {
                    names.push(to_the_letter);
                }
                Ok(names)
            }
            _ => plan_err!("{function}: the table is a name such as 'products', not {value}: {usage}"),
        },
        other => plan_err!("{function}: the table is a name such as 'products', not {other}: {usage}"),
    }
}

/// The query, which is one for the whole search.
pub(crate) fn constant(caller: Caller, query: &Expr) -> Result<Expr> {
    let function = caller.name;
    if query.any_column_refs() {
        return plan_err!(
            "{function}: the query is one text, vector or scalar subquery, not the column {query}; \
             to search for every row of a table, join it with ORDER BY cosine_distance(...)"
        );
    }
    if query.exists(|expr| Ok(matches!(expr, Expr::Placeholder(_))))? {
        return plan_err!(
            "{function}: the query is the parameter {query}, and parameters are not yet known where a table function is \
             planned; write the text or the vector itself"
        );
    }
    Ok(query.clone())
}

/// The number of rows.
pub(crate) fn limit(caller: Caller, k: &Expr) -> Result<usize> {
    let Caller { name: function, usage } = caller;
    let value = match k {
        Expr::Literal(value, _) => match value.data_type().is_integer() {
            true => value.cast_to(&arrow::datatypes::DataType::Int64).ok(),
            false => None,
        },
        _ => None,
    };
    match value {
        Some(ScalarValue::Int64(Some(rows))) if rows > 0 => {
            usize::try_from(rows).or_else(|_| plan_err!("{function}: {rows} rows are more than this machine can count"))
        }
        _ => plan_err!("{function}: the number of rows is a positive integer such as 10, not {k}: {usage}"),
    }
}

/// The name of a column; `None` for NULL, which leaves it open.
pub(crate) fn column_name(caller: Caller, argument: &Expr) -> Result<Option<String>> {
    let Caller { name: function, usage } = caller;
    match argument {
        Expr::Column(column) => Ok(Some(column.name.clone())),
        Expr::Literal(value, _) if value.is_null() => Ok(None),
        Expr::Literal(value, _) => match value.try_as_str() {
            Some(name) => Ok(name.map(str::to_string)),
            None => plan_err!("{function}: the column is a name such as 'vector', not {value}: {usage}"),
        },
        other => plan_err!("{function}: the column is a name such as 'vector', not {other}: {usage}"),
    }
}

fn metric(argument: &Expr) -> Result<Metric> {
    let name = match argument {
        Expr::Literal(value, _) if value.is_null() => return Ok(Metric::Cosine),
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    };
    match name.map(str::to_ascii_lowercase).as_deref() {
        Some("cosine") => Ok(Metric::Cosine),
        Some("inner_product") => Ok(Metric::InnerProduct),
        Some("l2") => Ok(Metric::L2),
        _ => plan_err!("{}: the metric is 'cosine', 'inner_product' or 'l2', not {argument}", CALLER.name),
    }
}
