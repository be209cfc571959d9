//! All rows of all groups: the state of the metrics that need them together.
//!
//! Takes what was true and what was predicted, or states made elsewhere; gives states and, by a metric's own maths,
//! values.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, LargeListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::calibration::Outcome;
use crate::filter::passes;
use crate::lists::list_type;

/// A metric's maths.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure {
    /// Refuses a row that the metric cannot read.
    pub(super) check: fn(Outcome) -> Result<()>,
    /// The metric of the rows, which it may reorder; `None` where it is not defined. The number is [`Self::setting`].
    pub(super) value: fn(&mut [Outcome], usize) -> Option<f64>,
    /// The k or the number of bins of the call.
    pub(super) setting: usize,
}

/// The rows seen so far, in the order in which they came.
#[derive(Debug)]
pub(super) struct Rows {
    measure: Measure,
    groups: usize,
    /// The group of each row.
    of: Vec<usize>,
    rows: Vec<Outcome>,
}

/// The names and types of the states: what was true and what was predicted.
pub(super) fn states() -> [(&'static str, DataType); 2] {
    [("truths", list_type(DataType::Float64)), ("scores", list_type(DataType::Float64))]
}

impl Rows {
    pub(super) fn new(measure: Measure) -> Self {
        Self { measure, groups: 0, of: Vec::new(), rows: Vec::new() }
    }

    /// Adds rows; `group` gives each row's group, or `None` for a row to leave out. A NULL leaves a row out, too.
    fn add(&mut self, arguments: &[ArrayRef], group: impl Fn(usize) -> Option<usize>) -> Result<()> {
        outcomes(arguments, |row, outcome| {
            let Some(group) = group(row) else { return Ok(()) };
            (self.measure.check)(outcome)?;
            self.of.push(group);
            self.rows.push(outcome);
            Ok(())
        })
    }

    /// Adds rows of states, as [`Self::lists`] makes them.
    fn merge(&mut self, states: &[ArrayRef], group: impl Fn(usize) -> usize) -> Result<()> {
        let [truths, scores] = states else {
            return internal_err!("a metric has two states, not {}", states.len());
        };
        let (truths, scores) = (truths.as_list::<i64>(), scores.as_list::<i64>());
        for (row, (truths, scores)) in truths.iter().zip(scores.iter()).enumerate() {
            let (Some(truths), Some(scores)) = (truths, scores) else { continue };
            let (truths, scores) = (truths.as_primitive::<Float64Type>(), scores.as_primitive::<Float64Type>());
            let outcomes = truths.values().iter().zip(scores.values());
            self.rows.extend(outcomes.map(|(truth, score)| Outcome { truth: *truth, score: *score }));
            self.of.resize(self.rows.len(), group(row));
        }
        Ok(())
    }

    /// Takes the rows of the groups to emit, a group behind the other, and where each group ends.
    fn take(&mut self, emit_to: EmitTo) -> (Vec<Outcome>, Vec<usize>) {
        let emitted = match emit_to {
            EmitTo::All => self.groups,
            EmitTo::First(groups) => groups,
        };
        // A counting sort. `ends[group]` is first where the group's next row goes, and in the end where the group ends.
        let mut ends = vec![0usize; emitted];
        self.of.iter().for_each(|group| ends.get_mut(*group).into_iter().for_each(|count| *count += 1));
        let mut sum = 0;
        for end in &mut ends {
            (*end, sum) = (sum, sum + *end);
        }
        let mut taken = vec![Outcome { truth: 0.0, score: 0.0 }; sum];
        let mut kept = 0;
        for index in 0..self.rows.len() {
            let (group, row) = (self.of[index], self.rows[index]);
            if let Some(end) = ends.get_mut(group) {
                taken[*end] = row;
                *end += 1;
            } else {
                self.of[kept] = group - emitted;
                self.rows[kept] = row;
                kept += 1;
            }
        }
        self.of.truncate(kept);
        self.rows.truncate(kept);
        self.of.shrink_to_fit();
        self.rows.shrink_to_fit();
        self.groups -= emitted.min(self.groups);
        (taken, ends)
    }

    fn values(&self, mut rows: Vec<Outcome>, ends: &[usize]) -> Float64Array {
        let mut start = 0;
        let value = |end: &usize| {
            (self.measure.value)(&mut rows[std::mem::replace(&mut start, *end)..*end], self.measure.setting)
        };
        ends.iter().map(value).collect()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.of.capacity() * size_of::<usize>() + self.rows.capacity() * size_of::<Outcome>()
    }
}

/// Calls `each` with the place and the values of each row of `truth, score [, setting]` that has both.
pub(super) fn outcomes(arguments: &[ArrayRef], mut each: impl FnMut(usize, Outcome) -> Result<()>) -> Result<()> {
    let [truths, scores, ..] = arguments else {
        return internal_err!("a metric was called with {} arguments", arguments.len());
    };
    let (truths, scores) = (truths.as_primitive::<Float64Type>(), scores.as_primitive::<Float64Type>());
    for (row, (truth, score)) in truths.iter().zip(scores).enumerate() {
        if let (Some(truth), Some(score)) = (truth, score) {
            each(row, Outcome { truth, score })?;
        }
    }
    Ok(())
}

/// The states of groups: their rows as lists.
fn lists(rows: &[Outcome], ends: &[usize]) -> Vec<ArrayRef> {
    let item = Arc::new(Field::new_list_field(DataType::Float64, true));
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let offsets = OffsetBuffer::<i64>::from_lengths(ends.iter().zip(starts).map(|(end, start)| end - start));
    let list = |value: fn(&Outcome) -> f64| -> ArrayRef {
        let values = Arc::new(rows.iter().map(value).collect::<Float64Array>());
        Arc::new(LargeListArray::new(Arc::clone(&item), offsets.clone(), values, None))
    };
    vec![list(|row| row.truth), list(|row| row.score)]
}

/// Without GROUP BY, and in windows: one group.
impl Accumulator for Rows {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values, |_| Some(0))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.merge(states, |_| 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let states = lists(&self.rows, &[self.rows.len()]);
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // Reordering the rows leaves them what they are.
        Ok(ScalarValue::Float64((self.measure.value)(&mut self.rows, self.measure.setting)))
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}

/// With GROUP BY.
impl GroupsAccumulator for Rows {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups = self.groups.max(total_num_groups);
        self.add(values, |row| passes(filter, row).then(|| group_indices[row]))
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.groups = self.groups.max(total_num_groups);
        self.merge(states, |row| group_indices[row])
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (rows, ends) = self.take(emit_to);
        Ok(lists(&rows, &ends))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (rows, ends) = self.take(emit_to);
        Ok(Arc::new(self.values(rows, &ends)))
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut single = Self::new(self.measure);
        single.groups = values.first().map_or(0, |truths| truths.len());
        single.add(values, |row| passes(filter, row).then_some(row))?;
        let (rows, ends) = single.take(EmitTo::All);
        Ok(lists(&rows, &ends))
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}
