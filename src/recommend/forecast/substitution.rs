//! What launches took from items that were on sale: takes buyers before and after launches, gives the share of a launch's buyers that
//! similar items lost.
//!
//! A difference in differences: of items that had equally many buyers in the time before, those that are similar to launches are
//! compared with those that are not. Over the items of each window, weighted by one over `before`,
//!
//! ```text
//! after = before (a + b ln before + c ln² before) - share * exposure
//! ```
//!
//! where an item's exposure is the number of buyers of all launches, each shared out among the items that it is similar to. A
//! negative share says that launches brought buyers to similar items, or that people wanted both. The interval is the bootstrap's over
//! groups of items: Efron and Tibshirani, "An introduction to the bootstrap", 1993, <https://doi.org/10.1201/9780429246593>.

use serde::{Deserialize, Serialize};

use super::LEVEL;
use crate::cancellation::{Cancelled, Stop, check};
use crate::linalg::dense::Solver;
use crate::random::Random;

/// Items with fewer buyers before are not compared: most of what they do is chance.
const LEAST_BUYERS: f32 = 5.0;
/// Fewer exposed items say nothing.
const LEAST_EXPOSED: usize = 50;
/// Groups of items that are drawn together.
const GROUPS: usize = 100;
const RESAMPLES: usize = 400;
/// The stream of random numbers that groups are drawn from.
const STREAM: u64 = 0x7375_6273;
/// Columns of a window: `before` times powers of its logarithm.
const COLUMNS: usize = 3;

/// An item that was on sale before a window's launches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Incumbent {
    /// The number of the window, from 0.
    pub window: usize,
    /// Its buyers in as much time before the window as the window is long.
    pub before: f32,
    /// Its buyers in the window.
    pub after: f32,
    /// Buyers of launches that are similar to it.
    pub exposure: f32,
}

/// The share of a launch's buyers that similar items lost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Substitution {
    /// The share; negative where they gained.
    pub share: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Substitution {
    /// Estimates it; `None` where too few items were similar to launches.
    ///
    /// # Errors
    /// It was stopped.
    pub fn estimate(items: &[Incumbent], seed: u64, stop: Stop<'_>) -> Result<Option<Self>, Cancelled> {
        let compared = items.iter().filter(|item| item.before >= LEAST_BUYERS).collect::<Vec<_>>();
        if compared.iter().filter(|item| item.exposure > 0.0).count() < LEAST_EXPOSED {
            return Ok(None);
        }
        let windows = compared.iter().map(|item| item.window + 1).max().unwrap_or(0);
        let mut random = Random::new(seed, STREAM);
        let mut order = (0..compared.len()).collect::<Vec<_>>();
        random.shuffle(&mut order);
        let mut groups = vec![Sums::new(windows); GROUPS];
        for (place, item) in order.into_iter().enumerate() {
            groups[place % GROUPS].add(compared[item]);
        }
        let mut whole = Sums::new(windows);
        groups.iter().for_each(|group| whole.append(group));
        let Some(share) = whole.share() else { return Ok(None) };
        let mut shares = Vec::with_capacity(RESAMPLES);
        for _ in 0..RESAMPLES {
            check(stop)?;
            let mut drawn = Sums::new(windows);
            (0..GROUPS).for_each(|_| drawn.append(&groups[random.below(GROUPS)]));
            shares.extend(drawn.share());
        }
        shares.sort_by(f64::total_cmp);
        let at = |quantile: f64| shares.get((quantile * shares.len() as f64) as usize).copied();
        let ends = at((1.0 - LEVEL) / 2.0).zip(at(1.0 - (1.0 - LEVEL) / 2.0));
        Ok(ends.map(|(low, high)| Self { share, low: low.min(share), high: high.max(share) }))
    }
}

/// The normal equations of some items.
#[derive(Debug, Clone)]
struct Sums {
    size: usize,
    left: Vec<f64>,
    right: Vec<f64>,
}

impl Sums {
    fn new(windows: usize) -> Self {
        let size = windows * COLUMNS + 1;
        Self { size, left: vec![0.0; size * size], right: vec![0.0; size] }
    }

    fn add(&mut self, item: &Incumbent) {
        let (before, after) = (f64::from(item.before), f64::from(item.after));
        let log = before.ln();
        let first = item.window * COLUMNS;
        let last = self.size - 1;
        let columns = [
            (first, before),
            (first + 1, before * log),
            (first + 2, before * log * log),
            (last, -f64::from(item.exposure)),
        ];
        for (row, x) in columns {
            self.right[row] += x * after / before;
            for (column, y) in columns {
                self.left[row * self.size + column] += x * y / before;
            }
        }
    }

    fn append(&mut self, other: &Self) {
        self.left.iter_mut().zip(&other.left).for_each(|(sum, x)| *sum += x);
        self.right.iter_mut().zip(&other.right).for_each(|(sum, x)| *sum += x);
    }

    /// `None` where the items do not say.
    fn share(mut self) -> Option<f64> {
        for place in 0..self.size {
            // A window whose items are all alike has no slope.
            let diagonal = &mut self.left[place * self.size + place];
            *diagonal += 1e-9 * *diagonal + 1e-9;
        }
        let solved = Solver::new(self.size).solve_in_place(&mut self.left, &mut self.right);
        self.right.last().copied().filter(|share| solved && share.is_finite())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Items of which some lose a share of what similar launches sold.
    fn items(count: usize, share: f64, random: &mut Random) -> Vec<Incumbent> {
        let item = |place: usize| {
            let window = place % 2;
            let base = (6.0 * random.uniform()).exp();
            let exposure = if random.uniform() < 0.4 { 0.3 * base * random.uniform() } else { 0.0 };
            let trend = if window == 0 { 1.5 } else { 0.8 };
            let noisy = |mean: f64, random: &mut Random| (mean + mean.sqrt() * random.normal()).max(0.0).round() as f32;
            let before = noisy(base, random);
            let after = noisy(f64::from(before) * trend - share * exposure, random);
            Incumbent { window, before, after, exposure: exposure as f32 }
        };
        (0..count).map(item).collect()
    }

    #[test]
    fn what_was_taken_is_found() {
        let mut random = Random::new(11, 1);
        for share in [0.6, 0.0, -0.5] {
            let mut held = 0;
            for seed in 0..20 {
                let found = Substitution::estimate(&items(3000, share, &mut random), seed, &|| false).unwrap().unwrap();
                assert!((found.share - share).abs() < 0.3, "{share}: {found:?}");
                held += usize::from((found.low..=found.high).contains(&share));
            }
            assert!(held >= 14, "{share}: {held} of 20 intervals hold it");
        }
    }

    #[test]
    fn too_little_says_nothing() {
        let mut random = Random::new(11, 1);
        let estimate = |items: &[Incumbent]| Substitution::estimate(items, 1, &|| false).unwrap();
        assert_eq!(estimate(&[]), None);
        assert_eq!(estimate(&items(60, 0.5, &mut random)), None, "too few are similar to launches");
        let alike = [Incumbent { window: 0, before: 5.0, after: 5.0, exposure: 1.0 }; 80];
        assert!(estimate(&alike).is_none_or(|found| found.share.is_finite()));
        assert_eq!(Substitution::estimate(&items(900, 0.5, &mut random), 1, &|| true), Err(Cancelled));
        let all = items(900, 0.5, &mut random);
        assert_eq!(estimate(&all), estimate(&all), "by its seed alone");
    }
}
