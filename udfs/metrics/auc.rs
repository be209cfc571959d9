//! `auc(label, p)`: how well a score tells what happens from what does not.
//!
//! Takes labels and scores; gives the area under the ROC curve of each group. The kernel is [`area`], which trainings use too.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::calibration::Outcome;
use super::function::{Function, Setting, metric};
use super::rows::{Measure, Rows, states};

const FUNCTION: Function =
    Function { name: "auc", usage: "auc(label, p)", truth: "label", score: "p", setting: Setting::None };

/// `auc`.
#[user_doc(
    doc_section(label = "Metric Functions"),
    description = "The area under the ROC curve of a prediction. It is the probability that a row with label 1 has a higher `p` than a row with label 0, where a tie counts half: 0.5 is chance, 1 is perfect. NULL for a group without both labels.",
    syntax_example = "auc(label, p)",
    sql_example = "```sql\nSELECT week, auc(bought, p) FROM predictions GROUP BY week;\n```",
    argument(
        name = "label",
        description = "The outcome: TRUE or FALSE, or 1 or 0. Rows with a NULL label are ignored."
    ),
    argument(
        name = "p",
        description = "The prediction: a probability, or any number that rises with it. Rows with a NULL are ignored."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Auc {
    signature: Signature,
}

impl Default for Auc {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Auc {
    metric!(FUNCTION, states(), accumulator);
}

fn accumulator(args: &AccumulatorArgs) -> Result<Rows> {
    let setting = FUNCTION.setting(args)?;
    Ok(Rows::new(Measure { check, value: |rows, _| auc(rows), setting }))
}

fn check(outcome: Outcome) -> Result<()> {
    FUNCTION.check_label(outcome.truth)?;
    FUNCTION.check_score(outcome.score)
}

pub(super) fn auc(rows: &mut [Outcome]) -> Option<f64> {
    area(rows, |row| row.score, |row| if row.truth > 0.0 { (1.0, 0.0) } else { (0.0, 1.0) })
}

/// The area under the ROC curve: the probability that a positive one has a higher score than a negative one, ties counted half.
/// `weights` are how much a row counts as positive and as negative. Exact for whole weights while there are less than 2^53 pairs.
/// `None` without both.
///
/// Fawcett, "An introduction to ROC analysis", 2006, <https://doi.org/10.1016/j.patrec.2005.10.010>.
pub fn area<T>(rows: &mut [T], score: impl Fn(&T) -> f64, weights: impl Fn(&T) -> (f64, f64)) -> Option<f64> {
    rows.sort_unstable_by(|a, b| score(a).total_cmp(&score(b)));
    let (mut below, mut positives, mut half_wins) = (0.0, 0.0, 0.0);
    for ties in rows.chunk_by(|a, b| score(a) == score(b)) {
        let add = |sum: (f64, f64), row| {
            let (positive, negative) = weights(row);
            (sum.0 + positive, sum.1 + negative)
        };
        let (positive, negative) = ties.iter().fold((0.0, 0.0), add);
        half_wins += positive * (2.0 * below + negative);
        below += negative;
        positives += positive;
    }
    let pairs = positives * below;
    (pairs > 0.0).then(|| half_wins / (2.0 * pairs))
}
