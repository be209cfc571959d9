//! What the metrics have in common as functions of SQL: their arguments, and what DataFusion asks of an aggregate.
//!
//! Takes types and plans of calls; gives coerced types, checked values and errors that say what to write instead.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::logical_expr::function::AccumulatorArgs;

use super::calibration::Outcome;

/// A metric's call. The first argument is what was true, the second what was predicted, the third a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) usage: &'static str,
    pub(super) truth: &'static str,
    pub(super) score: &'static str,
    pub(super) setting: Setting,
}

/// A whole number that is the same for all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Setting {
    /// There is none.
    None,
    /// It must be given.
    Required(&'static str),
    /// It may be given.
    Optional(&'static str, usize),
}

impl Function {
    /// The types that the arguments are read as.
    pub(super) fn coerce(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (fewest, most) = match self.setting {
            Setting::None => (2, 2),
            Setting::Required(_) => (3, 3),
            Setting::Optional(..) => (2, 3),
        };
        let (name, usage) = (self.name, self.usage);
        if !(fewest..=most).contains(&types.len()) {
            return plan_err!("{name} was given {} arguments; it is {usage}", types.len());
        }
        let [truth, score, setting @ ..] = types else {
            return plan_err!("{name} was given {} arguments; it is {usage}", types.len());
        };
        let (truth, score) = (plain(truth), plain(score));
        if !(truth.is_numeric() || truth.is_null() || *truth == DataType::Boolean) {
            return plan_err!("{name}: the {} is TRUE or FALSE, or a number, not {truth}: {usage}", self.truth);
        }
        if !(score.is_numeric() || score.is_null()) {
            return plan_err!("{name}: {} is a number, not {score}: {usage}", self.score);
        }
        let mut coerced = vec![DataType::Float64, DataType::Float64];
        if let (Setting::Required(argument) | Setting::Optional(argument, _), Some(given)) =
            (self.setting, setting.first())
        {
            if !(given.is_integer() || given.is_null()) {
                return plan_err!("{name}: {argument} is an integer literal, not {given}: {usage}");
            }
            coerced.push(DataType::Int64);
        }
        Ok(coerced)
    }

    /// The setting of a call, or its default; 0 for a function without one.
    ///
    /// # Errors
    /// It is not one number for all rows, or below 1. The call is DISTINCT.
    pub(super) fn setting(&self, args: &AccumulatorArgs) -> Result<usize> {
        let (name, usage) = (self.name, self.usage);
        if args.is_distinct {
            return plan_err!("{name}(DISTINCT ...) is not supported; select the distinct rows in a subquery");
        }
        let (argument, default) = match self.setting {
            Setting::None => return Ok(0),
            Setting::Required(argument) => (argument, 0),
            Setting::Optional(argument, default) => (argument, default),
        };
        let Some(expression) = args.exprs.get(2) else { return Ok(default) };
        // A literal needs no columns, and only a literal needs none.
        let row = RecordBatch::new_empty(Arc::new(Schema::empty()));
        match expression.evaluate(&row) {
            Ok(ColumnarValue::Scalar(ScalarValue::Int64(Some(number)))) if number >= 1 => {
                Ok(usize::try_from(number).unwrap_or(usize::MAX))
            }
            Ok(ColumnarValue::Scalar(value)) => {
                plan_err!("{name}: {argument} is {value}, and must be an integer of at least 1: {usage}")
            }
            _ => plan_err!("{name}: {argument} must be an integer literal: {usage}"),
        }
    }

    /// Refuses what is not TRUE or FALSE, 1 or 0.
    pub(super) fn check_label(&self, label: f64) -> Result<()> {
        if label == 0.0 || label == 1.0 {
            return Ok(());
        }
        exec_err!(
            "{}: a {} is {label}; it is TRUE or FALSE, or 1 or 0, and NULL leaves a row out",
            self.name,
            self.truth
        )
    }

    /// Refuses what is no probability.
    pub(super) fn check_probability(&self, p: f64) -> Result<()> {
        if (0.0..=1.0).contains(&p) {
            return Ok(());
        }
        exec_err!(
            "{}: {} is {p}; a probability is between 0 and 1, and NULL leaves a row out{}",
            self.name,
            self.score,
            if p.is_finite() { "; of a logit x it is 1 / (1 + exp(-x))" } else { "" }
        )
    }

    /// Refuses a score that cannot be ranked by.
    pub(super) fn check_score(&self, score: f64) -> Result<()> {
        if score.is_nan() {
            return exec_err!("{}: {} is NaN; NULL leaves a row out", self.name, self.score);
        }
        Ok(())
    }

    /// Refuses what cannot be a label with its probability.
    pub(super) fn check_label_and_probability(&self, outcome: Outcome) -> Result<()> {
        self.check_label(outcome.truth)?;
        self.check_probability(outcome.score)
    }
}

/// The type of the values behind a dictionary.
pub(super) fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

/// What DataFusion asks of an aggregate, for a metric that is this [`Function`], whose states have these names and types,
/// and whose accumulator, of both kinds, is made by `$accumulator(&AccumulatorArgs)`.
macro_rules! metric {
    ($function:expr, $states:expr, $accumulator:expr) => {
        fn name(&self) -> &'static str {
            $function.name
        }

        fn signature(&self) -> &Signature {
            &self.signature
        }

        fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
            $function.coerce(types)
        }

        fn return_type(&self, _: &[DataType]) -> Result<DataType> {
            Ok(DataType::Float64)
        }

        fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
            Ok(Box::new($accumulator(&args)?))
        }

        fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
            let field = |(state, data_type)| Arc::new(Field::new(format_state_name(args.name, state), data_type, true));
            Ok($states.map(field).to_vec())
        }

        fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
            !args.is_distinct
        }

        fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
            Ok(Box::new($accumulator(&args)?))
        }

        fn order_sensitivity(&self) -> AggregateOrderSensitivity {
            AggregateOrderSensitivity::Insensitive
        }

        fn reverse_expr(&self) -> ReversedUDAF {
            ReversedUDAF::Identical
        }

        fn documentation(&self) -> Option<&Documentation> {
            self.doc()
        }
    };
}

pub(super) use metric;
