//! `ndcg(relevance, score, k)`: whether what is relevant is at the top.
//!
//! Takes relevances and scores; gives the normalised discounted cumulative gain of each group, usually a user. The kernel
//! is [`ndcg`].

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
    name: "ndcg",
    usage: "ndcg(relevance, score, k)",
    truth: "relevance",
    score: "score",
    setting: Setting::Required("k"),
};

/// `ndcg`.
#[user_doc(
    doc_section(label = "Metric Functions"),
    description = "The normalised discounted cumulative gain of the `k` rows with the highest scores. Each relevance is divided by log2(rank + 1); the sum is divided by that of the best order. Rows with equal scores count with the mean over their orders. NULL for a group without relevant rows, so that `avg` over users ignores users with nothing to find.",
    syntax_example = "ndcg(relevance, score, k)",
    sql_example = "```sql\nSELECT avg(n) FROM (SELECT ndcg(bought, score, 20) AS n FROM candidates GROUP BY customer_id);\n```",
    argument(
        name = "relevance",
        description = "The relevance: TRUE or FALSE, or a finite number, not negative. Rows with a NULL are ignored."
    ),
    argument(
        name = "score",
        description = "The score that ranks the rows, highest first. Rows with a NULL are ignored."
    ),
    argument(name = "k", description = "The number of top rows that count, an integer literal.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Ndcg {
    signature: Signature,
}

impl Default for Ndcg {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Ndcg {
    metric!(FUNCTION, states(), accumulator);
}

fn accumulator(args: &AccumulatorArgs) -> Result<Rows> {
    let setting = FUNCTION.setting(args)?;
    Ok(Rows::new(Measure { check, value: ndcg, setting }))
}

fn check(outcome: Outcome) -> Result<()> {
    if !(outcome.truth >= 0.0 && outcome.truth.is_finite()) {
        return exec_err!(
            "ndcg: a relevance is {}; relevances are finite and not negative, and NULL leaves a row out",
            outcome.truth
        );
    }
    FUNCTION.check_score(outcome.score)
}

/// NDCG at `k`, with the relevance itself as the gain; `None` where nothing is relevant.
///
/// Järvelin and Kekäläinen, 2002, <https://doi.org/10.1145/582415.582418>; the mean over the orders of ties: McSherry and
/// Najork, 2008, <https://doi.org/10.1007/978-3-540-78646-7_38>.
pub(super) fn ndcg(rows: &mut [Outcome], k: usize) -> Option<f64> {
    let discount = |place: usize| 1.0 / ((place + 2) as f64).log2();
    let descending = |a: f64, b: f64| b.total_cmp(&a);
    rows.sort_unstable_by(|a, b| descending(a.truth, b.truth));
    let best: f64 = rows.iter().take(k).enumerate().map(|(place, row)| row.truth * discount(place)).sum();
    if best <= 0.0 {
        return None;
    }
    // The relevance is part of the order, so that sums do not hang on the order of the rows.
    rows.sort_unstable_by(|a, b| descending(a.score, b.score).then(descending(a.truth, b.truth)));
    let (mut gain, mut place) = (0.0, 0);
    for ties in rows.chunk_by(|a, b| a.score == b.score) {
        if place >= k {
            break;
        }
        let relevance = ties.iter().map(|row| row.truth).sum::<f64>() / ties.len() as f64;
        gain += relevance * (place..k.min(place + ties.len())).map(discount).sum::<f64>();
        place += ties.len();
    }
    Some(gain / best)
}
