//! First values of what methods add: seeded, the same on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random values.
#[derive(Debug)]
pub(super) struct Random(ChaCha8Rng);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// From 0 up to but not including 1, of which an `f32` can tell 2^24 apart.
    fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }

    /// `count` values, uniform between `-bound` and `bound`.
    pub(super) fn uniform(&mut self, count: usize, bound: f32) -> Vec<f32> {
        (0..count).map(|_| (self.unit() * 2.0 - 1.0) * bound).collect()
    }

    /// `count` values of a normal distribution around 0, by the method of Box and Muller (1958).
    pub(super) fn normal(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        (0..count)
            .map(|_| {
                let (radius, angle) = (1.0 - f64::from(self.unit()), std::f64::consts::TAU * f64::from(self.unit()));
                ((-2.0 * radius.ln()).sqrt() * angle.cos()) as f32 * deviation
            })
            .collect()
    }
}
