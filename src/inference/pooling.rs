//! From what a graph puts out to the values of a job's rows.
//!
//! Takes the output tensor of one run in place; writes a row's vector or logit into the slice that it is given. Pure,
//! no allocation.

use crate::registry::manifest::Pooling;

/// Norms below this are treated as this when dividing, as in sentence-transformers' `Normalize`:
/// a vector of zeros stays a vector of zeros.
const SMALLEST_NORM: f64 = 1e-12;

/// Partial sums of a dot product: enough for one wide register each, so that the loop vectorises.
const LANES: usize = 8;

/// A value of the row is infinite or not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotFinite;

/// Reduces the first `length` token vectors in `tokens` (row-major `sequence x dimension`) to one vector.
///
/// The definitions are those of sentence-transformers' `Pooling`. `length` is at least 1 and at most the sequence's
/// length; the dimension is that of `out`. Padding stands on the right and is never read.
pub(crate) fn pool(pooling: Pooling, tokens: &[f32], length: usize, out: &mut [f32]) {
    let dimension = out.len();
    let mut vectors = tokens.chunks_exact(dimension).take(length);
    match pooling {
        Pooling::Cls => out.copy_from_slice(&tokens[..dimension]),
        Pooling::LastToken => out.copy_from_slice(&tokens[(length - 1) * dimension..length * dimension]),
        Pooling::Max => {
            if let Some(first) = vectors.next() {
                out.copy_from_slice(first);
            }
            for vector in vectors {
                for (largest, value) in out.iter_mut().zip(vector) {
                    // Not f32::max: that would hide a NaN.
                    if *value > *largest || value.is_nan() {
                        *largest = *value;
                    }
                }
            }
        }
        Pooling::Mean | Pooling::MeanSqrtLen => {
            out.fill(0.0);
            for vector in vectors {
                for (sum, value) in out.iter_mut().zip(vector) {
                    *sum += value;
                }
            }
            let divisor = if pooling == Pooling::Mean { length as f32 } else { (length as f32).sqrt() };
            for sum in out {
                *sum /= divisor;
            }
        }
    }
}

/// Divides `vector` by its Euclidean norm.
///
/// The norm is summed in `f64`, which neither overflows nor loses the small values of a wide vector.
///
/// # Errors
/// A value is not finite; the vector is then left as it was.
pub(crate) fn normalize(vector: &mut [f32]) -> Result<(), NotFinite> {
    let mut sums = [0f64; LANES];
    let chunks = vector.chunks_exact(LANES);
    for value in chunks.remainder() {
        sums[0] += f64::from(*value) * f64::from(*value);
    }
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(*value) * f64::from(*value);
        }
    }
    let squared: f64 = sums.iter().sum();
    // The square of any finite f32 is finite in f64, so the sum tells whether all of them were.
    if !squared.is_finite() {
        return Err(NotFinite);
    }
    let scale = (1.0 / squared.sqrt().max(SMALLEST_NORM)) as f32;
    for value in vector {
        *value *= scale;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two token vectors and one of padding.
    const TOKENS: [f32; 6] = [1.0, -4.0, 3.0, 2.0, 100.0, 100.0];

    fn pooled(pooling: Pooling) -> [f32; 2] {
        let mut out = [f32::NAN; 2];
        pool(pooling, &TOKENS, 2, &mut out);
        out
    }

    #[test]
    fn every_pooling_ignores_padding() {
        assert_eq!(pooled(Pooling::Cls), [1.0, -4.0]);
        assert_eq!(pooled(Pooling::LastToken), [3.0, 2.0]);
        assert_eq!(pooled(Pooling::Max), [3.0, 2.0]);
        assert_eq!(pooled(Pooling::Mean), [2.0, -1.0]);
        let root = 2f32.sqrt();
        assert_eq!(pooled(Pooling::MeanSqrtLen), [4.0 / root, -2.0 / root]);
    }

    #[test]
    fn maximum_keeps_not_a_number() {
        let mut out = [0.0; 1];
        pool(Pooling::Max, &[1.0, f32::NAN, 0.5], 3, &mut out);
        assert_eq!(normalize(&mut out), Err(NotFinite));
    }

    #[test]
    fn zeros_stay_zeros() {
        let mut zeros = [0.0; 11];
        assert_eq!(normalize(&mut zeros), Ok(()));
        assert_eq!(zeros, [0.0; 11]);
    }

    #[test]
    fn infinite_values_are_refused() {
        for value in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            for place in [0, 9] {
                let mut vector = [1.0; 10];
                vector[place] = value;
                assert_eq!(normalize(&mut vector), Err(NotFinite));
            }
        }
    }

    proptest! {
        #[test]
        fn norm_becomes_one(mut vector in prop::collection::vec(-1e30f32..1e30, 1..100)) {
            prop_assume!(vector.iter().any(|value| value.abs() > 1e-3));
            let direction = vector.clone();
            prop_assert_eq!(normalize(&mut vector), Ok(()));
            let norm = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            prop_assert!((norm - 1.0).abs() < 1e-5);
            for (before, after) in direction.iter().zip(&vector) {
                prop_assert!(before.signum() == after.signum() || *after == 0.0);
            }
        }
    }
}
