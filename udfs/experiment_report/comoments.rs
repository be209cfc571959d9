//! `comoments(x, y, ...)`: count, means and sums of products of deviations of several numbers, in one pass.
//!
//! Takes columns of `Float64`; gives one list a group, which [`Comoments::of`] reads. Rows with a NULL are left out. It is
//! no function of SQL: [`super::plan`] puts it into plans, so that DataFusion reads any number of rows with the memory of a
//! few numbers a group, on all cores.
//!
//! Deviations are taken from each batch's own means, and batches are merged pair by pair: Chan, Golub and LeVeque,
//! "Algorithms for computing the sample variance", The American Statistician 37(3), 1983,
//! <https://doi.org/10.1080/00031305.1983.10483115>.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::filter;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::NAME;

/// What is known of several numbers over some rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Comoments {
    count: f64,
    means: Vec<f64>,
    /// The sums of products of deviations, row by row of the lower triangle.
    products: Vec<f64>,
}

impl Comoments {
    /// Of so many numbers, before any row.
    pub fn new(width: usize) -> Self {
        Self { count: 0.0, means: vec![0.0; width], products: vec![0.0; width * (width + 1) / 2] }
    }

    /// How long the list of so many numbers is.
    pub fn length(width: usize) -> usize {
        1 + width + width * (width + 1) / 2
    }

    /// Of a list that the aggregate gave.
    ///
    /// # Errors
    /// The list has another length, which would be our mistake.
    pub fn of(width: usize, values: &[f64]) -> Result<Self> {
        let mut found = Self::new(width);
        if values.len() != Self::length(width) {
            return internal_err!("{} numbers are no comoments of {width}", values.len());
        }
        let (count, rest) = values.split_at(1);
        let (means, products) = rest.split_at(width);
        found.count = count[0];
        found.means.copy_from_slice(means);
        found.products.copy_from_slice(products);
        Ok(found)
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        std::iter::once(self.count).chain(self.means.iter().copied()).chain(self.products.iter().copied())
    }

    /// How many numbers a row has.
    pub fn width(&self) -> usize {
        self.means.len()
    }

    /// Number of rows.
    pub fn count(&self) -> f64 {
        self.count
    }

    /// The mean of number `i`; 0 without rows.
    pub fn mean(&self, i: usize) -> f64 {
        self.means[i]
    }

    /// The sum of the products of the deviations of numbers `i` and `j` from their means.
    pub fn product(&self, i: usize, j: usize) -> f64 {
        let (row, column) = (i.max(j), i.min(j));
        self.products[row * (row + 1) / 2 + column]
    }

    /// Adds rows: equally many values, none of them NULL, of each number.
    pub fn add(&mut self, columns: &[&[f64]]) {
        let rows = columns.first().map_or(0, |column| column.len());
        if rows == 0 {
            return;
        }
        let count = rows as f64;
        let mut batch = Self { count, ..Self::new(columns.len()) };
        // From the first value, so that equal values have no variance at all.
        for (mean, column) in batch.means.iter_mut().zip(columns) {
            *mean = column[0] + column.iter().map(|value| value - column[0]).sum::<f64>() / count;
        }
        let mut products = batch.products.iter_mut();
        for (i, a) in columns.iter().enumerate() {
            for (j, b) in columns[..=i].iter().enumerate() {
                let (mean_a, mean_b) = (batch.means[i], batch.means[j]);
                let sum = a.iter().zip(*b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum::<f64>();
                products.by_ref().take(1).for_each(|product| *product = sum);
            }
        }
        self.merge(&batch);
    }

    /// Adds the rows of another.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0.0 {
            return;
        }
        if self.count == 0.0 {
            self.clone_from(other);
            return;
        }
        let count = self.count + other.count;
        let share = other.count / count;
        let apart: Vec<f64> = self.means.iter().zip(&other.means).map(|(a, b)| b - a).collect();
        let pairs = (0..apart.len()).flat_map(|i| (0..=i).map(move |j| (i, j)));
        for ((product, theirs), (i, j)) in self.products.iter_mut().zip(&other.products).zip(pairs) {
            *product += theirs + apart[i] * apart[j] * self.count * share;
        }
        self.means.iter_mut().zip(apart).for_each(|(mean, apart)| *mean += apart * share);
        self.count = count;
    }

    /// Whether all of it is finite: squares of very large values are not.
    pub fn is_finite(&self) -> bool {
        self.values().all(f64::is_finite)
    }
}

/// The aggregate of numbers with these names.
pub(super) fn comoments(names: Vec<&'static str>) -> AggregateUDF {
    let signature = Signature::exact(vec![DataType::Float64; names.len()], Volatility::Immutable);
    AggregateUDF::from(Function { names, signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    names: Vec<&'static str>,
    signature: Signature,
}

impl AggregateUDFImpl for Function {
    fn name(&self) -> &'static str {
        "comoments"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(list_type())
    }

    fn accumulator(&self, _args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Group { names: self.names.clone(), comoments: Comoments::new(self.names.len()) }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "comoments"), list_type(), true))])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn list_type() -> DataType {
    DataType::new_list(DataType::Float64, true)
}

#[derive(Debug)]
struct Group {
    names: Vec<&'static str>,
    comoments: Comoments,
}

impl Group {
    fn list(&self) -> ScalarValue {
        let values: Vec<_> = self.comoments.values().map(ScalarValue::from).collect();
        ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Float64))
    }
}

impl Accumulator for Group {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let nulls = values.iter().fold(None, |nulls, array| NullBuffer::union(nulls.as_ref(), array.nulls()));
        let complete = match nulls.filter(|nulls| nulls.null_count() > 0) {
            Some(nulls) => {
                let kept = BooleanArray::new(nulls.into_inner(), None);
                values.iter().map(|array| Ok(filter(array, &kept)?)).collect::<Result<Vec<_>>>()?
            }
            None => values.to_vec(),
        };
        let columns: Vec<&Float64Array> = complete.iter().map(|array| array.as_primitive()).collect();
        let columns: Vec<&[f64]> = columns.iter().map(|array| array.values().as_ref()).collect();
        for (name, column) in self.names.iter().zip(&columns) {
            if let Some(value) = column.iter().find(|value| !value.is_finite()) {
                return exec_err!("{NAME}: {name} is {value} in a row; it is a finite number");
            }
        }
        self.comoments.add(&columns);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(states) = states.first() else { return internal_err!("comoments have one state") };
        for state in states.as_list::<i32>().iter().flatten() {
            let state = state.as_primitive::<Float64Type>();
            self.comoments.merge(&Comoments::of(self.names.len(), state.values())?);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.list()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.list())
    }

    fn size(&self) -> usize {
        let numbers = self.comoments.means.capacity() + self.comoments.products.capacity();
        size_of::<Self>() + numbers * size_of::<f64>() + self.names.capacity() * size_of::<&str>()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rows() -> (Vec<f64>, Vec<f64>) {
        let x = (0..1000).map(|row| 1e9 + f64::from(row * 7919 % 1013)).collect();
        let y = (0..1000).map(|row| f64::from(row * 31 % 97) / 8.0).collect();
        (x, y)
    }

    #[test]
    fn parts_are_the_whole() {
        let (x, y) = rows();
        let mut whole = Comoments::new(2);
        whole.add(&[&x, &y]);
        let mean = |values: &[f64]| values.iter().map(|value| value - values[0]).sum::<f64>() / 1000.0 + values[0];
        let (mean_x, mean_y) = (mean(&x), mean(&y));
        let product: f64 = x.iter().zip(&y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        assert!((whole.product(0, 1) / product - 1.0).abs() < 1e-12 && whole.product(0, 1) == whole.product(1, 0));
        for part in [1, 3, 64, 999] {
            let mut merged = Comoments::new(2);
            for (x, y) in x.chunks(part).zip(y.chunks(part)) {
                let mut one = Comoments::new(2);
                one.add(&[x, y]);
                let list: Vec<f64> = one.values().collect();
                merged.merge(&Comoments::of(2, &list).unwrap());
                merged.merge(&Comoments::new(2));
            }
            assert_eq!(merged.count(), 1000.0);
            for (i, j) in [(0, 0), (1, 0), (1, 1)] {
                let (a, b) = (merged.product(i, j), whole.product(i, j));
                // As a share of what perfectly correlated numbers would have.
                let off = (a - b).abs() / (whole.product(i, i) * whole.product(j, j)).sqrt();
                assert!(off < 1e-10, "parts of {part}: {a}, not {b}");
            }
            assert!((merged.mean(0) - mean_x).abs() < 1e-6 && (merged.mean(1) - mean_y).abs() < 1e-12);
        }
    }

    #[test]
    fn equal_values_have_no_variance() {
        let mut comoments = Comoments::new(1);
        for rows in [1, 7, 1000] {
            comoments.add(&[&vec![0.1; rows]]);
        }
        comoments.add(&[&[]]);
        assert_eq!((comoments.count(), comoments.mean(0), comoments.product(0, 0)), (1008.0, 0.1, 0.0));
        assert!(Comoments::of(1, &[1.0, 2.0]).is_err());
    }
}
