//! Weighted sums of vectors, one a group: the state of `profile` and `centroid`.
//!
//! Takes vectors with their weights and centres, or states made elsewhere; gives states and means.
//!
//! Sums are `f64`, so that neither the order of the rows nor how they were split over partitions shows in an `f32`.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, Float32Array, Float64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use crate::filter::passes;
use crate::vectors::Vectors;

/// What becomes of a mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Finish {
    /// It is returned as it is.
    Plain,
    /// It is scaled to length one.
    Normalized,
}

/// The running sums of all groups.
#[derive(Debug)]
pub(super) struct Sums {
    function: &'static str,
    finish: Finish,
    width: usize,
    /// `groups x width`, row-major: the sum of weight x (vector - centre).
    sums: Vec<f64>,
    /// The sum of the weights of each group.
    weights: Vec<f64>,
}

impl Sums {
    pub(super) fn new(function: &'static str, finish: Finish, width: usize, groups: usize) -> Self {
        Self { function, finish, width, sums: vec![0.0; groups * width], weights: vec![0.0; groups] }
    }

    fn resize(&mut self, groups: usize) {
        self.sums.resize(groups * self.width, 0.0);
        self.weights.resize(groups, 0.0);
    }

    /// Adds rows of `vector [, weight [, center]]`; `group` gives each row's group, or `None` for a row to leave out.
    fn add(&mut self, arguments: &[ArrayRef], group: impl Fn(usize) -> Option<usize>) -> Result<()> {
        let [vectors, optional @ ..] = arguments else {
            return internal_err!("{} was called without arguments", self.function);
        };
        let rows = vectors.len();
        let vectors = Vectors::<Float32Type>::try_new(self.function, vectors)?;
        let weights = optional.first().map(|weights| weights.as_primitive::<Float64Type>());
        let centers =
            optional.get(1).map(|centers| Vectors::<Float32Type>::try_new(self.function, centers)).transpose()?;
        for row in 0..rows {
            let (Some(group), Some(vector)) = (group(row), vectors.row(row)) else { continue };
            let weight = match weights {
                Some(weights) if weights.is_null(row) => continue,
                Some(weights) => weights.value(row),
                None => 1.0,
            };
            if !(weight >= 0.0 && weight.is_finite()) {
                return exec_err!(
                    "{}: a weight is {weight}; weights are finite and not negative, and NULL leaves a row out",
                    self.function
                );
            }
            let sum = &mut self.sums[group * self.width..][..self.width];
            match &centers {
                None => {
                    for (sum, x) in sum.iter_mut().zip(vector) {
                        *sum += weight * f64::from(*x);
                    }
                }
                Some(centers) => {
                    let Some(center) = centers.row(row) else { continue };
                    for ((sum, x), c) in sum.iter_mut().zip(vector).zip(center) {
                        *sum += weight * (f64::from(*x) - f64::from(*c));
                    }
                }
            }
            self.weights[group] += weight;
        }
        Ok(())
    }

    /// Adds rows of states, as [`Self::states`] makes them.
    fn merge(&mut self, states: &[ArrayRef], group: impl Fn(usize) -> usize) -> Result<()> {
        let [sums, weights] = states else {
            return internal_err!("{} has two states, not {}", self.function, states.len());
        };
        let sums = Vectors::<Float64Type>::try_new(self.function, sums)?;
        for (row, weight) in weights.as_primitive::<Float64Type>().iter().enumerate() {
            let (Some(weight), Some(part)) = (weight, sums.row(row)) else { continue };
            let group = group(row);
            let sum = &mut self.sums[group * self.width..][..self.width];
            sum.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            self.weights[group] += weight;
        }
        Ok(())
    }

    /// The states of groups: their sums and their weights.
    fn states(&self, sums: Vec<f64>, weights: Vec<f64>) -> Result<Vec<ArrayRef>> {
        let sums = list(self.width, Arc::new(Float64Array::from(sums)), None, weights.len())?;
        Ok(vec![Arc::new(sums), Arc::new(Float64Array::from(weights))])
    }

    /// The means of groups. NULL for a group without weight, and for a mean of zeros that has no direction.
    fn means(&self, sums: &[f64], weights: &[f64]) -> Result<FixedSizeListArray> {
        let mut values = Vec::with_capacity(sums.len());
        let mut valid = Vec::with_capacity(weights.len());
        for (group, weight) in weights.iter().enumerate() {
            let sum = &sums[group * self.width..][..self.width];
            let length = match self.finish {
                Finish::Plain => *weight,
                Finish::Normalized => sum.iter().map(|x| x * x).sum::<f64>().sqrt(),
            };
            let defined = *weight > 0.0 && length != 0.0;
            values.extend(sum.iter().map(|x| if defined { (x / length) as f32 } else { 0.0 }));
            valid.push(defined);
        }
        let nulls = Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0);
        list(self.width, Arc::new(Float32Array::from(values)), nulls, weights.len())
    }

    fn take(&mut self, emit_to: EmitTo) -> (Vec<f64>, Vec<f64>) {
        let sums = match emit_to {
            EmitTo::All => emit_to.take_needed(&mut self.sums),
            EmitTo::First(groups) => EmitTo::First(groups * self.width).take_needed(&mut self.sums),
        };
        (sums, emit_to.take_needed(&mut self.weights))
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + (self.sums.capacity() + self.weights.capacity()) * size_of::<f64>()
    }
}

fn list(width: usize, values: ArrayRef, nulls: Option<NullBuffer>, rows: usize) -> Result<FixedSizeListArray> {
    let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let width = i32::try_from(width).unwrap_or(i32::MAX);
    Ok(FixedSizeListArray::try_new_with_length(item, width, values, nulls, rows)?)
}

/// The types of [`Sums::states`].
pub(super) fn state_types(width: usize) -> [DataType; 2] {
    let width = i32::try_from(width).unwrap_or(i32::MAX);
    [DataType::new_fixed_size_list(DataType::Float64, width, true), DataType::Float64]
}

/// Without GROUP BY, and in windows: one group.
impl Accumulator for Sums {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values, |_| Some(0))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.merge(states, |_| 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let states = self.states(self.sums.clone(), self.weights.clone())?;
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.means(&self.sums, &self.weights)?, 0)
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}

/// With GROUP BY.
impl GroupsAccumulator for Sums {
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
        let (sums, weights) = self.take(emit_to);
        self.states(sums, weights)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (sums, weights) = self.take(emit_to);
        Ok(Arc::new(self.means(&sums, &weights)?))
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |vectors| vectors.len());
        let mut single = Self::new(self.function, self.finish, self.width, rows);
        single.add(values, |row| passes(filter, row).then_some(row))?;
        let (sums, weights) = single.take(EmitTo::All);
        self.states(sums, weights)
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}
