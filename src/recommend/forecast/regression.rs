//! From what is known before a launch to what it does in its first weeks: takes past launches, gives means and intervals.
//!
//! The logarithm of one more than the outcome is linear in the logarithms of one more than the sum of probabilities and one more
//! than the buyers of similar items, and in that of the price: [`Ridge`]. Intervals are the quantiles of the errors that it makes of
//! launches that it was not fitted to, those of a whole holdout window at a time, so that what differs from season to season is among
//! them (the sums of probabilities are by a blend that has learned from all windows, so that errors may be somewhat small): Papadopoulos et al., "Inductive Confidence Machines for Regression", 2002, <https://doi.org/10.1007/3-540-36755-1_29>, with the
//! ranks that hold for a finite number of errors. The mean is over the residuals of the launches that it was
//! fitted to: Duan, "Smearing Estimate", 1983, <https://doi.org/10.1080/01621459.1983.10478017>.

use std::collections::BTreeSet;

use super::LEVEL;
use super::past_launches::{LaunchFeatures, PastLaunch};
use crate::cancellation::Stop;
use crate::linalg::Error;
use crate::linalg::dense::Matrix;
use crate::linalg::ridge::Ridge;

/// Fewer launches have no interval of this level: each tail needs an error of its own.
pub const LEAST: usize = 19;
/// A window with fewer launches is not left out alone: its errors say little of seasons.
const LEAST_OF_WINDOW: usize = 10;
/// Parts that are left out in turn where there are no two such windows.
const PARTS: usize = 20;
/// A weak pull to no effect, against the sum of the squares of some hundred launches.
const LAMBDA: f32 = 1.0;

/// What is forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Users who buy the item.
    Buyers,
    /// Units that are bought.
    Units,
}

/// A fitted regression with its errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Regression {
    ridge: Ridge,
    /// Of launches that were left out, ascending.
    errors: Vec<f32>,
    /// Of launches that it was fitted to. Errors from season to season would raise a mean, which is of seasons as they are.
    residuals: Vec<f32>,
    /// The mean logarithm of prices, for items without one.
    price: f32,
}

/// A mean, and the interval in which [`LEVEL`] of the outcomes lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// What is to be expected.
    pub mean: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Forecast {
    /// Whether an outcome lies within the interval.
    pub fn holds(&self, outcome: f64) -> bool {
        (self.low..=self.high).contains(&outcome)
    }
}

impl Regression {
    /// Fits the launches whose first so many weeks are known; `Err(count)` within where there are fewer than [`LEAST`].
    ///
    /// # Errors
    /// It was stopped.
    pub fn fit(
        launches: &[PastLaunch],
        target: Target,
        weeks: usize,
        stop: Stop<'_>,
    ) -> Result<Result<Self, usize>, Error> {
        let outcome = |launch: &PastLaunch| {
            let (buyers, units) = launch.outcome.first(weeks)?;
            Some(if target == Target::Buyers { buyers } else { units })
        };
        let known = launches.iter().filter_map(|launch| Some((launch, outcome(launch)?.ln_1p()))).collect::<Vec<_>>();
        if known.len() < LEAST {
            return Ok(Err(known.len()));
        }
        let prices = known.iter().map(|(launch, _)| launch.features.price).filter(|price| price.is_finite());
        let (sum, count) = prices.fold((0.0, 0), |(sum, count), price| (sum + price, count + 1));
        let price = if count > 0 { sum / count as f32 } else { 0.0 };
        let fit = |keep: &dyn Fn(usize) -> bool| {
            let kept = (0..known.len()).filter(|place| keep(*place)).collect::<Vec<_>>();
            let features = kept.iter().flat_map(|place| columns(&known[*place].0.features, price)).collect();
            let targets = kept.iter().map(|place| known[*place].1).collect();
            let features = Matrix::new(kept.len(), COLUMNS, features);
            Ridge::fit_dense(&features, &Matrix::new(kept.len(), 1, targets), LAMBDA, None, stop)
        };
        let windows = known.iter().map(|(launch, _)| launch.window).collect::<Vec<_>>();
        let parts = parts(&windows);
        let mut errors = vec![0.0; known.len()];
        for part in BTreeSet::from_iter(parts.iter().copied()) {
            let others = fit(&|place| parts[place] != part)?;
            for place in (0..known.len()).filter(|place| parts[*place] == part) {
                let (launch, outcome) = known[place];
                errors[place] = outcome - predict(&others, &launch.features, price);
            }
        }
        errors.sort_by(f32::total_cmp);
        let ridge = fit(&|_| true)?;
        let residual = |(launch, outcome): &(&PastLaunch, f32)| outcome - predict(&ridge, &launch.features, price);
        let residuals = known.iter().map(residual).collect();
        Ok(Ok(Self { ridge, errors, residuals, price }))
    }

    /// What an item with these features does.
    pub fn forecast(&self, features: &LaunchFeatures) -> Forecast {
        let center = predict(&self.ridge, features, self.price);
        let count = |error: f32| f64::from(center + error).exp_m1().max(0.0);
        let errors = self.errors.len();
        // Of n errors and the one to come, each rank is as likely for it.
        let tail = ((errors + 1) as f64 * (1.0 - LEVEL) / 2.0 + 1e-9).floor().max(1.0) as usize;
        let mean = self.residuals.iter().map(|error| count(*error)).sum::<f64>() / self.residuals.len() as f64;
        Forecast { mean, low: count(self.errors[tail - 1]), high: count(self.errors[errors - tail]) }
    }
}

const COLUMNS: usize = 3;

fn columns(features: &LaunchFeatures, price: f32) -> [f32; COLUMNS] {
    let own = features.price;
    [features.expected.ln_1p(), features.similar.ln_1p(), if own.is_finite() { own } else { price }]
}

fn predict(ridge: &Ridge, features: &LaunchFeatures, price: f32) -> f32 {
    let weighted = columns(features, price).into_iter().zip(ridge.weights.values()).map(|(x, weight)| x * weight);
    ridge.intercept[0] + weighted.sum::<f32>()
}

/// The part in which each launch is left out: its window, where two at least are large enough, the small ones together; else one of
/// [`PARTS`] in turn.
fn parts(windows: &[u32]) -> Vec<usize> {
    let mut all = windows.to_vec();
    all.sort_unstable();
    let large = all.chunk_by(|one, other| one == other).filter(|of| of.len() >= LEAST_OF_WINDOW).map(|of| of[0]);
    let large = large.collect::<Vec<_>>();
    if large.len() < 2 {
        return (0..windows.len()).map(|place| place % PARTS).collect();
    }
    windows.iter().map(|window| large.iter().position(|one| one == window).unwrap_or(large.len())).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::recommend::forecast::outcome::Outcome;

    /// Launches whose buyers are the expected ones times a season's and an own factor.
    fn launches(count: usize, windows: u32, seasons: f64, random: &mut Random) -> Vec<PastLaunch> {
        let season = (0..windows).map(|_| seasons * random.normal()).collect::<Vec<_>>();
        let launch = |place: usize| {
            let window = place as u32 % windows;
            let expected = random.uniform() * 60.0;
            let factor = (season[window as usize] + 0.5 * random.normal()).exp();
            let buyers = (expected * factor).round() as f32;
            let price = if place.is_multiple_of(5) { f32::NAN } else { random.normal() as f32 };
            PastLaunch {
                window,
                features: LaunchFeatures { expected: expected as f32, similar: 3.0, price },
                outcome: Outcome { buyers: vec![buyers, buyers], units: vec![2.0 * buyers, 3.0 * buyers] },
            }
        };
        (0..count).map(launch).collect()
    }

    #[test]
    fn intervals_hold_nine_of_ten_launches_that_come_later() {
        let mut random = Random::new(3, 1);
        for (windows, seasons) in [(1, 0.0), (6, 0.3)] {
            let (mut within, mut all, mut sum, mut happened) = (0, 0, 0.0, 0.0);
            for _ in 0..40 {
                // The last window comes later.
                let known = launches(50 * (windows as usize + 1), windows + 1, seasons, &mut random);
                let (past, later): (Vec<_>, Vec<_>) = known.into_iter().partition(|launch| launch.window < windows);
                let fitted = Regression::fit(&past, Target::Buyers, 2, &|| false).unwrap().unwrap();
                for launch in later {
                    let Forecast { mean, low, high } = fitted.forecast(&launch.features);
                    let buyers = f64::from(launch.outcome.buyers[1]);
                    assert!(low <= mean && mean <= high && low >= 0.0);
                    within += usize::from((low..=high).contains(&buyers));
                    (all, sum, happened) = (all + 1, sum + mean, happened + buyers);
                }
            }
            let covered = f64::from(u32::try_from(within).unwrap()) / f64::from(all);
            assert!((0.85..=0.95).contains(&covered), "{windows} windows: {covered}");
            assert!((sum / happened - 1.0).abs() < 0.15, "{windows} windows: {sum} of {happened}");
        }
    }

    #[test]
    fn units_are_forecast_like_buyers() {
        let past = launches(200, 1, 0.0, &mut Random::new(5, 1));
        let fit = |target| Regression::fit(&past, target, 1, &|| false).unwrap().unwrap();
        let (buyers, units) = (fit(Target::Buyers), fit(Target::Units));
        let features = past[1].features;
        let ratio = units.forecast(&features).mean / buyers.forecast(&features).mean;
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
    }

    #[test]
    fn too_few_launches_have_no_interval() {
        let past = launches(LEAST, 2, 0.0, &mut Random::new(5, 1));
        let fit = |count: usize, weeks| Regression::fit(&past[..count], Target::Buyers, weeks, &|| false).unwrap();
        assert_eq!(fit(LEAST - 1, 1), Err(LEAST - 1));
        assert_eq!(fit(LEAST, 3), Err(0), "of nobody three weeks are known");
        let fitted = fit(LEAST, 1).unwrap();
        let none = LaunchFeatures { expected: 0.0, similar: 0.0, price: f32::NAN };
        let Forecast { mean, low, high } = fitted.forecast(&none);
        assert!(low >= 0.0 && mean <= high && high.is_finite());
        assert!(Regression::fit(&past, Target::Buyers, 1, &|| true).is_err());
    }

    #[test]
    fn windows_are_left_out_whole_where_there_are_two() {
        assert_eq!(
            parts(&[[0; 10].as_slice(), &[1; 10], &[2; 3]].concat())[8..],
            [[0; 2].as_slice(), &[1; 10], &[2; 3]].concat()
        );
        assert_eq!(parts(&[[0; 30].as_slice(), &[1; 3]].concat())[18..22], [18, 19, 0, 1]);
        assert!(parts(&[]).is_empty());
    }
}
