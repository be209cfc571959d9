//! `auc(label, p)`: how well a score tells what happens from what does not.
//!
//! Takes labels and scores; gives the area under the ROC curve of each group. The kernel is [`auc`].

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

/// The area under the ROC curve, exact: pairs are counted in whole numbers. `None` without both labels.
///
/// Fawcett, "An introduction to ROC analysis", 2006, <https://doi.org/10.1016/j.patrec.2005.10.010>.
pub(super) fn auc(rows: &mut [Outcome]) -> Option<f64> {
    rows.sort_unstable_by(|a, b| a.score.total_cmp(&b.score));
    let (mut below, mut positives, mut half_wins) = (0u128, 0u128, 0u128);
    for ties in rows.chunk_by(|a, b| a.score == b.score) {
        let positive = ties.iter().filter(|row| row.truth > 0.0).count() as u128;
        let negative = ties.len() as u128 - positive;
        half_wins += positive * (2 * below + negative);
        below += negative;
        positives += positive;
    }
    let pairs = positives * below;
    (pairs > 0).then(|| half_wins as f64 / (2.0 * pairs as f64))
}
