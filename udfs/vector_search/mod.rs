//! `vector_search(table, query, k [, column [, metric]])`: the rows of a table that are nearest to a query.
//!
//! Takes a table's name and a text, a picture or a vector; gives the table's columns and `score`, best first.
//!
//! The function is a view: it becomes a projection with a distance and a sort with a limit, so that everything the
//! optimizer and the inference node know (TopK, column pruning, batching) applies to it.

pub(crate) mod arguments;
pub(crate) mod table;

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field};
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, plan_err};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{
    DocSection, Documentation, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, cast, lit,
};

use self::arguments::Arguments;
use crate::bits::{byte_width, bytes_of, is_bits};
use crate::config::DebutConfig;
use crate::distance::{Metric, cosine_distance, inner_product, l2_distance};
use crate::input::Modality;
use crate::text::is_text;
use crate::vectors::{MODEL_KEY, element_type, width};

const CALLER: Caller = Caller {
    name: "vector_search",
    usage: "vector_search('table', query, k [, 'column' [, 'cosine' | 'inner_product' | 'l2']])",
};
const SCORE: &str = "score";

/// A function that searches a table, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) name: &'static str,
    pub(crate) usage: &'static str,
}

/// `vector_search`.
#[derive(Debug, Default, Clone, Copy)]
pub struct VectorSearch;

impl TableFunctionImpl for VectorSearch {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let arguments = Arguments::try_new(args.exprs())?;
        Ok(Arc::new(ViewTable::new(plan(args.session(), arguments)?, None)))
    }
}

/// The search as a plan: scan, score, keep the best, drop what has no score.
fn plan(session: &dyn Session, arguments: Arguments) -> Result<LogicalPlan> {
    let (name, table) = table::find(CALLER, session, &arguments.table)?;
    let scan = LogicalPlanBuilder::scan(name, provider_as_source(table), None)?;
    let schema = Arc::clone(scan.schema());
    refuse_names(CALLER, &schema, &[SCORE])?;
    let Arguments { column, query, metric, .. } = arguments;
    let score = vector_score(CALLER, session, &schema, column.as_deref(), query, metric)?;

    let columns = schema.columns().into_iter().map(Expr::Column);
    let best_first = || vec![Expr::Column(Column::new_unqualified(SCORE)).sort(false, false)];
    // What has no score sorts last, so dropping it after the limit costs k rows instead of a second pass over all
    // distances. The sort above the filter keeps the order through whatever runs the filter in parallel; its limit
    // keeps the planner from removing it as the needless order of a subquery.
    scan.project(columns.chain([score.alias(SCORE)]).collect::<Vec<_>>())?
        .sort(best_first())?
        .limit(0, Some(arguments.k))?
        .filter(Expr::Column(Column::new_unqualified(SCORE)).is_not_null())?
        .sort(best_first())?
        .limit(0, Some(arguments.k))?
        .build()
}

/// Refuses a table that has columns of these names, which the result needs.
pub(crate) fn refuse_names(caller: Caller, schema: &DFSchema, names: &[&str]) -> Result<()> {
    match names.iter().find(|name| schema.has_column_with_unqualified_name(name)) {
        None => Ok(()),
        Some(name) => plan_err!(
            "{}: the table has a column '{name}' already, and the result needs that name; search a view that renames it",
            caller.name
        ),
    }
}

/// How near the vectors of a column, or of its embedded texts, are to a query: larger is nearer, NULL without a vector.
pub(crate) fn vector_score(
    caller: Caller,
    session: &dyn Session,
    schema: &DFSchema,
    wanted: Option<&str>,
    query: Expr,
    metric: Metric,
) -> Result<Expr> {
    let (column, field) = vector_column(caller, schema, wanted)?;
    let (_, query_field) = query.to_field(schema)?;
    let column_reads = input_of(&field).filter(|_| !holds_signs_of(&field, &query_field));
    let query_reads = input_of(&query_field);
    let model = match field.metadata().get(MODEL_KEY) {
        Some(model) => model.clone(),
        None => {
            let config = DebutConfig::of(session.config_options());
            let reads_bytes = [column_reads, query_reads].contains(&Some(Modality::Bytes));
            if reads_bytes { config.image_model } else { config.model }
        }
    };
    let embed = |arguments| embed(caller, session, arguments);
    let vector = if column_reads.is_some() {
        embed(vec![Expr::Column(column), lit(model.clone())])?
    } else {
        Expr::Column(column)
    };
    let query = if query_reads.is_some() { embed(vec![query, lit(model), lit("query")])? } else { query };
    score(metric, vector, query, schema)
}

/// The column that is searched: the one named, or the only one that holds vectors.
fn vector_column(caller: Caller, schema: &DFSchema, wanted: Option<&str>) -> Result<(Column, Arc<Field>)> {
    let Caller { name: function, usage } = caller;
    let fields = || schema.iter().map(|(qualifier, field)| (Column::new(qualifier.cloned(), field.name()), field));
    let names = |of: fn(&Field) -> bool| {
        let names = fields().filter(|(_, field)| of(field)).map(|(column, _)| format!("'{}'", column.name));
        names.collect::<Vec<_>>().join(", ")
    };
    if let Some(wanted) = wanted {
        let Some((column, field)) = fields().find(|(column, _)| column.name == wanted) else {
            return plan_err!("{function}: the table has no column '{wanted}'; it has {}", names(|_| true));
        };
        if Modality::of(field.data_type()).is_some()
            || element_type(field.data_type()).is_some_and(DataType::is_numeric)
        {
            return Ok((column, Arc::clone(field)));
        }
        return plan_err!(
            "{function}: column '{wanted}' is {}; it must hold vectors, such as embed makes, texts or pictures",
            field.data_type()
        );
    }
    let mut candidates = fields().filter(|(_, field)| is_vector(field));
    match (candidates.next(), candidates.next()) {
        (Some((column, field)), None) => Ok((column, Arc::clone(field))),
        (Some(_), Some(_)) => plan_err!(
            "{function}: the table has several columns of vectors, {}; name the one to search: {usage}",
            names(is_vector)
        ),
        (None, _) => match names(|field| is_text(field.data_type())).as_str() {
            "" => plan_err!("{function}: the table has no column of vectors or text; it has {}", names(|_| true)),
            texts => plan_err!(
                "{function}: the table has no column of vectors; name a column of text to embed it in the search, \
                 one of {texts}: {usage}"
            ),
        },
    }
}

/// Whether a column holds vectors, without being named: lists of a fixed number of floats, or what `quantize` makes.
pub(crate) fn is_vector(field: &Field) -> bool {
    let of_numbers = |item: &DataType| item.is_floating() || item == &DataType::Int8;
    is_bits(field) || (width(field.data_type()).is_some() && element_type(field.data_type()).is_some_and(of_numbers))
}

/// What a value is for a model; `None` for what is a vector already.
fn input_of(field: &Field) -> Option<Modality> {
    Modality::of(field.data_type()).filter(|_| !is_bits(field))
}

/// Whether the bytes of a column whose metadata was lost are signs: where the query is a vector of as many.
fn holds_signs_of(column: &Field, query: &Field) -> bool {
    let is_vector = element_type(query.data_type()).is_some_and(DataType::is_numeric);
    let fits = |bytes| width(query.data_type()).is_none_or(|width| bytes_of(width) == bytes);
    is_vector && byte_width(column.data_type()).is_some_and(fits)
}

/// A call of the session's `embed`.
fn embed(caller: Caller, session: &dyn Session, arguments: Vec<Expr>) -> Result<Expr> {
    match session.scalar_functions().get("embed") {
        Some(embed) => Ok(embed.call(arguments)),
        None => plan_err!("{}: a text is searched by its vector, but this session has no function embed", caller.name),
    }
}

/// How near the vector is: larger is nearer, whatever the metric.
fn score(metric: Metric, vector: Expr, query: Expr, schema: &DFSchema) -> Result<Expr> {
    let function = match metric {
        Metric::Cosine => cosine_distance(),
        Metric::InnerProduct => inner_product(),
        Metric::L2 => l2_distance(),
    };
    let distance = function.call(vec![vector, query]);
    let data_type = distance.get_type(schema)?;
    let score = match metric {
        Metric::Cosine => lit(ScalarValue::new_one(&data_type)?) - distance,
        Metric::InnerProduct => distance,
        Metric::L2 => Expr::Negative(Box::new(distance)),
    };
    Ok(if data_type == DataType::Float32 { score } else { cast(score, DataType::Float32) })
}

/// The documentation of `vector_search`; table functions have no place of their own for it.
pub fn documentation() -> &'static Documentation {
    static TEXT: LazyLock<Documentation> = LazyLock::new(|| {
        let section = DocSection { include: true, label: "Table Functions", description: None };
        Documentation::builder(
            section,
            "The `k` rows of a table that are nearest to a query, nearest first. Returns the columns of the table, and \
             `score`: larger is nearer. Rows without a vector are never found. The order of rows with equal scores is \
             not defined; `ORDER BY score DESC, id` defines it. A WHERE filters the `k` rows, not the table.",
            "vector_search(table, query, k [, column [, metric]])",
        )
        .with_sql_example(
            "```sql\nSELECT title, score FROM vector_search('products', 'gift for a gardener', 10, 'title');\n```",
        )
        .with_argument("table", "The name of a table or view, or the path of a file.")
        .with_argument(
            "query",
            "A text or a picture, which is embedded as a query with the model of the column; or a vector; or a scalar \
             subquery of one of these, such as `(SELECT vector FROM products WHERE id = 7)`.",
        )
        .with_argument("k", "The maximum number of rows: a positive integer literal.")
        .with_argument(
            "column",
            "The column to search: vectors, also those that `quantize` makes, or texts or pictures, which the search embeds. The \
             default is the only column of vectors: of type `FixedSizeList` of floats or of `Int8`, or binary and made by \
             `quantize`.",
        )
        .with_argument(
            "metric",
            "`'cosine'` (the default): the cosine of the angle; `'inner_product'`; or `'l2'`: the Euclidean distance, \
             negated.",
        )
        .build()
    });
    &TEXT
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
