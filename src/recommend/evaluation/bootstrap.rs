//! How far a mean over users may be off: percentile intervals of the bootstrap.
//!
//! Takes metrics of users; gives each metric's mean with an interval, and the interval of the difference of two methods
//! over the same users. Users are drawn with replacement, whole: the pairs of one user are not independent, users are.
//! Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13, <https://doi.org/10.1201/9780429246593>.
//!
//! Resample b draws from a stream of its own, so that the same seed gives the same intervals on any number of threads, and
//! two tables of equally many users are resampled alike.

use rayon::prelude::*;

use super::per_user::PerUser;
use crate::cancellation::{Cancelled, Stop, check};
use crate::random::Random;

/// How intervals are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampling {
    /// How often users are drawn; 0 for no intervals.
    pub resamples: usize,
    /// The share of resamples inside the interval.
    pub level: f64,
    /// What decides which users are drawn.
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { resamples: 1000, level: 0.95, seed: 42 }
    }
}

/// A value and its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value itself, of the users as they are.
    pub value: f64,
    /// The interval, low and high. `None` of fewer than two users, and without resamples.
    pub interval: Option<(f64, f64)>,
    /// The mean of the resamples, where there is an interval.
    pub resampled: Option<f64>,
    /// How many users the value is made of.
    pub users: usize,
}

impl Estimate {
    /// The interval moved to where the mean of the resamples is the value: without the bias that resampling has for
    /// counts of different things. It still holds the value where nearly all resamples are alike.
    #[must_use]
    pub(crate) fn centered(mut self) -> Self {
        if let (Some((low, high)), Some(mean)) = (&mut self.interval, self.resampled) {
            *low = (*low + self.value - mean).min(self.value);
            *high = (*high + self.value - mean).max(self.value);
            self.resampled = Some(self.value);
        }
        self
    }
}

impl Resampling {
    /// The mean of each metric over the users who have it; `None` for one that nobody has. Gives
    pub fn means(&self, table: &PerUser, stop: Stop<'_>) -> Result<Vec<Option<Estimate>>, Cancelled> {
        let values = table.means();
        let resampled = self.resample(table.rows(), stop, |drawn| means_of(table, drawn))?;
        let estimate = |(column, value): (usize, Option<f64>)| {
            let users = table.column(column).filter(|value| !value.is_nan()).count();
            Some(self.estimate(value?, users, resampled.iter().map(|means| means[column]).collect()))
        };
        Ok(values.into_iter().enumerate().map(estimate).collect())
    }

    /// The sum of the numerators over that of the denominators, a pair for each user; `None` where the latter is 0.
    pub fn ratio(&self, pairs: &[(f64, f64)], stop: Stop<'_>) -> Result<Option<Estimate>, Cancelled> {
        let ratio = |pairs: &mut dyn Iterator<Item = (f64, f64)>| {
            let (numerator, denominator) = pairs.fold((0.0, 0.0), |sums, pair| (sums.0 + pair.0, sums.1 + pair.1));
            if denominator > 0.0 { numerator / denominator } else { f64::NAN }
        };
        let value = ratio(&mut pairs.iter().copied());
        if value.is_nan() {
            return Ok(None);
        }
        let resampled =
            self.resample(pairs.len(), stop, |drawn| ratio(&mut drawn.iter().map(|user| pairs[*user as usize])))?;
        Ok(Some(self.estimate(value, pairs.len(), resampled)))
    }

    /// `measure` of each resample: as many users as there are, drawn with replacement.
    pub(crate) fn resample<T: Send>(
        &self,
        users: usize,
        stop: Stop<'_>,
        measure: impl Fn(&[u32]) -> T + Sync,
    ) -> Result<Vec<T>, Cancelled> {
        if users < 2 {
            return Ok(Vec::new());
        }
        let draw = |drawn: &mut Vec<u32>, resample: usize| {
            check(stop)?;
            let mut random = Random::new(self.seed, resample as u64);
            drawn.clear();
            drawn.extend((0..users).map(|_| random.below(users) as u32));
            Ok(measure(drawn))
        };
        (0..self.resamples).into_par_iter().map_init(|| Vec::with_capacity(users), draw).collect()
    }

    /// The percentile interval of resampled values; resamples that have none (NaN) are left out.
    pub(crate) fn estimate(&self, value: f64, users: usize, mut resampled: Vec<f64>) -> Estimate {
        resampled.retain(|value| !value.is_nan());
        resampled.sort_unstable_by(f64::total_cmp);
        if users < 2 || resampled.is_empty() {
            return Estimate { value, interval: None, resampled: None, users };
        }
        let tail = (1.0 - self.level) / 2.0;
        let interval = Some((quantile(&resampled, tail), quantile(&resampled, 1.0 - tail)));
        let mean = resampled.iter().sum::<f64>() / resampled.len() as f64;
        Estimate { value, interval, resampled: Some(mean), users }
    }
}

/// The mean of each metric over the users drawn; NaN where none of them has it.
fn means_of(table: &PerUser, drawn: &[u32]) -> Vec<f64> {
    let (mut sums, mut counts) = (vec![0.0; table.columns()], vec![0.0; table.columns()]);
    for user in drawn {
        for ((sum, count), value) in sums.iter_mut().zip(&mut counts).zip(table.row(*user as usize)) {
            let here = !value.is_nan();
            *sum += if here { *value } else { 0.0 };
            *count += f64::from(u8::from(here));
        }
    }
    // Without anyone, 0 / 0 is NaN.
    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum /= count);
    sums
}

/// The quantile of ascending values, linear between two of them (Hyndman and Fan's type 7, NumPy's default).
fn quantile(ascending: &[f64], share: f64) -> f64 {
    let place = share.clamp(0.0, 1.0) * (ascending.len() - 1) as f64;
    let (below, above) = (ascending[place.floor() as usize], ascending[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
#[path = "tests/bootstrap.rs"]
mod tests;
