//! Where a student begins: takes the teacher's vectors of single tokens and of texts, gives a vector for every token.
//!
//! A token's first vector is the teacher's of that token alone, mapped by one matrix, so that tokens that no text has are moved
//! with the others. The matrix is a ridge regression from sums of token vectors, divided by the root of the text's length, to
//! the vectors of texts; its penalty is the one that serves the held-out texts best.

use crate::cancellation::Stop;
use crate::linalg::Error;
use crate::linalg::dense::Matrix;
use crate::linalg::ridge::Ridge;

/// Penalties that are tried, as shares of the number of texts.
const PENALTIES: [f32; 4] = [1e-5, 1e-4, 1e-3, 1e-2];

/// Texts whose vectors by the teacher are known.
pub(super) struct Known<'a> {
    /// The ids of each text's tokens.
    pub(super) ids: Vec<&'a [u32]>,
    /// The teacher's vectors, a row a text.
    pub(super) vectors: Matrix,
}

impl Known<'_> {
    /// The features of the regression; special tokens have no part in them.
    fn features(&self, tokens: &Matrix, special: &[u32]) -> Matrix {
        let mut features = Matrix::zeros(self.ids.len(), tokens.columns());
        for (row, ids) in self.ids.iter().enumerate() {
            let content = ids.iter().filter(|id| !special.contains(id));
            let scale = 1.0 / (content.clone().count().max(1) as f32).sqrt();
            let out = features.row_mut(row);
            for id in content {
                out.iter_mut().zip(tokens.row(*id as usize)).for_each(|(out, value)| *out += scale * value);
            }
        }
        features
    }
}

/// The first vectors of all tokens, a row an id. `special` are the tokens that every text has: the first takes what the
/// regression gives to all texts, the others zeros.
///
/// # Errors
/// It was stopped, or the teacher's vectors are not finite.
pub(super) fn vectors(
    tokens: &Matrix,
    special: &[u32],
    train: &Known<'_>,
    validation: &Known<'_>,
    stop: Stop<'_>,
) -> Result<Matrix, Error> {
    let (features, held_out) = (train.features(tokens, special), validation.features(tokens, special));
    let penalties = if validation.ids.is_empty() { &PENALTIES[1..2] } else { &PENALTIES[..] };
    let mut best: Option<(f64, Ridge)> = None;
    for penalty in penalties {
        let penalty = penalty * features.rows() as f32;
        let ridge = Ridge::fit_dense(&features, &train.vectors, penalty, None, stop)?;
        let cosine = cosine(ridge.predict_dense(&held_out), &validation.vectors);
        if best.as_ref().is_none_or(|(found, _)| cosine > *found) {
            best = Some((cosine, ridge));
        }
    }
    let Some((_, ridge)) = best else { return Err(Error::Singular("a student's first vectors")) };
    let mut first = tokens.times(&ridge.weights);
    // A sum is not divided by the root of its length as the features are, so that the constant grows with it.
    let lengths = train.ids.iter().map(|ids| (ids.len().saturating_sub(special.len()).max(1) as f64).sqrt());
    let scale = (lengths.sum::<f64>() / train.ids.len().max(1) as f64) as f32;
    for (place, id) in special.iter().enumerate() {
        let row = first.row_mut(*id as usize);
        row.fill(0.0);
        if place == 0 {
            row.iter_mut().zip(&ridge.intercept).for_each(|(out, value)| *out = scale * value);
        }
    }
    Ok(first)
}

/// The mean cosine of rows; `right` are of length one.
fn cosine(mut left: Matrix, right: &Matrix) -> f64 {
    left.normalize_rows();
    let dots = (0..left.rows())
        .map(|row| left.row(row).iter().zip(right.row(row)).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>());
    dots.sum::<f64>() / left.rows().max(1) as f64
}
