//! The vectors of items, of their texts or of their pictures: takes those of items with a history, gives them and those of any
//! others around their mean.
//!
//! Vectors of one model have much in common; without their mean, cosines tell items apart. An item that has no text, or no
//! picture, is at zero: as similar to one item as to another.

use crate::linalg::dense::Matrix;
use crate::recommend::error::Result;
use crate::recommend::storage::{Section, StoredSection};

/// The vectors of items with a history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Embeddings {
    /// The mean vector of those that have one.
    center: Vec<f32>,
    /// Items x dimensions, the mean taken off, of length one; zeros where an item has none.
    pub(crate) rows: Matrix,
}

impl Embeddings {
    /// Of these rows (items x dimensions); `is_there` says which of them have a meaning.
    pub(crate) fn fit(rows: Matrix, is_there: &[bool]) -> Self {
        let there = (0..).zip(is_there).filter(|(_, is_there)| **is_there).map(|(row, _)| row).collect::<Vec<u32>>();
        let center = if there.len() == rows.rows() { rows.mean() } else { rows.gather(&there).mean() };
        let mut fitted = Self { center, rows: Matrix::default() };
        fitted.rows = fitted.around_mean(rows, is_there);
        fitted
    }

    /// Other rows of the same model around the same mean.
    pub(crate) fn around_mean(&self, mut rows: Matrix, is_there: &[bool]) -> Matrix {
        take_off(&mut rows, &self.center);
        for (row, _) in is_there.iter().enumerate().filter(|(_, is_there)| !**is_there) {
            rows.row_mut(row).fill(0.0);
        }
        rows.normalize_rows();
        rows
    }

    pub(crate) fn save(&self, section: &mut Section<'_>) {
        section.floats("center", &self.center);
        section.matrix("embeddings", &self.rows);
    }

    /// Whether a section has any.
    pub(crate) fn is_in(section: &StoredSection<'_>) -> bool {
        section.has("embeddings")
    }

    pub(crate) fn load(section: &StoredSection<'_>) -> Result<Self> {
        Ok(Self { center: section.floats("center")?, rows: section.matrix("embeddings")? })
    }
}

/// Takes `center` off each row.
pub(crate) fn take_off(rows: &mut Matrix, center: &[f32]) {
    for row in rows.values_mut().chunks_exact_mut(center.len().max(1)) {
        row.iter_mut().zip(center).for_each(|(x, center)| *x -= center);
    }
}

/// For each row whether it is not zero.
pub(crate) fn is_there(rows: &Matrix) -> Vec<bool> {
    (0..rows.rows()).map(|row| rows.row(row).iter().any(|x| *x != 0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_of_those_that_are_there_and_the_others_are_zero() {
        let rows = Matrix::new(3, 2, vec![1.0, 0.0, 9.0, 9.0, 0.0, 1.0]);
        let fitted = Embeddings::fit(rows, &[true, false, true]);
        let half = 0.5_f32.sqrt();
        assert_eq!(fitted.center, [0.5, 0.5]);
        for (found, wanted) in fitted.rows.values().iter().zip([half, -half, 0.0, 0.0, -half, half]) {
            assert!((found - wanted).abs() < 1e-6, "{:?}", fitted.rows);
        }
        assert_eq!(is_there(&fitted.rows), [true, false, true]);
        let others = fitted.around_mean(Matrix::new(2, 2, vec![0.5, 1.5, 4.0, 4.0]), &[true, false]);
        assert_eq!(others.values(), [0.0, 1.0, 0.0, 0.0]);
        // With none there is no mean either.
        assert_eq!(Embeddings::fit(Matrix::zeros(1, 2), &[false]).rows, Matrix::zeros(1, 2));
    }
}
