//! CUPED: outcomes freed of what was known of each user before the experiment.
//!
//! Takes the comoments of outcomes and of what was before; gives each group's outcomes with less variance and the same
//! expected difference. The adjusted outcome is `y - theta (x - mean of all x)`, where `theta` is the slope of `y` on `x`
//! within groups. Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments by utilizing
//! pre-experiment data", WSDM 2013, <https://doi.org/10.1145/2433396.2433413>.
//!
//! A user of whom nothing was known before counts as if he had been average, which is as fair: who is new was settled
//! before the experiment.

use super::comoments::Comoments;
use super::welch::Sample;

/// A group of users.
#[derive(Debug, Clone)]
pub struct Group {
    /// Of all outcomes.
    pub outcomes: Comoments,
    /// Of outcomes and what was before, for users of whom it is known.
    pub pairs: Comoments,
}

/// The places of the two numbers in [`Group::pairs`].
const OUTCOME: usize = 0;
const BEFORE: usize = 1;

impl Group {
    /// The outcomes as they are.
    pub fn sample(&self) -> Sample {
        let count = self.outcomes.count();
        let variance = if count > 1.0 { self.outcomes.product(0, 0) / (count - 1.0) } else { f64::NAN };
        Sample { count, mean: self.outcomes.mean(0), variance, shared: 0.0 }
    }

    /// Sums over the group of `x (y - mean y)` and `(x - mean x)^2`, and the mean of x, where x is what was before minus
    /// `center`, or 0 where nothing is known.
    fn centered(&self, center: f64) -> (f64, f64, f64) {
        let (known, all) = (self.pairs.count(), self.outcomes.count());
        let apart = self.pairs.mean(BEFORE) - center;
        let outcome_apart = self.pairs.mean(OUTCOME) - self.outcomes.mean(0);
        let product = self.pairs.product(OUTCOME, BEFORE) + known * apart * outcome_apart;
        let square = self.pairs.product(BEFORE, BEFORE) + known * apart * apart * (1.0 - known / all);
        (product, square, known * apart / all)
    }
}

/// The adjusted outcomes of each group. `None` where what was before does not vary.
pub fn adjust(groups: &[Group]) -> Option<Vec<Sample>> {
    let known: f64 = groups.iter().map(|group| group.pairs.count()).sum();
    let total: f64 = groups.iter().map(|group| group.pairs.count() * group.pairs.mean(BEFORE)).sum();
    let center = total / known;
    let sums = groups.iter().map(|group| group.centered(center)).collect::<Vec<_>>();
    let (product, square) = sums.iter().fold((0.0, 0.0), |sums, group| (sums.0 + group.0, sums.1 + group.1));
    if square.is_nan() || square <= 0.0 {
        return None;
    }
    let theta = product / square;
    // All means are adjusted by the same mean of x, which is itself an estimate.
    let users: f64 = groups.iter().map(|group| group.outcomes.count()).sum();
    let apart = groups.iter().zip(&sums).map(|(group, (.., mean))| group.outcomes.count() * mean * mean);
    let shared = theta * theta * (square + apart.sum::<f64>()) / (users * (users - 1.0));
    let adjusted = groups.iter().zip(sums).map(|(group, (product, square, mean))| {
        let plain = group.sample();
        let change = (theta * theta * square - 2.0 * theta * product) / (plain.count - 1.0);
        // Rounding may take what is left below 0.
        let variance = if plain.variance.is_nan() { f64::NAN } else { (plain.variance + change).max(0.0) };
        Sample { mean: plain.mean - theta * mean, variance, shared, ..plain }
    });
    Some(adjusted.collect())
}
