//! `hybrid_search(table, query, k [, text_column [, vector_column]])`: the rows of a table that are nearest to a query by meaning or
//! by words.
//!
//! Takes a table's name and a text; gives the table's columns, `score`, `text_rank` and `vector_rank`, best first.
//!
//! The rows are ranked twice: by the words that they share with the query (BM25), which finds a code or a brand name by its
//! letters, and by the cosine of their vectors. Both are merged by reciprocal ranks, because scores of two kinds have no common
//! scale: `score = 1 / (60 + text_rank) + 1 / (60 + vector_rank)`. G. Cormack, C. Clarke and S. Büttcher, "Reciprocal rank fusion
//! outperforms Condorcet and individual rank learning methods", SIGIR 2009, <https://doi.org/10.1145/1571941.1572114>.
//!
//! Like `vector_search` this is a view. What the best rows of a ranking score is found first, in a pass that keeps nothing but
//! scores; then only rows that reach that in one of the rankings are kept and ranked, so that memory is bounded by `k`. There is no
//! index to build: the words are counted in a pass over the column of texts.
//!
//! # Layout
//! [`terms`]: the words of a text; [`statistics`]: what BM25 has to know of the column, an aggregate; [`bm25`](mod@bm25): the score.

pub(crate) mod bm25;
mod statistics;
pub(crate) mod terms;

use std::sync::{Arc, LazyLock};

use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Column, DFSchema, Result, Spans, plan_err};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::functions_aggregate::expr_fn::min;
use datafusion::functions_window::expr_fn::rank;
use datafusion::logical_expr::{
    DocSection, Documentation, Expr, ExprFunctionExt, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Subquery, cast,
    lit, when,
};

use arrow::datatypes::DataType;

use self::bm25::bm25;
use self::statistics::bm25_statistics;
use crate::distance::Metric;
use crate::text::is_text;
use crate::vector_search::arguments::{column_name, constant, limit, table_names};
use crate::vector_search::{Caller, is_vector, refuse_names, table, vector_score};

const CALLER: Caller =
    Caller { name: "hybrid_search", usage: "hybrid_search('table', 'query', k [, 'text_column' [, 'vector_column']])" };
const SCORE: &str = "score";
const TEXT_RANK: &str = "text_rank";
const VECTOR_RANK: &str = "vector_rank";
/// The scores of a row while it is ranked.
const BY_WORDS: &str = "__bm25";
const BY_MEANING: &str = "__cosine";
/// The constant of reciprocal rank fusion.
const RANKS: f64 = 60.0;
/// How many rows of each ranking count: this many times `k`, and at least so many.
const DEPTH: usize = 10;
const LEAST_DEPTH: usize = 100;

/// `hybrid_search`.
#[derive(Debug, Default, Clone, Copy)]
pub struct HybridSearch;

impl TableFunctionImpl for HybridSearch {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        Ok(Arc::new(ViewTable::new(plan(args.session(), args.exprs())?, None)))
    }
}

fn plan(session: &dyn Session, arguments: &[Expr]) -> Result<LogicalPlan> {
    let (name, usage) = (CALLER.name, CALLER.usage);
    let [table, query, k, optional @ ..] = arguments else {
        return plan_err!("{name} needs a table, a query and a number of rows: {usage}");
    };
    if optional.len() > 2 {
        return plan_err!("{name} takes at most five arguments, not {}: {usage}", arguments.len());
    }
    let (query, k) = (constant(CALLER, query)?, limit(CALLER, k)?);
    let wanted = |at: usize| optional.get(at).map(|column| column_name(CALLER, column)).transpose();
    let (text, vector) = (wanted(0)?.flatten(), wanted(1)?.flatten());

    let (table, provider) = table::find(CALLER, session, &table_names(CALLER, table)?)?;
    let scan = LogicalPlanBuilder::scan(table, provider_as_source(provider), None)?;
    let schema = Arc::clone(scan.schema());
    refuse_names(CALLER, &schema, &[SCORE, TEXT_RANK, VECTOR_RANK, BY_WORDS, BY_MEANING])?;
    let query_type = query.get_type(schema.as_ref())?;
    if !(is_text(&query_type) || query_type.is_null()) {
        return plan_err!("{name}: the query is a text, not {query_type}; vector_search takes vectors: {usage}");
    }
    let text = text_column(&schema, text.as_deref())?;
    let text_expr = Expr::Column(text.clone());
    let statistics = scan
        .clone()
        .aggregate(Vec::<Expr>::new(), [bm25_statistics().call(vec![text_expr.clone(), query.clone()])])?
        .build()?;
    let words = bm25().call(vec![text_expr, scalar(statistics)]);
    // A table without vectors is searched by those of its texts.
    let has_vectors = schema.fields().iter().any(|field| is_vector(field));
    let vector = vector.or_else(|| (!has_vectors).then(|| text.name.clone()));
    let meaning = vector_score(CALLER, session, &schema, vector.as_deref(), query, Metric::Cosine)?;

    let depth = k.saturating_mul(DEPTH).max(LEAST_DEPTH);
    let columns: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    let scores = scan.project(columns.iter().cloned().chain([
        // No row is found by words of which it has none.
        when(words.clone().gt(lit(0.0)), words).end()?.alias(BY_WORDS),
        meaning.alias(BY_MEANING),
    ]))?;
    let reaches =
        |score: &str| -> Result<Expr> { Ok(column(score).gt_eq(scalar(worst(scores.clone(), score, depth)?))) };
    let reaches =
        when(reaches(BY_WORDS)?, lit(true)).otherwise(when(reaches(BY_MEANING)?, lit(true)).otherwise(lit(false))?)?;
    let ranked = |score: &str| rank().order_by(vec![column(score).sort(false, false)]).build();
    let candidates = scores
        .filter(reaches)?
        .window([ranked(BY_WORDS)?.alias(TEXT_RANK)])?
        .window([ranked(BY_MEANING)?.alias(VECTOR_RANK)])?;
    let counted = |rank: &str, score: &str| {
        let counts = column(score).is_not_null().and(column(rank).lt_eq(lit(depth as u64)));
        Ok::<_, datafusion::error::DataFusionError>(
            cast(when(counts, column(rank)).end()?, DataType::Int64).alias(rank),
        )
    };
    let candidates = candidates
        .project(columns.iter().cloned().chain([counted(TEXT_RANK, BY_WORDS)?, counted(VECTOR_RANK, BY_MEANING)?]))?;
    let part = |rank: &str| -> Result<Expr> {
        let share = lit(1.0) / (lit(RANKS) + cast(column(rank), DataType::Float64));
        when(column(rank).is_not_null(), share).otherwise(lit(0.0))
    };
    let score = cast(part(TEXT_RANK)? + part(VECTOR_RANK)?, DataType::Float32).alias(SCORE);
    candidates
        .project(columns.into_iter().chain([score, column(TEXT_RANK), column(VECTOR_RANK)]))?
        .sort([column(SCORE).sort(false, false)])?
        .limit(0, Some(k))?
        .build()
}

/// The column whose words are searched: the one named, or the only one that holds texts.
fn text_column(schema: &DFSchema, wanted: Option<&str>) -> Result<Column> {
    let Caller { name, usage } = CALLER;
    let fields = || schema.iter().map(|(qualifier, field)| (Column::new(qualifier.cloned(), field.name()), field));
    let texts = || fields().filter(|(_, field)| is_text(field.data_type())).map(|(column, _)| column);
    let names = || texts().map(|column| format!("'{}'", column.name)).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = wanted {
        return match fields().find(|(column, _)| column.name == wanted) {
            Some((column, field)) if is_text(field.data_type()) => Ok(column),
            Some((_, field)) => plan_err!("{name}: column '{wanted}' is {}, and must hold texts", field.data_type()),
            None => plan_err!("{name}: the table has no column '{wanted}'; its columns of text are {}", names()),
        };
    }
    match (texts().next(), texts().nth(1)) {
        (Some(column), None) => Ok(column),
        (Some(_), Some(_)) => {
            plan_err!("{name}: the table has several columns of text, {}; name the one to search: {usage}", names())
        }
        (None, _) => plan_err!("{name}: the table has no column of text; vector_search needs none"),
    }
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The one value of a plan.
fn scalar(plan: LogicalPlan) -> Expr {
    Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), outer_ref_columns: Vec::new(), spans: Spans::new() })
}

/// The score of the last of the best rows.
fn worst(scores: LogicalPlanBuilder, score: &str, depth: usize) -> Result<LogicalPlan> {
    scores
        .project([column(score)])?
        .filter(column(score).is_not_null())?
        .sort([column(score).sort(false, false)])?
        .limit(0, Some(depth))?
        .aggregate(Vec::<Expr>::new(), [min(column(score))])?
        .build()
}

/// The documentation of `hybrid_search`; table functions have no place of their own for it.
pub fn documentation() -> &'static Documentation {
    static TEXT: LazyLock<Documentation> = LazyLock::new(|| {
        let section = DocSection { include: true, label: "Table Functions", description: None };
        Documentation::builder(
            section,
            "The `k` rows of a table that answer a query best by their words and by their meaning, best first. A code or a \
             brand name is found by its letters, other words by their vectors: rows are ranked by BM25 and by the cosine of \
             their vectors, and the two ranks are merged. `score` is 1 / (60 + text_rank) + 1 / (60 + vector_rank). Returns \
             the columns of the table, `score`, `text_rank` and `vector_rank`. A rank is NULL where the row shares no word \
             with the query or has no vector, or is not among the 10 * `k` best (100 at the least). Words are runs of letters \
             and digits in any case, without stemming. The order of rows with equal scores is not defined. A WHERE filters the \
             `k` rows, not the table.",
            "hybrid_search(table, query, k [, text_column [, vector_column]])",
        )
        .with_sql_example(
            "```sql\nSELECT title, score FROM hybrid_search('products', 'tent TX-200', 10, 'title', 'vector');\n```",
        )
        .with_argument("table", "The name of a table or view, or the path of a file.")
        .with_argument("query", "A text, or a scalar subquery of one.")
        .with_argument("k", "The maximum number of rows: a positive integer literal.")
        .with_argument("text_column", "The column whose words are searched. The default is the only column of text.")
        .with_argument(
            "vector_column",
            "The column of vectors, or of texts, which the search embeds. The default is the only column of vectors, or the text column where there is none.",
        )
        .build()
    });
    &TEXT
}
