//! Sparse matrices, a row behind the other (CSR).
//!
//! Used for interactions (users x items), TF-IDF (texts x terms), neighbours and item-item weights (items x items).

use rayon::prelude::*;

use super::dense::Matrix;

/// A sparse matrix; the columns of each row are ascending and each once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Csr {
    columns: usize,
    /// Where each row begins, and the end of the last one.
    starts: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

/// One row: its columns and their values.
pub type Row<'a> = (&'a [u32], &'a [f32]);

impl Csr {
    /// A matrix of these rows, each of (column, value) in any order; equal columns are added up.
    pub fn from_rows<R: IntoIterator<Item = (u32, f32)>>(columns: usize, rows: impl IntoIterator<Item = R>) -> Self {
        let mut matrix = Self { columns, starts: vec![0], indices: Vec::new(), values: Vec::new() };
        let mut entries: Vec<(u32, f32)> = Vec::new();
        for row in rows {
            entries.clear();
            entries.extend(row);
            entries.sort_by_key(|(column, _)| *column);
            let begin = matrix.indices.len();
            for (column, value) in &entries {
                if matrix.indices.len() > begin && matrix.indices.last() == Some(column) {
                    if let Some(last) = matrix.values.last_mut() {
                        *last += value;
                    }
                } else {
                    matrix.indices.push(*column);
                    matrix.values.push(*value);
                }
            }
            matrix.starts.push(matrix.indices.len());
        }
        matrix
    }

    /// A matrix of its parts as [`Self::parts`] gave them; `None` if they do not belong together.
    pub fn from_parts(columns: usize, starts: Vec<usize>, indices: Vec<u32>, values: Vec<f32>) -> Option<Self> {
        let ordered = starts.first() == Some(&0)
            && starts.last() == Some(&indices.len())
            && indices.len() == values.len()
            && starts.windows(2).all(|pair| pair[0] <= pair[1]);
        let matrix = Self { columns, starts, indices, values };
        let ascending = |row: usize| {
            let (indices, _) = matrix.row(row);
            indices.windows(2).all(|pair| pair[0] < pair[1])
                && indices.last().is_none_or(|last| (*last as usize) < columns)
        };
        (ordered && (0..matrix.rows()).all(ascending)).then_some(matrix)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of stored values.
    pub fn stored(&self) -> usize {
        self.indices.len()
    }

    /// Where each row begins and the last one ends; the columns; the values.
    pub fn parts(&self) -> (&[usize], &[u32], &[f32]) {
        (&self.starts, &self.indices, &self.values)
    }

    /// One row.
    pub fn row(&self, row: usize) -> Row<'_> {
        let range = self.starts[row]..self.starts[row + 1];
        (&self.indices[range.clone()], &self.values[range])
    }

    /// The rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.rows()).map(|row| self.row(row))
    }

    /// These rows, in this order.
    #[must_use]
    pub fn gather(&self, rows: &[u32]) -> Self {
        let pairs = rows.iter().map(|row| {
            let (indices, values) = self.row(*row as usize);
            indices.iter().copied().zip(values.iter().copied())
        });
        Self::from_rows(self.columns, pairs)
    }

    /// These rows and `other`'s below them, over the same columns.
    #[must_use]
    pub fn below(&self, other: &Self) -> Self {
        let offset = self.indices.len();
        let mut joined = self.clone();
        joined.columns = self.columns.max(other.columns);
        joined.starts.extend(other.starts.iter().skip(1).map(|start| offset + start));
        joined.indices.extend_from_slice(&other.indices);
        joined.values.extend_from_slice(&other.values);
        joined
    }

    /// The values by another rule.
    #[must_use]
    pub fn map(mut self, change: impl Fn(f32) -> f32) -> Self {
        self.values.iter_mut().for_each(|value| *value = change(*value));
        self
    }

    /// Rows become columns.
    #[must_use]
    pub fn transpose(&self) -> Self {
        let mut starts = vec![0usize; self.columns + 1];
        for column in &self.indices {
            starts[*column as usize + 1] += 1;
        }
        for column in 0..self.columns {
            starts[column + 1] += starts[column];
        }
        let mut next = starts.clone();
        let (mut indices, mut values) = (vec![0u32; self.stored()], vec![0.0f32; self.stored()]);
        for (row, (columns, row_values)) in self.iter().enumerate() {
            for (column, value) in columns.iter().zip(row_values) {
                let place = &mut next[*column as usize];
                indices[*place] = row as u32;
                values[*place] = *value;
                *place += 1;
            }
        }
        Self { columns: self.rows(), starts, indices, values }
    }

    /// Scales each row to length one; empty rows and zeros stay.
    pub fn normalize_rows(&mut self) {
        for row in 0..self.rows() {
            let values = &mut self.values[self.starts[row]..self.starts[row + 1]];
            let norm = values.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
            if norm > 0.0 {
                values.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
            }
        }
    }

    /// `self * dense`, on all cores.
    #[must_use]
    pub fn times(&self, dense: &Matrix) -> Matrix {
        let width = dense.columns();
        let mut out = Matrix::zeros(self.rows(), width);
        out.values_mut().par_chunks_exact_mut(width.max(1)).enumerate().for_each(|(row, out)| {
            let (columns, values) = self.row(row);
            for (column, value) in columns.iter().zip(values) {
                out.iter_mut().zip(dense.row(*column as usize)).for_each(|(out, x)| *out += value * x);
            }
        });
        out
    }
}
