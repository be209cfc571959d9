//! `recall_at(relevance, score, k)`: how much of what is relevant is at the top.
//!
//! Takes relevances and scores; gives the recall of each group, usually a user. The kernel is [`recall`].

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::calibration::Outcome;
use super::function::{Function, Setting, metric};
use super::rows::{Measure, Rows, states};

const FUNCTION: Function = Function {
    name: "recall_at",
    usage: "recall_at(relevance, score, k)",
    truth: "relevance",
    score: "score",
    setting: Setting::Required("k"),
};

/// `recall_at`.
#[user_doc(
    doc_section(label = "Metric Functions"),
    description = "The share of the relevant rows that are among the `k` with the highest scores. Rows with equal scores count with the mean over their orders. NULL for a group without relevant rows, so that `avg` over users ignores users with nothing to find.",
    syntax_example = "recall_at(relevance, score, k)",
    sql_example = "```sql\nSELECT avg(r) FROM (SELECT recall_at(bought, score, 20) AS r FROM candidates GROUP BY customer_id);\n```",
    argument(
        name = "relevance",
        description = "TRUE or FALSE, or a number: a row above 0 is relevant. Rows with a NULL are ignored."
    ),
    argument(
        name = "score",
        description = "The score that ranks the rows, highest first. Rows with a NULL are ignored."
    ),
    argument(name = "k", description = "The number of top rows that count, an integer literal.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RecallAt {
    signature: Signature,
}

impl Default for RecallAt {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for RecallAt {
    metric!(FUNCTION, states(), accumulator);
}

fn accumulator(args: &AccumulatorArgs) -> Result<Rows> {
    let setting = FUNCTION.setting(args)?;
    Ok(Rows::new(Measure { check, value: recall, setting }))
}

fn check(outcome: Outcome) -> Result<()> {
    if outcome.truth.is_nan() {
        return exec_err!("recall_at: a relevance is NaN; NULL leaves a row out");
    }
    FUNCTION.check_score(outcome.score)
}

/// Recall at `k`; `None` where nothing is relevant. Of ties that are cut by `k`, the share inside counts.
pub(super) fn recall(rows: &mut [Outcome], k: usize) -> Option<f64> {
    rows.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
    let count = |rows: &[Outcome]| rows.iter().filter(|row| row.truth > 0.0).count() as f64;
    let (mut hits, mut place) = (0.0, 0);
    for ties in rows.chunk_by(|a, b| a.score == b.score) {
        if place >= k {
            break;
        }
        let inside = ties.len().min(k - place);
        hits += count(ties) * inside as f64 / ties.len() as f64;
        place += ties.len();
    }
    let relevant = count(rows);
    (relevant > 0.0).then(|| hits / relevant)
}
