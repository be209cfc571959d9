//! Principal directions: takes rows, gives the orthonormal directions in which they are longest.

use faer::{Mat, Side};

use super::Error;
use super::dense::{Matrix, gram};

/// The `count` first right singular vectors of `rows`, which are not centred, as the columns of a `[columns, count]` matrix: of
/// all projections to so many numbers they keep most of the squared lengths, and so of the inner products (Eckart and Young, 1936,
/// <https://doi.org/10.1007/BF02288367>). The largest number of each direction is positive. `count` is at most the number of
/// columns.
///
/// # Errors
/// [`Error::Singular`] where the rows are not finite.
pub fn directions(rows: &Matrix, count: usize) -> Result<Matrix, Error> {
    let columns = rows.columns();
    let upper = gram(rows.rows(), columns, |range, block| block.extend_from_slice(rows.view(range).values()));
    let gram = Mat::from_fn(columns, columns, |row, column| upper[row.min(column) * columns + row.max(column)]);
    let singular = || Error::Singular("the principal directions");
    if upper.iter().any(|value| !value.is_finite()) {
        return Err(singular());
    }
    // Ascending.
    let found = gram.self_adjoint_eigen(Side::Lower).map_err(|_| singular())?;
    let vectors = found.U();
    let mut out = Matrix::zeros(columns, count);
    for place in 0..count {
        let vector = vectors.col(columns - 1 - place);
        let largest = (0..columns).map(|row| vector[row]).max_by(|a, b| a.abs().total_cmp(&b.abs()));
        let sign = largest.unwrap_or(1.0).signum();
        (0..columns).for_each(|row| out.row_mut(row)[place] = (sign * vector[row]) as f32);
    }
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use serde::Deserialize;

    use super::*;
    use crate::linalg::reference::assert_close;

    /// What `numpy.linalg.svd` makes of the same (`tests/reference/make_principal.py`).
    #[derive(Deserialize)]
    struct Case {
        columns: usize,
        rows: Vec<f32>,
        count: usize,
        directions: Vec<f32>,
    }

    #[test]
    fn directions_are_those_of_numpy() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/principal.json");
        let case: Case = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let rows = Matrix::new(case.rows.len() / case.columns, case.columns, case.rows);
        let found = directions(&rows, case.count).unwrap();
        assert_close(found.values(), &case.directions, 1e-5);
    }

    #[test]
    fn fewer_rows_than_directions_still_give_orthonormal_ones() {
        let rows = Matrix::new(1, 4, vec![0.0, 3.0, 0.0, 4.0]);
        let found = directions(&rows, 3).unwrap();
        let mut columns = Matrix::zeros(3, 4);
        (0..3).for_each(|place| (0..4).for_each(|row| columns.row_mut(place)[row] = found.row(row)[place]));
        let products = columns.times_transposed(&columns);
        assert_close(products.values(), &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], 1e-6);
        assert_close(columns.row(0), &[0.0, 0.6, 0.0, 0.8], 1e-6);
        assert!(directions(&Matrix::new(1, 2, vec![f32::NAN, 1.0]), 1).is_err());
    }
}
