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
    description = "The expected calibration error: rows are put into bins of equally many by their `p`, and the distance of a bin's mean `p` to its share of label 1 is averaged over all rows. 0 is perfect. Equal values of `p` are never split over bins. NULL for a group without rows.",
    syntax_example = "calibration_error(label, p [, bins])",
    sql_example = "```sql\nSELECT week, calibration_error(bought, p) FROM predictions GROUP BY week;\n```",
    argument(
        name = "label",
        description = "What happened: TRUE or FALSE, or 1 or 0. Rows with a NULL label are left out."
    ),
    argument(name = "p", description = "How probable it was said to be, from 0 to 1. Rows with a NULL are left out."),
    argument(
        name = "bins",
        description = "How many bins there are, a whole number written in the call; 15 if not given."
    )
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
