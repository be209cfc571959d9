//! Where a user's scores come from: takes items, gives how much of their scores each item of the user's history makes.
//!
//! Components add what they know, each in one of two ways: item by item, where the score is a sum over the history; or as the
//! vector that the user's factors are multiplied by, which are a sum over the history themselves (`parts::als`). The vectors of all components
//! are added up first, so that the user's equations are solved once.

use super::parts::als::FoldIn;
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Row;

/// How much of the scores of a user for some items each item of the user's history makes.
#[derive(Debug)]
pub(crate) struct Attribution<'a> {
    /// The items.
    pub(crate) items: &'a [u32],
    /// The user's history.
    pub(crate) history: Row<'a>,
    /// Items x items of the history.
    by_item: Matrix,
    /// Items x factors.
    by_factors: Matrix,
}

impl<'a> Attribution<'a> {
    /// Nothing yet, of a user with this history and so many factors.
    pub(crate) fn new(items: &'a [u32], history: Row<'a>, factors: usize) -> Self {
        let by_item = Matrix::zeros(items.len(), history.0.len());
        Self { items, history, by_item, by_factors: Matrix::zeros(items.len(), factors) }
    }

    /// Adds to each score what an item of the history makes of it: `value` is asked for the item, and the item of the history
    /// with its value there.
    pub(super) fn add(&mut self, weights: &[f32], value: impl Fn(usize, u32, f32) -> f32) {
        let (own, values) = self.history;
        for ((place, item), weight) in self.items.iter().enumerate().zip(weights).filter(|(_, weight)| **weight != 0.0)
        {
            for ((out, of), strength) in self.by_item.row_mut(place).iter_mut().zip(own).zip(values) {
                *out += weight * value(*item as usize, *of, *strength);
            }
        }
    }

    /// Adds to each score what each item of the history makes of it: `values` are items x items of the history.
    pub(super) fn add_rows(&mut self, weights: &[f32], values: &Matrix) {
        for (place, weight) in weights.iter().enumerate() {
            let sums = self.by_item.row_mut(place).iter_mut();
            sums.zip(values.row(place)).for_each(|(sum, value)| *sum += weight * value);
        }
    }

    /// Adds to each score the user's factors times a vector of the item, which is asked for by its place here and its number.
    pub(super) fn add_factors<'v>(&mut self, weights: &[f32], vector: impl Fn(usize, usize) -> &'v [f32]) {
        for ((place, item), weight) in self.items.iter().enumerate().zip(weights).filter(|(_, weight)| **weight != 0.0)
        {
            let sums = self.by_factors.row_mut(place).iter_mut();
            sums.zip(vector(place, *item as usize)).for_each(|(sum, x)| *sum += weight * x);
        }
    }

    /// Items x items of the history, in its order.
    pub(crate) fn finish(mut self, fold_in: &FoldIn<&Matrix>) -> Matrix {
        fold_in.attribute(self.history, &self.by_factors, &mut self.by_item);
        self.by_item
    }
}
