//! Dense matrices of `f32` and their products.
//!
//! Takes numbers row by row; gives products and solutions, computed by `faer` on all cores.

use std::ops::Range;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{LltRegularization, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::cholesky::llt::solve::{solve_in_place, solve_in_place_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::solvers::Solve;
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::reborrow::ReborrowMut;
use faer::{Accum, Mat, MatMut, MatRef, Par, Side, Spec};
use rayon::prelude::*;

/// Rows whose product `gram` computes at once.
const GRAM_BLOCK: usize = 1024;
/// Blocks whose products `gram` keeps until they are added up.
const GRAM_BLOCKS: usize = 32;

/// A row-major matrix.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

/// Rows of a row-major matrix, borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View<'a> {
    rows: usize,
    columns: usize,
    values: &'a [f32],
}

impl Matrix {
    /// A matrix of zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    /// A matrix of these values, row by row; missing ones are zeros, superfluous ones are dropped.
    pub fn new(rows: usize, columns: usize, mut values: Vec<f32>) -> Self {
        values.resize(rows * columns, 0.0);
        Self { rows, columns, values }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, row by row, to change.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// One row, to change.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// Some rows.
    pub fn view(&self, rows: Range<usize>) -> View<'_> {
        let values = &self.values[rows.start * self.columns..rows.end * self.columns];
        View { rows: rows.len(), columns: self.columns, values }
    }

    /// All rows.
    pub fn all(&self) -> View<'_> {
        self.view(0..self.rows)
    }

    /// These rows, in this order.
    #[must_use]
    pub fn gather(&self, rows: &[u32]) -> Self {
        let mut values = Vec::with_capacity(rows.len() * self.columns);
        for row in rows {
            values.extend_from_slice(self.row(*row as usize));
        }
        Self { rows: rows.len(), columns: self.columns, values }
    }

    /// These rows and `other`'s below them; those of one width, or of none.
    #[must_use]
    pub fn below(&self, other: &Self) -> Self {
        let columns = self.columns.max(other.columns);
        Self { rows: self.rows + other.rows, columns, values: [self.values.as_slice(), &other.values].concat() }
    }

    /// The mean of the rows; zeros without any.
    pub fn mean(&self) -> Vec<f32> {
        let mut sums = vec![0.0f64; self.columns];
        for row in self.values.chunks_exact(self.columns.max(1)) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        sums.into_iter().map(|sum| (sum / self.rows.max(1) as f64) as f32).collect()
    }

    /// Scales each row to length one; zeros stay zeros.
    pub fn normalize_rows(&mut self) {
        for row in self.values.chunks_exact_mut(self.columns.max(1)) {
            let norm = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
            if norm > 0.0 {
                row.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
            }
        }
    }

    /// `self * other`.
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        let mut out = Self::zeros(self.rows, other.columns);
        matmul(out.faer_mut(), Accum::Replace, self.all().faer(), other.all().faer(), 1.0, Par::rayon(0));
        out
    }

    /// `self * otherᵀ`.
    #[must_use]
    pub fn times_transposed(&self, other: &Self) -> Self {
        let mut out = Self::zeros(self.rows, other.rows);
        matmul(out.faer_mut(), Accum::Replace, self.all().faer(), other.all().faer().transpose(), 1.0, Par::rayon(0));
        out
    }

    /// `self⁻¹ * right` for a symmetric positive definite matrix, by Cholesky in `f64`; `None` if it is not one.
    pub fn solve(&self, right: &Self) -> Option<Self> {
        let factor = self.wide().llt(Side::Lower).ok()?;
        Some(Self::narrow(factor.solve(right.wide()).as_ref()))
    }

    /// The inverse of a symmetric positive definite matrix, by Cholesky in `f64`; `None` if it is not one. Needs 16 bytes for
    /// each value while it works.
    pub fn inverse(self) -> Option<Self> {
        let (size, par) = (self.rows, Par::rayon(0));
        let mut factor = self.wide();
        drop(self);
        let mut scratch = MemBuffer::new(cholesky_in_place_scratch::<f64>(size, par, Spec::default()));
        let (exact, stack) = (LltRegularization::default(), MemStack::new(&mut scratch));
        cholesky_in_place(factor.as_mut(), exact, par, stack, Spec::default()).ok()?;
        let mut root = Mat::<f64>::zeros(size, size);
        invert_lower_triangular(root.as_mut(), factor.as_ref(), par);
        // The inverse takes the factor's memory: a third matrix of this size would be the largest part of what EASE needs.
        let (lower, upper) = (BlockStructure::TriangularLower, BlockStructure::TriangularUpper);
        let (left, right, out) = (root.transpose(), root.as_ref(), factor.as_mut());
        triangular::matmul(out, lower, Accum::Replace, left, upper, right, lower, 1.0, par);
        drop(root);
        let mut out = Self::zeros(size, size);
        for row in 0..size {
            for column in 0..=row {
                let value = factor[(row, column)] as f32;
                out.values[row * size + column] = value;
                out.values[column * size + row] = value;
            }
        }
        Some(out)
    }

    fn wide(&self) -> Mat<f64> {
        Mat::from_fn(self.rows, self.columns, |row, column| f64::from(self.values[row * self.columns + column]))
    }

    fn narrow(wide: MatRef<'_, f64>) -> Self {
        let mut out = Self::zeros(wide.nrows(), wide.ncols());
        for row in 0..out.rows {
            for column in 0..out.columns {
                out.values[row * out.columns + column] = wide[(row, column)] as f32;
            }
        }
        out
    }

    fn faer_mut(&mut self) -> MatMut<'_, f32> {
        MatMut::from_row_major_slice_mut(&mut self.values, self.rows, self.columns)
    }
}

impl<'a> View<'a> {
    /// Values as rows of a matrix with this many columns; an incomplete last row is left out.
    pub fn new(values: &'a [f32], columns: usize) -> Self {
        let rows = values.len().checked_div(columns).unwrap_or_default();
        Self { rows, columns, values: &values[..rows * columns] }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All values, row by row.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    fn faer(&self) -> MatRef<'a, f32> {
        MatRef::from_row_major_slice(self.values, self.rows, self.columns)
    }
}

/// `out = left * rightᵀ` on the calling thread, for callers that share work out themselves. `out` holds
/// `left.rows() * right.rows()` values, row by row; what it held is overwritten.
pub fn product_into(out: &mut [f32], left: View<'_>, right: View<'_>) {
    let out = MatMut::from_row_major_slice_mut(&mut out[..left.rows * right.rows], left.rows, right.rows);
    matmul(out, Accum::Replace, left.faer(), right.faer().transpose(), 1.0, Par::Seq);
}

/// Solves small symmetric positive definite systems one after another in `f64`, without allocating for each.
pub struct Solver {
    size: usize,
    columns: usize,
    scratch: MemBuffer,
}

impl Solver {
    /// For systems of this many equations.
    pub fn new(size: usize) -> Self {
        Self::with(size, 1)
    }

    /// With room for so many vectors at once.
    fn with(size: usize, columns: usize) -> Self {
        let factor = cholesky_in_place_scratch::<f64>(size, Par::Seq, Spec::default());
        let solution = solve_in_place_scratch::<f64>(size, columns, Par::Seq);
        Self { size, columns, scratch: MemBuffer::new(factor.or(solution)) }
    }

    /// Puts `matrix⁻¹ * right` into `right`, one or more vectors behind each other, by Cholesky. Of `matrix`, `size * size` values row
    /// by row, the upper triangle is read and overwritten. False, and nothing of use in `right`, if it is not positive definite.
    pub fn solve_in_place(&mut self, matrix: &mut [f64], right: &mut [f64]) -> bool {
        // What is the upper triangle row by row is the lower one column by column, which is what the library reads.
        let mut matrix = MatMut::from_column_major_slice_mut(matrix, self.size, self.size);
        let columns = right.len() / self.size.max(1);
        if columns > self.columns {
            *self = Self::with(self.size, columns);
        }
        let stack = MemStack::new(&mut self.scratch);
        let exact = LltRegularization::default();
        if cholesky_in_place(matrix.rb_mut(), exact, Par::Seq, stack, Spec::default()).is_err() {
            return false;
        }
        let right = MatMut::from_column_major_slice_mut(right, self.size, columns);
        solve_in_place(matrix.as_ref(), right, Par::Seq, stack);
        true
    }
}

/// Adds `rowsᵀ * rows` to the upper triangle of `out`, `columns * columns` values row by row, on the calling thread.
pub fn add_gram(out: &mut [f32], rows: View<'_>) {
    let out = MatMut::from_column_major_slice_mut(out, rows.columns, rows.columns);
    let (left, right) = (rows.faer().transpose(), rows.faer());
    let (lower, full) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
    triangular::matmul(out, lower, Accum::Add, left, full, right, full, 1.0, Par::Seq);
}

/// The upper triangle of `matrixᵀ * matrix` row by row, of a matrix with so many rows and columns; `block` appends some of
/// the rows to an empty list. Blocks are multiplied in `f32` on all cores and added up in `f64` in their order, so that the
/// number of threads makes no difference.
pub fn gram(rows: usize, columns: usize, block: impl Fn(Range<usize>, &mut Vec<f32>) + Sync) -> Vec<f64> {
    let mut sum = vec![0.0f64; columns * columns];
    let blocks = (0..rows).step_by(GRAM_BLOCK).collect::<Vec<_>>();
    for blocks in blocks.chunks(GRAM_BLOCKS) {
        let products = blocks.par_iter().map_init(Vec::new, |values, first| {
            values.clear();
            block(*first..rows.min(first + GRAM_BLOCK), values);
            let mut product = vec![0.0; columns * columns];
            add_gram(&mut product, View::new(values, columns));
            product
        });
        for product in products.collect::<Vec<Vec<f32>>>() {
            sum.iter_mut().zip(product).for_each(|(sum, x)| *sum += f64::from(x));
        }
    }
    sum
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// A symmetric positive definite matrix: `rows * rowsᵀ` and 1 on the diagonal.
    fn system(size: usize) -> Matrix {
        let values = (0..(size + 3) * size).map(|x| ((x * 37 % 11) as f32 - 5.0) / 4.0);
        let rows = Matrix::new(size, size + 3, values.collect());
        let mut system = rows.times_transposed(&rows);
        (0..size).for_each(|place| system.row_mut(place)[place] += 1.0);
        system
    }

    #[test]
    fn inverses_and_solutions_multiply_to_the_right_side() {
        for size in [1, 2, 7, 40] {
            let system = system(size);
            let product = system.clone().inverse().unwrap().times(&system);
            for row in 0..size {
                for column in 0..size {
                    let wanted = f32::from(row == column);
                    assert!((product.row(row)[column] - wanted).abs() < 1e-4, "{size}: {row}, {column}");
                }
            }
            let mut solver = Solver::new(size);
            // Twice: nothing may be left of the system before.
            for times in [1.0, 3.0] {
                let mut left = system.values().iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
                let below = |place: &usize| place / size > place % size;
                (0..size * size).filter(below).for_each(|place| left[place] = f64::NAN);
                let mut right = (0..size).map(|row| times * row as f64).collect::<Vec<_>>();
                assert!(solver.solve_in_place(&mut left, &mut right));
                for row in 0..size {
                    let product = system.row(row).iter().zip(&right).map(|(a, x)| f64::from(*a) * x).sum::<f64>();
                    assert!((product - times * row as f64).abs() < 1e-9, "{size}: {row}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_has_no_solution() {
        assert!(Matrix::new(2, 2, vec![1.0, 2.0, 2.0, 1.0]).inverse().is_none());
        assert!(!Solver::new(2).solve_in_place(&mut [1.0, 2.0, 2.0, 1.0], &mut [1.0, 1.0]));
    }

    #[test]
    fn a_gram_matrix_is_the_sum_of_its_blocks() {
        let (rows, columns) = (2 * GRAM_BLOCK + 5, 3);
        let value = |row: usize, column: usize| ((row * 7 + column * 3) % 5) as f32;
        let block = |range: Range<usize>, block: &mut Vec<f32>| {
            range.for_each(|row| block.extend((0..columns).map(|column| value(row, column))));
        };
        let found = gram(rows, columns, block);
        for left in 0..columns {
            for right in left..columns {
                let wanted = (0..rows).map(|row| value(row, left) * value(row, right)).sum::<f32>();
                assert_eq!(found[left * columns + right], f64::from(wanted));
            }
        }
        assert_eq!(gram(0, 2, |_, _| ()), [0.0; 4]);
    }
}
