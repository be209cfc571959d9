//! Distances between two slices of floats, and between one slice and many rows.
//!
//! Takes slices of equal length; gives a number, or `None` where the distance is not defined.
//!
//! Sums run in [`LANES`] accumulators of the values' own type, which the compiler keeps in vector registers. With `n`
//! values each accumulator adds `n / LANES` terms, so the rounding error of a sum in `f32` is at most about
//! `n / LANES * 6e-8` of the sum of the terms' magnitudes: some 1.5e-6 for 384 values, far below what models agree to.
//! Sums that leave the range of the type (values above 1e19 or below 1e-19 in `f32`) are computed again in `f64`.

use std::array::from_fn;
use std::ops::{Add, AddAssign, Mul, Sub};

/// Accumulators of a sum: four registers of SSE, two of AVX, one of AVX-512 for `f32`.
const LANES: usize = 16;

/// `f32` and `f64`.
pub(crate) trait Real:
    Copy + Default + Add<Output = Self> + AddAssign + Mul<Output = Self> + Sub<Output = Self> + Into<f64>
{
    /// Rounds to the type.
    fn from_f64(value: f64) -> Self;

    /// Neither zero, nor so small that bits were lost, nor infinite, nor NaN.
    fn is_normal(self) -> bool;
}

impl Real for f32 {
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    fn is_normal(self) -> bool {
        f32::is_normal(self)
    }
}

impl Real for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }

    fn is_normal(self) -> bool {
        f64::is_normal(self)
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// `1 - a.b / (|a| |b|)`: 0 for one direction, 2 for opposite ones. Not defined for a vector of zeros.
    Cosine,
    /// `a.b`.
    InnerProduct,
    /// `|a - b|`.
    L2,
}

/// One vector, prepared to be compared with many.
#[derive(Debug)]
pub(crate) struct Query<'a, T> {
    metric: Metric,
    vector: &'a [T],
    norm: f64,
}

impl<'a, T: Real> Query<'a, T> {
    /// Prepares `vector`.
    pub(crate) fn new(metric: Metric, vector: &'a [T]) -> Self {
        let norm = if metric == Metric::Cosine { norm(vector) } else { 0.0 };
        Self { metric, vector, norm }
    }

    /// Values in the vector.
    pub(crate) fn width(&self) -> usize {
        self.vector.len()
    }

    /// The distance to a vector of the same width.
    pub(crate) fn distance(&self, other: &[T]) -> Option<T> {
        match self.metric {
            Metric::Cosine => cosine(product(self.vector, other), self.norm, norm(other)),
            Metric::InnerProduct => Some(T::from_f64(product(self.vector, other))),
            Metric::L2 => Some(T::from_f64(l2(self.vector, other))),
        }
    }
}

fn cosine<T: Real>(product: f64, norm: f64, other: f64) -> Option<T> {
    let norms = norm * other;
    (norms != 0.0).then(|| T::from_f64(1.0 - product / norms))
}

/// `|a|`.
fn norm<T: Real>(a: &[T]) -> f64 {
    sum(a, a, |x, _| x * x, |x, _| x * x).sqrt()
}

/// `a.b`.
fn product<T: Real>(a: &[T], b: &[T]) -> f64 {
    sum(a, b, |x, y| x * y, |x, y| x * y)
}

/// `|a - b|`.
fn l2<T: Real>(a: &[T], b: &[T]) -> f64 {
    sum(a, b, |x, y| (x - y) * (x - y), |x, y| (x - y) * (x - y)).sqrt()
}

/// The sum of `term(a[i], b[i])`, or of the same term in `f64` where the type's range was not enough.
#[inline(always)]
fn sum<T: Real>(a: &[T], b: &[T], term: impl Fn(T, T) -> T, wide: impl Fn(f64, f64) -> f64) -> f64 {
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    // Every index into `lanes` is a constant once the loops over lanes are unrolled: an index that is not, as for a rest
    // shorter than a chunk, would keep the accumulators in memory, at half the speed. So the rest is filled up with
    // zeros, whose terms are zero.
    let (mut a_last, mut b_last) = ([T::default(); LANES], [T::default(); LANES]);
    a_last[..a_rest.len()].copy_from_slice(a_rest);
    b_last[..b_rest.len()].copy_from_slice(b_rest);
    let mut lanes = [T::default(); LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += term(a[lane], b[lane]);
        }
    }
    for lane in 0..LANES {
        lanes[lane] += term(a_last[lane], b_last[lane]);
    }
    let eight: [T; LANES / 2] = from_fn(|lane| lanes[lane] + lanes[lane + LANES / 2]);
    let four: [T; LANES / 4] = from_fn(|lane| eight[lane] + eight[lane + LANES / 4]);
    let total = (four[0] + four[1]) + (four[2] + four[3]);
    if total.is_normal() {
        return total.into();
    }
    a.iter().zip(b).map(|(a, b)| wide((*a).into(), (*b).into())).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Numbers in [-1, 1) from a fixed linear congruential sequence.
    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// The definitions, in order and in `f64`.
    fn reference(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
        let pairs = || a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let dot: f64 = pairs().map(|(a, b)| a * b).sum();
        match metric {
            Metric::InnerProduct => dot,
            Metric::L2 => pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt(),
            Metric::Cosine => {
                let squares = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
                1.0 - dot / (squares(a) * squares(b)).sqrt()
            }
        }
    }

    #[test]
    fn f32_agrees_with_f64_at_every_width() {
        for width in (1..70).chain([127, 128, 384, 768, 1024, 4096]) {
            let (a, b) = (numbers(width, 1), numbers(width, 2));
            for metric in [Metric::Cosine, Metric::InnerProduct, Metric::L2] {
                let expected = reference(metric, &a, &b);
                let found = f64::from(Query::new(metric, &a).distance(&b).unwrap());
                let scale = if metric == Metric::InnerProduct { width as f64 } else { 1.0 + expected.abs() };
                assert!((found - expected).abs() <= 1e-6 * scale, "{metric:?} {width}: {found} for {expected}");
            }
        }
    }

    #[test]
    fn ranges_beyond_f32_squares() {
        for scale in [1e-30_f32, 1e30] {
            let (a, b) = ([scale, 0.0], [scale, scale]);
            let cosine = Query::new(Metric::Cosine, &a).distance(&b).unwrap();
            assert!((cosine - 0.292_893_2).abs() < 1e-6, "{scale}: {cosine}");
            let l2 = Query::new(Metric::L2, &a).distance(&b).unwrap();
            assert!((l2 / scale - 1.0).abs() < 1e-6, "{scale}: {l2}");
        }
    }

    #[test]
    fn a_vector_of_zeros_has_no_direction() {
        let (zero, one) = ([0.0_f32; 20], [1.0_f32; 20]);
        assert_eq!(Query::new(Metric::Cosine, &zero).distance(&one), None);
        assert_eq!(Query::new(Metric::Cosine, &one).distance(&zero), None);
        assert_eq!(Query::new(Metric::InnerProduct, &zero).distance(&one), Some(0.0));
        assert_eq!(Query::new(Metric::L2, &one).distance(&one), Some(0.0));
        assert_eq!(Query::<f32>::new(Metric::L2, &[]).distance(&[]), Some(0.0));
    }

    #[test]
    fn nan_stays_nan() {
        let (a, b) = ([f32::NAN, 1.0], [1.0, 1.0]);
        for metric in [Metric::Cosine, Metric::InnerProduct, Metric::L2] {
            assert!(Query::new(metric, &a).distance(&b).unwrap().is_nan(), "{metric:?}");
        }
    }
}
