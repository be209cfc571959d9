//! `log_loss(label, p)`: how well probabilities foretell what happens.
//!
//! Takes labels and probabilities; gives the mean negative log likelihood of each group. The kernel is
//! [`super::calibration::log_loss`]; a sum and a count are all that is kept.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, UInt64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, UInt64Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};
use datafusion_macros::user_doc;

use super::calibration::log_loss;
use super::function::{Function, Setting, metric};
use super::rows::outcomes;
use crate::filter::passes;

const FUNCTION: Function =
    Function { name: "log_loss", usage: "log_loss(label, p)", truth: "label", score: "p", setting: Setting::None };

/// `log_loss`.
#[user_doc(
    doc_section(label = "Metric Functions"),
    description = "The mean log loss of predicted probabilities: lower is better. It is `-ln(p)` for label 1 and `-ln(1 - p)` for label 0. As a baseline, predict the group's share of label 1 for every row. `p` is kept 2^-52 away from 0 and 1. NULL for a group without rows.",
    syntax_example = "log_loss(label, p)",
    sql_example = "```sql\nSELECT week, log_loss(bought, p) FROM predictions GROUP BY week;\n```",
    argument(
        name = "label",
        description = "The outcome: TRUE or FALSE, or 1 or 0. Rows with a NULL label are ignored."
    ),
    argument(
        name = "p",
        description = "The predicted probability of label 1, from 0 to 1. Rows with a NULL are ignored."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct LogLoss {
    signature: Signature,
}

impl Default for LogLoss {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for LogLoss {
    metric!(FUNCTION, [("sum", DataType::Float64), ("count", DataType::UInt64)], accumulator);
}

fn accumulator(args: &AccumulatorArgs) -> Result<Losses> {
    FUNCTION.setting(args)?;
    Ok(Losses::default())
}

/// The losses of all groups.
#[derive(Debug, Default)]
struct Losses {
    sums: Vec<f64>,
    counts: Vec<u64>,
}

impl Losses {
    fn resize(&mut self, groups: usize) {
        self.sums.resize(groups.max(self.sums.len()), 0.0);
        self.counts.resize(groups.max(self.counts.len()), 0);
    }

    fn add(&mut self, arguments: &[ArrayRef], group: impl Fn(usize) -> Option<usize>) -> Result<()> {
        outcomes(arguments, |row, outcome| {
            let Some(group) = group(row) else { return Ok(()) };
            FUNCTION.check_label_and_probability(outcome)?;
            self.sums[group] += log_loss(outcome);
            self.counts[group] += 1;
            Ok(())
        })
    }

    fn merge(&mut self, states: &[ArrayRef], group: impl Fn(usize) -> usize) -> Result<()> {
        let [sums, counts] = states else {
            return internal_err!("log_loss has two states, not {}", states.len());
        };
        let (sums, counts) = (sums.as_primitive::<Float64Type>(), counts.as_primitive::<UInt64Type>());
        for (row, (sum, count)) in sums.iter().zip(counts).enumerate() {
            let (Some(sum), Some(count)) = (sum, count) else { continue };
            let group = group(row);
            self.sums[group] += sum;
            self.counts[group] += count;
        }
        Ok(())
    }

    fn take(&mut self, emit_to: EmitTo) -> (Vec<f64>, Vec<u64>) {
        (emit_to.take_needed(&mut self.sums), emit_to.take_needed(&mut self.counts))
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.sums.capacity() * size_of::<f64>() + self.counts.capacity() * size_of::<u64>()
    }
}

fn mean(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

/// Without GROUP BY, and in windows: one group.
impl Accumulator for Losses {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.resize(1);
        self.add(values, |_| Some(0))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.resize(1);
        self.merge(states, |_| 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.resize(1);
        Ok(vec![ScalarValue::Float64(Some(self.sums[0])), ScalarValue::UInt64(Some(self.counts[0]))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.resize(1);
        Ok(ScalarValue::Float64(mean(self.sums[0], self.counts[0])))
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}

/// With GROUP BY.
impl GroupsAccumulator for Losses {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.resize(total_num_groups);
        self.add(values, |row| passes(filter, row).then(|| group_indices[row]))
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.resize(total_num_groups);
        self.merge(states, |row| group_indices[row])
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (sums, counts) = self.take(emit_to);
        Ok(vec![Arc::new(Float64Array::from(sums)), Arc::new(UInt64Array::from(counts))])
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (sums, counts) = self.take(emit_to);
        Ok(Arc::new(sums.into_iter().zip(counts).map(|(sum, count)| mean(sum, count)).collect::<Float64Array>()))
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut single = Self::default();
        single.resize(values.first().map_or(0, |labels| labels.len()));
        single.add(values, |row| passes(filter, row).then_some(row))?;
        GroupsAccumulator::state(&mut single, EmitTo::All)
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}
