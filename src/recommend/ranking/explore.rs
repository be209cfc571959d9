//! Exploration by Thompson sampling, and the propensities of what it chose.
//!
//! Takes the predicted probabilities of a pool; gives draws to rank it by.

use crate::random::Random;

/// How the predicted probabilities are doubted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Explore {
    /// How many observations a prediction counts for, above 0: the greater, the closer the draws are to the prediction.
    pub strength: f64,
    /// What the draws of new items are multiplied by, as their scores are without exploration.
    pub new_boost: f64,
    /// How many times the policy is repeated for the propensities.
    pub redraws: u32,
}

impl Default for Explore {
    fn default() -> Self {
        Self { strength: 100.0, new_boost: 1.0, redraws: 200 }
    }
}

/// A seed has 2^64 streams; those of draws are apart from those that others take with the same seed.
const PURPOSE: u64 = 0xe << 60;

impl Explore {
    /// Draws for the pool of a user into `values`, one for each of `probabilities`, of Beta(s p, s (1 - p)) with the strength
    /// s and the probability p, times the boost if the item is new. `repetition` 0 is what is shown.
    ///
    /// Thompson sampling: W. R. Thompson, Biometrika 25, 1933; D. Russo et al., "A tutorial on Thompson sampling", 2018,
    /// <https://arxiv.org/abs/1707.02038>. A probability that is not a number counts as 0, whose draw is 0.
    pub(super) fn draw(
        &self,
        seed: u64,
        user: usize,
        repetition: u32,
        probabilities: impl Iterator<Item = (f32, bool)>,
        values: &mut Vec<f32>,
    ) {
        let stream = PURPOSE ^ (u64::from(repetition) << 36) ^ user as u64;
        let mut random = Random::new(seed, stream);
        values.clear();
        values.extend(probabilities.map(|(probability, is_new)| {
            let probability = if probability.is_nan() { 0.0 } else { f64::from(probability).clamp(0.0, 1.0) };
            let draw = random.beta(self.strength * probability, self.strength * (1.0 - probability));
            (if is_new { draw * self.new_boost } else { draw }) as f32
        }));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_around_the_predictions_and_the_boost_multiplies_new_ones() {
        let explore = Explore { strength: 50.0, new_boost: 2.0, redraws: 0 };
        let rows = [(0.02, false), (0.3, false), (0.3, true), (f32::NAN, false), (7.0, false)];
        let (mut sums, mut squares) = ([0.0f64; 5], [0.0f64; 5]);
        let mut values = Vec::new();
        for user in 0..4000 {
            explore.draw(1, user, 0, rows.into_iter(), &mut values);
            for (row, value) in values.iter().enumerate() {
                sums[row] += f64::from(*value) / 4000.0;
                squares[row] += f64::from(*value).powi(2) / 4000.0;
            }
        }
        // The standard error of the mean is sqrt(p (1 - p) / 51 / 4000), .0010 at .3.
        for (row, mean) in [(0, 0.02), (1, 0.3), (2, 0.6), (3, 0.0), (4, 1.0)] {
            assert!((sums[row] - mean).abs() < 0.011, "{row}: {sums:?}");
        }
        let variance = |row: usize| squares[row] - sums[row] * sums[row];
        assert!((variance(1) / (0.3 * 0.7 / 51.0) - 1.0).abs() < 0.15);
        assert!((variance(2) / (4.0 * 0.3 * 0.7 / 51.0) - 1.0).abs() < 0.15);
    }

    #[test]
    fn users_repetitions_and_seeds_have_draws_of_their_own() {
        let draws = |seed, user, repetition| {
            let mut values = Vec::new();
            Explore::default().draw(seed, user, repetition, [(0.5, false); 8].into_iter(), &mut values);
            values
        };
        let first = draws(1, 0, 0);
        assert_eq!(first, draws(1, 0, 0));
        for other in [draws(2, 0, 0), draws(1, 1, 0), draws(1, 0, 1)] {
            assert_ne!(first, other);
        }
    }
}
