//! Distances between two slices of floats, and between one slice and many rows.
//!
//! Takes slices of equal length, of `f32`, `f64` or `i8`; gives a number, or `None` where the distance is not defined.
//!
//! Sums run in [`LANES`] accumulators of the values' own type, or of `f32` for `i8`, which the compiler keeps in vector
//! registers. With `n` values each accumulator adds `n / LANES` terms, so the rounding error of a sum in `f32` is at most
//! about `n / LANES * 6e-8` of the sum of the terms' magnitudes: some 1.5e-6 for 384 values, far below what models agree
//! to. Between two vectors of `i8` it is zero up to 16,384 values: terms are integers up to 2^14, and a sum of 1,024 of
//! them still is one that `f32` holds. Sums that leave the range of the type (values above 1e19 or below 1e-19 in `f32`)
//! are computed again in `f64`.

use std::array::from_fn;
use std::ops::{Add, AddAssign, Mul, Sub};

/// Accumulators of a sum: four registers of SSE, two of AVX, one of AVX-512 for `f32`.
pub(super) const LANES: usize = 16;

/// A number of a vector, in the type in which it is stored.
pub(crate) trait Number: Copy + Default + Into<f64> {
    /// The type of sums and distances of such numbers.
    type Sum: Real;

    /// The same number in that type, exactly.
    fn widen(self) -> Self::Sum;
}

impl Number for f32 {
    type Sum = Self;

    fn widen(self) -> Self {
        self
    }
}

impl Number for f64 {
    type Sum = Self;

    fn widen(self) -> Self {
        self
    }
}

impl Number for i8 {
    type Sum = f32;

    fn widen(self) -> f32 {
        self.into()
    }
}

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

impl<'a, T: Number> Query<'a, T> {
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
    pub(crate) fn distance<U: Number<Sum = T::Sum>>(&self, other: &[U]) -> Option<T::Sum> {
        match self.metric {
            Metric::Cosine => cosine(product(self.vector, other), self.norm * norm(other)),
            Metric::InnerProduct => Some(T::Sum::from_f64(product(self.vector, other))),
            Metric::L2 => Some(T::Sum::from_f64(l2(self.vector, other))),
        }
    }
}

/// `1 - a.b / (|a| |b|)`.
pub(super) fn cosine<T: Real>(product: f64, norms: f64) -> Option<T> {
    (norms != 0.0).then(|| T::from_f64(1.0 - product / norms))
}

/// `|a|`.
pub(super) fn norm<T: Number>(a: &[T]) -> f64 {
    sum(a, a, |x, _| x * x, |x, _| x * x).sqrt()
}

/// `a.b`.
fn product<A: Number, B: Number<Sum = A::Sum>>(a: &[A], b: &[B]) -> f64 {
    sum(a, b, |x, y| x * y, |x, y| x * y)
}

/// `|a - b|`.
fn l2<A: Number, B: Number<Sum = A::Sum>>(a: &[A], b: &[B]) -> f64 {
    sum(a, b, |x, y| (x - y) * (x - y), |x, y| (x - y) * (x - y)).sqrt()
}

/// The sum of `term(a[i], b[i])`, or of the same term in `f64` where the type's range was not enough.
#[inline(always)]
fn sum<A: Number, B: Number<Sum = A::Sum>>(
    a: &[A],
    b: &[B],
    term: impl Fn(A::Sum, A::Sum) -> A::Sum,
    wide: impl Fn(f64, f64) -> f64,
) -> f64 {
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    // Every index into `lanes` is a constant once the loops over lanes are unrolled: an index that is not, as for a rest
    // shorter than a chunk, would keep the accumulators in memory, at half the speed. So the rest is filled up with
    // zeros, whose terms are zero.
    let (mut a_last, mut b_last) = ([A::default(); LANES], [B::default(); LANES]);
    a_last[..a_rest.len()].copy_from_slice(a_rest);
    b_last[..b_rest.len()].copy_from_slice(b_rest);
    let mut lanes = [A::Sum::default(); LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += term(a[lane].widen(), b[lane].widen());
        }
    }
    for lane in 0..LANES {
        lanes[lane] += term(a_last[lane].widen(), b_last[lane].widen());
    }
    let total = total(lanes);
    if total.is_normal() {
        return total.into();
    }
    a.iter().zip(b).map(|(a, b)| wide((*a).into(), (*b).into())).sum()
}

/// The sum of all accumulators.
#[inline(always)]
pub(super) fn total<T: Real>(lanes: [T; LANES]) -> T {
    let eight: [T; LANES / 2] = from_fn(|lane| lanes[lane] + lanes[lane + LANES / 2]);
    let four: [T; LANES / 4] = from_fn(|lane| eight[lane] + eight[lane + LANES / 4]);
    (four[0] + four[1]) + (four[2] + four[3])
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
    fn reference<A: Number, B: Number>(metric: Metric, a: &[A], b: &[B]) -> f64 {
        let pairs = || a.iter().zip(b).map(|(a, b)| ((*a).into(), (*b).into()));
        let dot: f64 = pairs().map(|(a, b)| a * b).sum();
        match metric {
            Metric::InnerProduct => dot,
            Metric::L2 => pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt(),
            Metric::Cosine => {
                let squares: (f64, f64) =
                    pairs().map(|(a, b)| (a * a, b * b)).fold((0.0, 0.0), |s, t| (s.0 + t.0, s.1 + t.1));
                1.0 - dot / (squares.0 * squares.1).sqrt()
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
    fn i8_agrees_with_f64_at_every_width_on_either_side() {
        for width in (1..70).chain([127, 384, 1024, 4096]) {
            let floats = numbers(width, 1);
            let [a, b] = [2, 3].map(|seed| {
                let scaled = numbers(width, seed).into_iter().map(|x| (x * 128.0) as i8);
                scaled.collect::<Vec<i8>>()
            });
            for metric in [Metric::Cosine, Metric::InnerProduct, Metric::L2] {
                let expected = reference(metric, &floats, &a);
                let tolerance =
                    1e-6 * if metric == Metric::InnerProduct { 128.0 * width as f64 } else { 1.0 + expected };
                let found = [Query::new(metric, &floats).distance(&a), Query::new(metric, &a).distance(&floats)];
                for found in found.map(|found| f64::from(found.unwrap())) {
                    assert!((found - expected).abs() <= tolerance, "{metric:?} {width}: {found} for {expected}");
                }
                let expected = reference(metric, &a, &b);
                let found = Query::new(metric, &a).distance(&b).unwrap();
                assert!(
                    (f64::from(found) - expected).abs() <= 1e-6 * (1.0 + expected.abs()),
                    "{metric:?} {width}: {found} for {expected}"
                );
            }
        }
        let extremes = vec![i8::MIN; 16_384];
        assert_eq!(Query::new(Metric::InnerProduct, &extremes).distance(&extremes), Some(268_435_456.0));
        assert_eq!(Query::new(Metric::Cosine, &[0_i8; 20]).distance(&[1.0_f32; 20]), None);
    }

    #[test]
    fn ranges_beyond_f32_squares() {
        for scale in [1e-30_f32, 1e30] {
            let (a, b) = ([scale, 0.0_f32], [scale, scale]);
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
        assert_eq!(Query::<f32>::new(Metric::L2, &[]).distance::<f32>(&[]), Some(0.0));
    }

    #[test]
    fn nan_stays_nan() {
        let (a, b) = ([f32::NAN, 1.0], [1.0_f32, 1.0]);
        for metric in [Metric::Cosine, Metric::InnerProduct, Metric::L2] {
            assert!(Query::new(metric, &a).distance(&b).unwrap().is_nan(), "{metric:?}");
        }
    }
}
