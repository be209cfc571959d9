//! What another policy would have earned, from what was logged under a known one.
//!
//! Takes comoments of [`COLUMNS`] over users, or over rows if there are no users; gives estimates of the mean reward of a
//! row. `w` is a row's importance weight: the target policy's probability to choose what was chosen, over the probability
//! with which it was.
//!
//! - `ips`: mean of `w r`. Horvitz and Thompson, 1952, <https://doi.org/10.1080/01621459.1952.10483446>. Unbiased.
//! - `clipped_ips`: the same with weights up to a maximum. Less variance, and too low. Bottou and others, 2013,
//!   <https://jmlr.org/papers/v14/bottou13a.html>.
//! - `snips`: sum of `w r` over the sum of `w`. Swaminathan and Joachims, 2015,
//!   <https://papers.nips.cc/paper/2015/hash/39027dfad5138c9ca0c474d71db915c3-Abstract.html>.
//! - `direct`: mean of what a model predicts for the target policy. As biased as the model.
//! - `doubly_robust`: that, plus the mean of `w (r - prediction)`. Unbiased if either propensities or model are right. Dudik,
//!   Langford and Li, 2011, <https://arxiv.org/abs/1103.4601>.
//!
//! All are ratios of sums over users, and their variances are those of the ratios' linear parts (the delta method), so that
//! the rows of a user may depend on each other. Intervals are those of t with as many degrees of freedom as users, minus one.

use super::comoments::Comoments;
use super::estimate::Estimate;

/// The columns that are summed by user: rows, reward, weight, square of the weight, weight x reward, clipped weight x
/// reward, and whether the weight was clipped.
pub const COLUMNS: [&str; 7] = ["rows", "reward", "weight", "square", "weighted", "clipped_weighted", "clipped"];

/// Those that stand behind them where a model predicted rewards.
pub const PREDICTED: [&str; 2] = ["direct", "doubly_robust"];

const ROWS: usize = 0;
const REWARD: usize = 1;
const WEIGHT: usize = 2;
const SQUARE: usize = 3;
const WEIGHTED: usize = 4;
const CLIPPED_WEIGHTED: usize = 5;
const CLIPPED: usize = 6;

/// The estimators: name, numerator and denominator.
const ESTIMATORS: [(&str, usize, usize); 5] = [
    ("ips", WEIGHTED, ROWS),
    ("clipped_ips", CLIPPED_WEIGHTED, ROWS),
    ("snips", WEIGHTED, WEIGHT),
    ("direct", 7, ROWS),
    ("doubly_robust", 8, ROWS),
];

/// The target policy's reward by one estimator.
#[derive(Debug, Clone, PartialEq)]
pub struct Reward {
    /// The estimator.
    pub method: &'static str,
    /// The mean reward of a row. `None` where the target policy chooses nothing that was chosen.
    pub mean: Option<Estimate>,
    /// That minus the logged mean.
    pub difference: Option<Estimate>,
    /// That as a share of the logged mean, where this is above 0.
    pub lift: Option<Estimate>,
}

/// What is known of a log.
#[derive(Debug)]
pub struct Log {
    sums: Comoments,
    alpha: f64,
}

/// A number, and how fast it changes with the mean of each column.
struct Linear {
    value: f64,
    slopes: Vec<f64>,
}

impl Log {
    /// A log with at least one row.
    pub fn new(sums: Comoments, alpha: f64) -> Self {
        Self { sums, alpha }
    }

    /// Number of users, or of rows where there are no users.
    pub fn count(&self) -> f64 {
        self.sums.count()
    }

    /// The mean reward of a row as it was.
    pub fn logged(&self) -> Estimate {
        self.estimate(&self.ratio(REWARD, ROWS), 0.0).untested()
    }

    /// The mean weight. It is 1 on average if each row is a choice by the propensities of all there was to choose: a small
    /// p-value means that they are not what they are said to be.
    pub fn mean_weight(&self) -> Estimate {
        self.estimate(&self.ratio(WEIGHT, ROWS), 1.0)
    }

    /// So many rows of equal weight would say as much: (sum of weights)^2 / sum of squares. Kish, "Survey sampling", 1965.
    pub fn effective_rows(&self) -> Estimate {
        let (weight, square) = (self.sums.mean(WEIGHT), self.sums.mean(SQUARE));
        Estimate::bare(if square > 0.0 { self.count() * weight * (weight / square) } else { 0.0 })
    }

    /// The share of rows whose weight was clipped.
    pub fn clipped(&self) -> Estimate {
        self.estimate(&self.ratio(CLIPPED, ROWS), 0.0).untested()
    }

    /// The reward of the target policy, by each estimator; those with a model where [`PREDICTED`] is known.
    pub fn rewards(&self) -> Vec<Reward> {
        let logged = self.ratio(REWARD, ROWS);
        let reward = |(method, numerator, denominator): &(&'static str, usize, usize)| {
            if self.sums.mean(*denominator) <= 0.0 {
                return Reward { method, mean: None, difference: None, lift: None };
            }
            let mean = self.ratio(*numerator, *denominator);
            let difference = combine(&mean, 1.0, &logged, -1.0, mean.value - logged.value);
            let lift = (logged.value > 0.0).then(|| {
                let ratio = mean.value / logged.value;
                combine(&mean, 1.0 / logged.value, &logged, -ratio / logged.value, ratio - 1.0)
            });
            Reward {
                method,
                mean: Some(self.estimate(&mean, 0.0).untested()),
                difference: Some(self.estimate(&difference, 0.0)),
                lift: lift.map(|lift| self.estimate(&lift, 0.0)),
            }
        };
        ESTIMATORS.iter().filter(|(_, numerator, _)| *numerator < self.sums.width()).map(reward).collect()
    }

    fn ratio(&self, numerator: usize, denominator: usize) -> Linear {
        let (above, below) = (self.sums.mean(numerator), self.sums.mean(denominator));
        let value = above / below;
        let mut slopes = vec![0.0; self.sums.width()];
        slopes[numerator] += 1.0 / below;
        slopes[denominator] -= value / below;
        Linear { value, slopes }
    }

    fn estimate(&self, linear: &Linear, expected: f64) -> Estimate {
        let freedom = self.count() - 1.0;
        let slopes = linear.slopes.iter().enumerate().filter(|(_, slope)| **slope != 0.0);
        let (mut sum, mut size) = (0.0, 0.0);
        for (i, a) in slopes.clone() {
            for (j, b) in slopes.clone() {
                let term = a * b * self.sums.product(i, j);
                sum += term;
                size += term.abs();
            }
        }
        // What rounding leaves of numbers that cancel each other is no variance.
        let variance = if sum > size * 1e-13 { sum / freedom / self.count() } else { 0.0 };
        Estimate::of(linear.value, expected, variance, freedom, self.alpha)
    }
}

fn combine(a: &Linear, times: f64, b: &Linear, times_b: f64, value: f64) -> Linear {
    let slopes = a.slopes.iter().zip(&b.slopes).map(|(a, b)| a * times + b * times_b).collect();
    Linear { value, slopes }
}
