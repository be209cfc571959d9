//! Seeded random numbers: takes a seed and a stream, gives uniform, normal, gamma and beta numbers, shuffles and samples.
//!
//! The generator is ChaCha with 8 rounds, whose output is fixed by its definition; what is made of it here is written out, so
//! that no library's next version changes a result. Two streams of a seed are independent,
//! so that every user and every repetition can have one of its own, on whatever thread it runs.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Random {
    generator: ChaCha8Rng,
    /// The second number of the last pair of normal ones.
    spare: Option<f64>,
}

impl Random {
    /// Stream number `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(stream);
        Self { generator, spare: None }
    }

    /// The one stream of a seed that is expanded to a key: what trained adapters and low-rank matrices begin with.
    pub fn expanded(seed: u64) -> Self {
        Self { generator: ChaCha8Rng::seed_from_u64(seed), spare: None }
    }

    /// A number in `[0, 1)`: a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number below `bound`, each as likely as another (but for a share of `bound / 2^64`); 0 where `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.generator.next_u64()) * bound as u128) >> 64) as usize
    }

    /// A number of the normal distribution with mean 0 and variance 1.
    ///
    /// The polar method: G. Marsaglia and T. A. Bray, "A convenient method for generating normal variables", SIAM Review
    /// 6(3), 1964, <https://doi.org/10.1137/1006063>.
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let scale = (-2.0 * square.ln() / square).sqrt();
                self.spare = Some(y * scale);
                return x * scale;
            }
        }
    }

    /// `count` numbers, uniform in `[-bound, bound)`, of which a single precision number can tell 2^24 apart.
    pub fn uniforms(&mut self, count: usize, bound: f32) -> Vec<f32> {
        let mut unit = || (self.generator.next_u32() >> 8) as f32 / (1u32 << 24) as f32;
        (0..count).map(|_| (unit() * 2.0 - 1.0) * bound).collect()
    }

    /// `count` numbers of the normal distribution with mean 0 and this standard deviation.
    pub fn normals(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        (0..count).map(|_| self.normal() as f32 * deviation).collect()
    }

    /// A number of the gamma distribution with this shape and scale 1; 0 where the shape is not above 0.
    pub fn gamma(&mut self, shape: f64) -> f64 {
        self.ln_gamma(shape).exp()
    }

    /// A number in `[0, 1]` of the beta distribution with these shapes; their limits where one of them is not above 0.
    ///
    /// `x / (x + y)` of two gamma numbers, by their logarithms: with shapes far below 1 both would be zero.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        match (a > 0.0, b > 0.0) {
            (true, true) => 1.0 / (1.0 + (self.ln_gamma(b) - self.ln_gamma(a)).exp()),
            (true, false) => 1.0,
            (false, true) => 0.0,
            (false, false) => 0.5,
        }
    }

    /// Puts `items` in a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `count` different numbers below `bound`, ascending; all of them where there are no more.
    ///
    /// R. W. Floyd's algorithm: memory for what is drawn, not for what it is drawn from (Bentley and Floyd, "A sample of
    /// brilliance", Communications of the ACM 30(9), 1987).
    pub fn sample(&mut self, bound: usize, count: usize) -> Vec<usize> {
        if count >= bound {
            return (0..bound).collect();
        }
        let mut drawn = HashSet::with_capacity(count);
        for last in bound - count..bound {
            let candidate = self.below(last + 1);
            if !drawn.insert(candidate) {
                drawn.insert(last);
            }
        }
        let mut drawn = drawn.into_iter().collect::<Vec<_>>();
        drawn.sort_unstable();
        drawn
    }

    /// The logarithm of a gamma number.
    ///
    /// G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables", ACM Transactions on Mathematical
    /// Software 26(3), 2000, <https://doi.org/10.1145/358407.358414>; a shape below 1 by the next one's (their section 6).
    fn ln_gamma(&mut self, shape: f64) -> f64 {
        if shape.is_nan() || shape <= 0.0 {
            return f64::NEG_INFINITY;
        }
        if shape < 1.0 {
            // 1 - uniform is never 0.
            let root = (1.0 - self.uniform()).ln() / shape;
            return self.ln_gamma(shape + 1.0) + root;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let cube = (1.0 + c * x).powi(3);
            if cube <= 0.0 {
                continue;
            }
            let u = 1.0 - self.uniform();
            // The cheap test of the paper holds for all but a few of a hundred numbers.
            if u < 1.0 - 0.0331 * x.powi(4) || u.ln() < 0.5 * x * x + d * (1.0 - cube + cube.ln()) {
                return d.ln() + cube.ln();
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    const DRAWS: usize = 20_000;

    fn moments(mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let values = (0..DRAWS).map(|_| draw()).collect::<Vec<_>>();
        let mean = values.iter().sum::<f64>() / DRAWS as f64;
        (mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / DRAWS as f64)
    }

    /// Within five standard errors of the mean, and the variance within a twelfth.
    fn assert_moments(what: &str, (mean, variance): (f64, f64), (true_mean, true_variance): (f64, f64)) {
        let error = (true_variance / DRAWS as f64).sqrt();
        assert!((mean - true_mean).abs() < 5.0 * error, "{what}: mean {mean}, not {true_mean}");
        assert!(
            (variance / true_variance - 1.0).abs() < 1.0 / 12.0,
            "{what}: variance {variance}, not {true_variance}"
        );
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut random = Random::new(42, 0);
        assert_moments("uniform", moments(|| random.uniform()), (0.5, 1.0 / 12.0));
        assert_moments("normal", moments(|| random.normal()), (0.0, 1.0));
        for shape in [0.3, 1.0, 2.5, 80.0] {
            assert_moments(&format!("gamma({shape})"), moments(|| random.gamma(shape)), (shape, shape));
        }
        for (a, b) in [(2.0, 98.0), (0.4, 3.0), (0.5, 0.5), (30.0, 10.0)] {
            let sum = a + b;
            let variance = a * b / (sum * sum * (sum + 1.0));
            assert_moments(&format!("beta({a}, {b})"), moments(|| random.beta(a, b)), (a / sum, variance));
        }
    }

    #[test]
    fn normal_numbers_fall_where_they_should() {
        let mut random = Random::new(1, 0);
        let mut below = [0usize; 3];
        for _ in 0..DRAWS {
            let x = random.normal();
            [-1.0, 0.5, 2.0].iter().zip(&mut below).for_each(|(bound, count)| *count += usize::from(x < *bound));
        }
        // The normal distribution function at -1, 0.5 and 2 (Abramowitz and Stegun, table 26.1).
        for (count, share) in below.into_iter().zip([0.158_655_25, 0.691_462_46, 0.977_249_87]) {
            let expected = DRAWS as f64 * share;
            assert!(
                (count as f64 - expected).abs() < 5.0 * (expected * (1.0 - share)).sqrt(),
                "{count}, not {expected}"
            );
        }
    }

    #[test]
    fn shapes_at_the_edge_stay_finite() {
        let mut random = Random::new(3, 0);
        for (a, b) in [(1e-6, 1e-6), (1e-300, 1.0), (1.0, 1e-300), (1e12, 1e12)] {
            for _ in 0..200 {
                let x = random.beta(a, b);
                assert!((0.0..=1.0).contains(&x), "beta({a}, {b}) = {x}");
            }
        }
        assert_eq!(random.beta(0.0, 1.0), 0.0);
        assert_eq!(random.beta(1.0, 0.0), 1.0);
        assert_eq!(random.beta(f64::NAN, 1.0), 0.0);
        assert_eq!(random.gamma(0.0), 0.0);
        assert_eq!(random.gamma(-1.0), 0.0);
    }

    #[test]
    fn a_stream_is_the_same_again_and_differs_from_another() {
        let numbers = |seed, stream| {
            let mut random = Random::new(seed, stream);
            (0..20).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1, 2), numbers(1, 2));
        assert_ne!(numbers(1, 2), numbers(1, 3));
        assert_ne!(numbers(1, 2), numbers(2, 2));
        // The generator, the key 42 and the stream of `train::random`'s test, whose numbers another implementation of
        // RFC 8439's block function gave.
        let mut random = Random::new(42, 5 << 56 | 1 << 32 | 2);
        assert_eq!([(); 6].map(|()| random.below(1000)), [903, 19, 32, 618, 476, 545]);
    }

    #[test]
    fn first_values_are_fixed() {
        // A change would change every model that is trained with LoRA.
        let found = Random::expanded(42).uniforms(4, 0.5);
        assert_eq!(found, [-0.27591926, 0.18189615, -0.3536138, 0.45027536]);
        let mut random = Random::expanded(1);
        let (uniform, normal) = (random.uniforms(10_000, 0.25), random.normals(10_000, 0.02));
        assert!(uniform.iter().all(|x| (-0.25..0.25).contains(x)));
        // Standard errors of the means: .00144 and .0002, and of the mean square of the second 6e-6.
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        assert!(mean(&uniform).abs() < 0.008 && mean(&normal).abs() < 0.001);
        let square = normal.iter().map(|x| x * x).sum::<f32>() / normal.len() as f32;
        assert!((square - 4e-4).abs() < 3e-5, "{square}");
    }

    #[test]
    fn a_shuffle_puts_everything_everywhere() {
        let mut counts = [[0u32; 4]; 4];
        for stream in 0..4000 {
            let mut items = [0usize, 1, 2, 3];
            Random::new(9, stream).shuffle(&mut items);
            items.iter().enumerate().for_each(|(place, item)| counts[place][*item] += 1);
        }
        // 1000 expected, standard deviation 27.4: five of them.
        assert!(counts.iter().flatten().all(|count| count.abs_diff(1000) < 137), "{counts:?}");
    }

    #[test]
    fn samples_are_distinct_and_even() {
        let mut counts = [0u32; 10];
        for seed in 0..2000 {
            let drawn = Random::new(seed, 2 << 56).sample(10, 3);
            assert!(drawn.len() == 3 && drawn.is_sorted() && drawn.windows(2).all(|two| two[0] != two[1]));
            drawn.into_iter().for_each(|number| counts[number] += 1);
        }
        // 600 expected, standard deviation 20.5: five of them.
        assert!(counts.iter().all(|count| count.abs_diff(600) < 103), "{counts:?}");
        assert_eq!(Random::new(0, 2 << 56).sample(3, 9), [0, 1, 2]);
        assert_eq!(Random::new(0, 2 << 56).sample(0, 9), [0; 0]);
    }
}
