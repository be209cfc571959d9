//! `calibration_error(label, p [, bins])`: whether probabilities are true.
//!
//! Takes labels and probabilities; gives the expected calibration error of each group. The kernels are in
//! [`super::calibration`].

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::calibration::{Binning, bins, calibration_error};
use super::function::{Function, Setting, metric};
use super::rows::{Measure, Rows, states};

const FUNCTION: Function = Function {
    name: "calibration_error",
    usage: "calibration_error(label, p [, bins])",
    truth: "label",
    score: "p",
    setting: Setting::Optional("bins", 15),
};

/// `calibration_error`.
#[user_doc(
    doc_section(label = "Metric Functions"),
    description = "The expected calibration error of predicted probabilities: 0 is perfect. Rows are sorted by `p` into bins of equal size; the error is the difference between a bin's mean `p` and its share of label 1, averaged over all rows. Rows with equal `p` share a bin. NULL for a group without rows.",
    syntax_example = "calibration_error(label, p [, bins])",
    sql_example = "```sql\nSELECT week, calibration_error(bought, p) FROM predictions GROUP BY week;\n```",
    argument(
        name = "label",
        description = "The outcome: TRUE or FALSE, or 1 or 0. Rows with a NULL label are ignored."
    ),
    argument(
        name = "p",
        description = "The predicted probability of label 1, from 0 to 1. Rows with a NULL are ignored."
    ),
    argument(name = "bins", description = "The number of bins, an integer literal. The default is 15.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct CalibrationError {
    signature: Signature,
}

impl Default for CalibrationError {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for CalibrationError {
    metric!(FUNCTION, states(), accumulator);
}

fn accumulator(args: &AccumulatorArgs) -> Result<Rows> {
    let setting = FUNCTION.setting(args)?;
    let check = |outcome| FUNCTION.check_label_and_probability(outcome);
    Ok(Rows::new(Measure {
        check,
        value: |rows, most| calibration_error(&bins(rows, Binning::EqualCount(most))),
        setting,
    }))
}
