//! `answer(questions => (SELECT ...), documents => (SELECT ...), ...)`: the documents that answer questions.
//!
//! Takes named literals and the plans of the sub-queries; gives plans in which questions and documents have vectors
//! ([`AnswerOptions::plan`]), and from their rows those of the result ([`rows`]). The engine runs what lies between.
//!
//! A document is ranked by its meaning and by its words together, `0.75 * similarity + 0.25 * words`: the cosine of the two vectors,
//! and the BM25 of the document as a share of what the words of the question could score at the most. A sum of scores with fixed
//! scales keeps how much better one is than the next, which ranks alone (as in `hybrid_search`) do not: S. Bruch, S. Gai and
//! A. Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", 2023, <https://doi.org/10.1145/3596512>.
//!
//! # Layout
//! [`index`]: the documents in memory; `rows`: from questions to rows.

mod index;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ScalarUDF, lit};

pub use self::rows::rows;
use crate::options::columns::{no_column, position};
use crate::options::setting::{Default, Kind, Readers, setting};
use crate::options::{Function, Inputs, Values};
use crate::text::is_text;

/// The function's name.
pub const NAME: &str = "answer";

/// The function.
pub const FUNCTION: Function = Function {
    name: NAME,
    usage: "answer(questions => (SELECT question, ...), documents => (SELECT text, ...), option => value, ...)",
    description: "The documents that answer each question, the best first. Documents are passages that can stand as an answer: entries \
                  of a help page, paragraphs of a manual, questions that were answered before. Returns a row per question and \
                  document: the columns of the question, the rank, the columns of the document (its text and where it stands), the \
                  score, the similarity, which is the cosine of their vectors, and words, which is the BM25 of the document as a \
                  share of what the words of the question could score at the most. The score is 0.75 * similarity + 0.25 * words. \
                  A question without a text has no rows, and a document without a text is not found. Documents are kept in memory, \
                  with their vectors; every question is compared with all of them.",
    example: "SELECT question, title, text, score FROM answer(documents => (SELECT title, title || '. ' || text AS text FROM \
              'data/help.parquet'),\n         questions => (SELECT 'How long does an order take to arrive?' AS question));",
    sub_queries: &[
        ("questions", "The questions: question, and any other columns, which the result repeats"),
        ("documents", "The documents: text, which is searched, and any other columns, which the result repeats"),
    ],
    settings: &[
        setting(
            "model",
            Kind::Text,
            Default::SessionModel,
            Readers::All,
            "The model that makes vectors of questions and documents, 'name' or 'name@version'; by default the session's debut.model",
        ),
        setting(
            "k",
            Kind::Integer(1, 1_000_000),
            Default::Value("1"),
            Readers::All,
            "Maximum number of documents per question",
        ),
        setting(
            "columns",
            Kind::Columns(&["question", "text"]),
            Default::Absent,
            Readers::All,
            "Columns whose names differ from their roles",
        ),
    ],
};

/// What the plans add to the columns of each sub-query, as its last one.
const VECTOR: &str = "__vector";
/// What stands between the columns of questions and of documents.
const RANK: &str = "rank";
/// What stands behind them.
const SCORES: [&str; 3] = ["score", "similarity", "words"];

/// The options of a call, typed.
#[derive(Debug, Clone)]
pub struct AnswerOptions {
    k: usize,
    /// The place of the question among the columns of questions, and of the text among those of documents.
    question: usize,
    text: usize,
    schema: SchemaRef,
}

impl AnswerOptions {
    /// The options that these values are, and the sub-queries with vectors that `embed` makes.
    ///
    /// # Errors
    /// A sub-query or a column is missing, of a type that is no text, or called like another one.
    pub fn plan(
        values: &Values,
        inputs: Inputs<LogicalPlan>,
        embed: &ScalarUDF,
    ) -> Result<(Self, Inputs<LogicalPlan>)> {
        let (Some(questions), Some(documents)) = (inputs.questions, inputs.documents) else {
            return plan_err!(
                "{NAME} needs questions => (SELECT ...) and documents => (SELECT ...): {}",
                FUNCTION.usage
            );
        };
        let (columns, model) = (values.columns("columns"), values.text("model")?);
        let (questions, question) =
            with_vectors(&questions, ("questions", "question"), &columns, embed, (model, "query"))?;
        let (documents, text) = with_vectors(&documents, ("documents", "text"), &columns, embed, (model, "document"))?;
        let of = |plan: &LogicalPlan| {
            let fields = plan.schema().fields();
            fields[..fields.len() - 1].iter().map(|field| field.as_ref().clone()).collect::<Vec<_>>()
        };
        let mut fields = of(&questions);
        fields.push(Field::new(RANK, DataType::Int64, false));
        fields.extend(of(&documents));
        fields.extend(SCORES.map(|name| Field::new(name, DataType::Float32, false)));
        let mut names = fields.iter().map(Field::name).collect::<Vec<_>>();
        names.sort_unstable();
        if let Some([name, _]) = names.array_windows().find(|[one, other]| one == other) {
            return plan_err!(
                "{NAME}: two columns of the result are called '{name}': it has those of questions, {RANK}, those of documents and {}; \
                 rename one with AS",
                SCORES.join(", ")
            );
        }
        let schema = Arc::new(Schema::new(fields));
        let inputs = Inputs { questions: Some(questions), documents: Some(documents), ..Inputs::default() };
        Ok((Self { k: values.count("k")?, question, text, schema }, inputs))
    }

    /// The columns of the result.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// A sub-query with the vectors of the texts of one of its columns, and the place of that column.
fn with_vectors(
    plan: &LogicalPlan,
    (input, role): (&str, &str),
    columns: &BTreeMap<String, String>,
    embed: &ScalarUDF,
    (model, prompt): (&str, &str),
) -> Result<(LogicalPlan, usize)> {
    let fields = plan.schema().fields();
    let wanted = columns.get(role).map_or(role, String::as_str);
    let Some(place) = position(fields, wanted) else {
        return plan_err!(
            "{NAME}: {input} has {}; select one AS {role}, or name it with columns => '{role}=...'",
            no_column(fields, wanted)
        );
    };
    let kind = fields[place].data_type();
    if !(is_text(kind) || kind.is_null()) {
        return plan_err!("{NAME}: column '{wanted}' of {input} is {kind}, and must hold texts");
    }
    if position(fields, VECTOR).is_some() {
        return plan_err!("{NAME}: {input} has a column '{VECTOR}', a name that is taken; rename it with AS");
    }
    let kept = plan.schema().columns();
    let text = if kind.is_null() { lit(ScalarValue::Utf8(None)) } else { Expr::Column(kept[place].clone()) };
    // Without their qualifiers, which the result has not.
    let unqualified = kept.into_iter().map(|column| {
        let name = column.name.clone();
        Expr::Column(column).alias(name)
    });
    let vector = embed.call(vec![text, lit(model), lit(prompt)]).alias(VECTOR);
    Ok((LogicalPlanBuilder::from(plan.clone()).project(unqualified.chain([vector]))?.build()?, place))
}

#[cfg(test)]
#[path = "tests.rs"]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
