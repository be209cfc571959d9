//! The cosine distance between one vector of floats and many of which only the signs are known.
//!
//! Takes a vector and bits, as [`crate::bits`] has them; gives a number, or `None` for a vector of zeros.
//!
//! A set bit stands for 1 and another for -1, so that a vector of `d` bits has length `sqrt(d)`. The floats keep their
//! sizes: compared with the Hamming distance, which knows the signs of both sides only, more of the true neighbours are found.

use super::kernels::{LANES, cosine, norm, total};

/// Bytes that hold the bits of [`LANES`] numbers.
const BYTES: usize = LANES / 8;

/// One vector, prepared to be compared with the signs of many.
#[derive(Debug)]
pub(super) struct SignQuery<'a> {
    vector: &'a [f32],
    norms: f64,
}

impl<'a> SignQuery<'a> {
    /// Prepares `vector`.
    pub(super) fn new(vector: &'a [f32]) -> Self {
        Self { vector, norms: norm(vector) * (vector.len() as f64).sqrt() }
    }

    /// Values in the vector.
    pub(super) fn width(&self) -> usize {
        self.vector.len()
    }

    /// The distance to as many signs as the vector has values.
    pub(super) fn distance(&self, bits: &[u8]) -> Option<f32> {
        cosine(product(self.vector, bits), self.norms)
    }
}

/// The sum of the values, those without a bit negated.
fn product(vector: &[f32], bits: &[u8]) -> f64 {
    let (chunks, rest) = vector.as_chunks::<LANES>();
    let (bytes, _) = bits.as_chunks::<BYTES>();
    // As for the other distances, what is shorter than a chunk is filled up with zeros.
    let (mut last, mut last_bytes) = ([0.0; LANES], [0; BYTES]);
    last[..rest.len()].copy_from_slice(rest);
    let rest_of_bytes = &bits[chunks.len() * BYTES..];
    last_bytes[..rest_of_bytes.len()].copy_from_slice(rest_of_bytes);
    let mut lanes = [0.0_f32; LANES];
    for (chunk, bytes) in chunks.iter().zip(bytes) {
        add(&mut lanes, chunk, *bytes);
    }
    add(&mut lanes, &last, last_bytes);
    let total = total(lanes);
    if total.is_normal() {
        return total.into();
    }
    let signed = |(at, value): (usize, &f32)| {
        f64::from(*value) * if bits[at / 8] & (0x80 >> (at % 8)) == 0 { -1.0 } else { 1.0 }
    };
    vector.iter().enumerate().map(signed).sum()
}

/// Adds the values to the accumulators, those without a bit negated.
#[inline(always)]
fn add(lanes: &mut [f32; LANES], values: &[f32; LANES], bytes: [u8; BYTES]) {
    let bits = u16::from_be_bytes(bytes);
    for lane in 0..LANES {
        let negative = bits & (0x8000 >> lane) == 0;
        lanes[lane] += if negative { -values[lane] } else { values[lane] };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_width_agrees_with_the_plain_way() {
        for width in (1_usize..70).chain([127, 384, 1000]) {
            let vector: Vec<f32> = (0..width).map(|at| ((at * 7919 + 13) % 1009) as f32 / 504.5 - 1.0).collect();
            let bits: Vec<u8> = (0..width.div_ceil(8)).map(|at| (at * 151 + 89) as u8).collect();
            let sign = |at: usize| if bits[at / 8] >> (7 - at % 8) & 1 == 1 { 1.0 } else { -1.0 };
            let dot: f64 = vector.iter().enumerate().map(|(at, x)| f64::from(*x) * sign(at)).sum();
            let squares: f64 = vector.iter().map(|x| f64::from(*x).powi(2)).sum();
            let expected = 1.0 - dot / (squares * width as f64).sqrt();
            let found = f64::from(SignQuery::new(&vector).distance(&bits).unwrap());
            assert!((found - expected).abs() < 1e-6, "{width}: {found} for {expected}");
        }
    }

    #[test]
    fn zeros_nan_and_large_numbers() {
        assert_eq!(SignQuery::new(&[0.0; 9]).distance(&[0, 0]), None);
        assert!(SignQuery::new(&[f32::NAN, 1.0]).distance(&[0]).unwrap().is_nan());
        let found = SignQuery::new(&[3e38; 16]).distance(&[0xff; 2]).unwrap();
        assert!(found.abs() < 1e-6, "{found}");
    }
}
