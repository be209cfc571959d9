//! Logistic regressions over a few columns: the probability that a row is a yes, and which rows of a group are.
//!
//! Takes rows of numbers (scores of the recommender's components), yes or no, and weights; gives a coefficient per
//! column.
//!
//! Both add `sum of lambda / 2 * (coefficient - towards)²` to the loss and may keep coefficients from being negative. Solved by
//! Newton's method on the free coefficients, a step being cut at the bounds and halved until it helps: Bertsekas, "Projected
//! Newton Methods for Optimization Problems with Simple Constraints", 1982, <https://doi.org/10.1137/0320018>.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::dense::Solver;
use crate::cancellation::{Cancelled, Stop, check};

/// Rows whose derivatives one task adds up.
const TASK: usize = 4096;
/// Groups whose derivatives one task adds up; each has many rows.
const GROUPS_TASK: usize = 64;
/// Newton's method needs about ten steps, or some dozens where the data is separable.
const MAX_STEPS: usize = 200;
/// The solution is taken when a step would lower the loss by less than this share of it.
const TOLERANCE: f64 = 1e-12;
/// The least weight of a square, and that of the intercept's: data that a plane separates, or of one class only, then has
/// a finite solution too.
const LEAST: f64 = 1e-6;

/// What keeps coefficients small.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Penalty {
    /// The weight of each coefficient's square, against the sum (not the mean) of the rows' losses: scikit-learn's `1 / C`.
    /// Next to nothing where there is none.
    pub lambda: Vec<f64>,
    /// Where each coefficient is drawn to; 0 where there is none.
    pub towards: Vec<f64>,
    /// Which coefficients must not be negative; none where there is none.
    pub nonnegative: Vec<bool>,
}

/// A row of numbers as the probability of a yes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logistic {
    /// The logit where all columns are 0.
    pub intercept: f64,
    /// One per column.
    pub coefficients: Vec<f64>,
}

impl Logistic {
    /// Fits `features`, row by row with so many columns, to `labels` from 0 (no) to 1 (yes); `weights` is one per row, 1
    /// without. The intercept is not drawn anywhere.
    pub fn fit(
        features: &[f64],
        columns: usize,
        labels: &[f64],
        weights: Option<&[f64]>,
        penalty: &Penalty,
        stop: Stop<'_>,
    ) -> Result<Self, Cancelled> {
        let row_of = |row: usize| &features[row * columns..(row + 1) * columns];
        let evaluate = |coefficients: &[f64], curved: bool| {
            add_up(labels.len(), TASK, columns + 1, |row, sums| {
                let (x, weight) = (row_of(row), weights.map_or(1.0, |weights| weights[row]));
                let logit = logit(x, &coefficients[..columns], coefficients[columns]);
                let probability = sigmoid(logit);
                sums.loss += weight * (softplus(logit) - labels[row] * logit);
                sums.add_gradient(x, weight * (probability - labels[row]));
                if curved {
                    sums.add_curvature(x, weight * probability * (1.0 - probability));
                }
            })
        };
        let mut coefficients = minimise(columns + 1, &Bounds::new(penalty, columns, 1), evaluate, stop)?;
        let intercept = coefficients.pop().unwrap_or_default();
        Ok(Self { intercept, coefficients })
    }

    /// The logit of a row.
    pub fn logit(&self, row: &[f64]) -> f64 {
        logit(row, &self.coefficients, self.intercept)
    }

    /// The probability of a yes.
    pub fn probability(&self, row: &[f64]) -> f64 {
        sigmoid(self.logit(row))
    }
}

/// Which rows of a group are chosen: a row's chance is `exp(x coefficients)` over the group's sum of it.
///
/// McFadden, "Conditional logit analysis of qualitative choice behavior", 1974.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConditionalLogit {
    /// One per column. An intercept would make no difference.
    pub coefficients: Vec<f64>,
}

impl ConditionalLogit {
    /// Fits `features`, row by row with so many columns: maximises the sum over groups of `weight / chosen` times the
    /// sum over the group's chosen rows of the logarithm of their chance. `chosen` is one per row, `weights` one per group, 1
    /// without. Groups in which nothing is chosen say nothing.
    pub fn fit(
        features: &[f64],
        columns: usize,
        groups: &[Range<usize>],
        chosen: &[bool],
        weights: Option<&[f64]>,
        penalty: &Penalty,
        stop: Stop<'_>,
    ) -> Result<Self, Cancelled> {
        let row_of = |row: usize| &features[row * columns..(row + 1) * columns];
        let evaluate = |coefficients: &[f64], curved: bool| {
            add_up(groups.len(), GROUPS_TASK, columns, |group, sums| {
                let rows = groups[group].clone();
                let (count, weight) =
                    (chosen[rows.clone()].iter().filter(|x| **x).count() as f64, weights.map_or(1.0, |w| w[group]));
                if count == 0.0 {
                    return;
                }
                let score = |row: usize| logit(row_of(row), coefficients, 0.0);
                let highest = rows.clone().map(score).fold(f64::NEG_INFINITY, f64::max);
                let total = rows.clone().map(|row| (score(row) - highest).exp()).sum::<f64>();
                sums.mean.fill(0.0);
                for row in rows {
                    let (x, score) = (row_of(row), score(row));
                    let chance = (score - highest).exp() / total;
                    let share = if chosen[row] { 1.0 / count } else { 0.0 };
                    sums.loss += weight * share * (total.ln() + highest - score);
                    sums.add_gradient(x, weight * (chance - share));
                    if curved {
                        sums.add_curvature(x, weight * chance);
                        sums.mean.iter_mut().zip(x).for_each(|(mean, x)| *mean += chance * x);
                    }
                }
                if curved {
                    // The covariance is the mean square less the square of the mean.
                    let mean = std::mem::take(&mut sums.mean);
                    sums.add_curvature(&mean, -weight);
                    sums.mean = mean;
                }
            })
        };
        Ok(Self { coefficients: minimise(columns, &Bounds::new(penalty, columns, 0), evaluate, stop)? })
    }

    /// The score of a row, to be compared within a group.
    pub fn score(&self, row: &[f64]) -> f64 {
        logit(row, &self.coefficients, 0.0)
    }
}

/// `1 / (1 + e^-x)`, which overflows for no `x`.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// `ln(1 + e^x)`, which overflows for no `x`.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn logit(row: &[f64], coefficients: &[f64], intercept: f64) -> f64 {
    row.iter().zip(coefficients).fold(intercept, |sum, (x, coefficient)| sum + x * coefficient)
}

/// The loss and its derivatives.
struct Sums {
    loss: f64,
    gradient: Vec<f64>,
    /// The upper triangle of the second derivatives, row by row.
    curvature: Vec<f64>,
    /// Memory for the mean row of a group.
    mean: Vec<f64>,
}

impl Sums {
    fn new(size: usize) -> Self {
        Self { loss: 0.0, gradient: vec![0.0; size], curvature: vec![0.0; size * size], mean: vec![0.0; size] }
    }

    /// Adds `times * x`; a coefficient without a column, the intercept, has a column of ones.
    fn add_gradient(&mut self, x: &[f64], times: f64) {
        self.gradient.iter_mut().zip(x.iter().chain([&1.0])).for_each(|(sum, x)| *sum += times * x);
    }

    /// Adds `times * xᵀx`.
    fn add_curvature(&mut self, x: &[f64], times: f64) {
        let size = self.gradient.len();
        for (row, left) in x.iter().chain([&1.0]).take(size).enumerate() {
            let sums = &mut self.curvature[row * size + row..(row + 1) * size];
            sums.iter_mut()
                .zip(x[row.min(x.len())..].iter().chain([&1.0]))
                .for_each(|(sum, right)| *sum += times * left * right);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.loss += other.loss;
        self.gradient.iter_mut().zip(&other.gradient).for_each(|(sum, x)| *sum += x);
        self.curvature.iter_mut().zip(&other.curvature).for_each(|(sum, x)| *sum += x);
    }
}

/// Sums over rows or groups: by blocks on all cores, the blocks in order.
fn add_up(count: usize, task: usize, size: usize, add: impl Fn(usize, &mut Sums) + Sync) -> Sums {
    let blocks = (0..count.div_ceil(task)).into_par_iter().map(|block| {
        let mut sums = Sums::new(size);
        (block * task..count.min((block + 1) * task)).for_each(|one| add(one, &mut sums));
        sums
    });
    let blocks = blocks.collect::<Vec<_>>();
    let mut sums = Sums::new(size);
    blocks.iter().for_each(|block| sums.merge(block));
    sums
}

/// The penalty of each coefficient.
struct Bounds {
    lambda: Vec<f64>,
    towards: Vec<f64>,
    nonnegative: Vec<bool>,
}

impl Bounds {
    /// Of so many columns, and of free coefficients behind them.
    fn new(penalty: &Penalty, columns: usize, free: usize) -> Self {
        let mut lambda = penalty.lambda.iter().take(columns).map(|lambda| lambda.max(LEAST)).collect::<Vec<_>>();
        lambda.resize(columns + free, LEAST);
        let (mut towards, mut nonnegative) = (penalty.towards.clone(), penalty.nonnegative.clone());
        towards.truncate(columns);
        nonnegative.truncate(columns);
        towards.resize(columns + free, 0.0);
        nonnegative.resize(columns + free, false);
        Self { lambda, towards, nonnegative }
    }

    fn add_to(&self, sums: &mut Sums, coefficients: &[f64]) {
        let size = coefficients.len();
        for (place, coefficient) in coefficients.iter().enumerate() {
            let off = coefficient - self.towards[place];
            sums.loss += self.lambda[place] / 2.0 * off * off;
            sums.gradient[place] += self.lambda[place] * off;
            sums.curvature[place * (size + 1)] += self.lambda[place];
        }
    }

    fn cut(&self, place: usize, coefficient: f64) -> f64 {
        if self.nonnegative[place] { coefficient.max(0.0) } else { coefficient }
    }
}

/// The coefficients with the least loss; `evaluate` gives the rows' loss and its first and, if told so, second derivatives.
fn minimise(
    size: usize,
    bounds: &Bounds,
    evaluate: impl Fn(&[f64], bool) -> Sums,
    stop: Stop<'_>,
) -> Result<Vec<f64>, Cancelled> {
    let mut at = bounds.towards.iter().enumerate().map(|(place, x)| bounds.cut(place, *x)).collect::<Vec<_>>();
    for _ in 0..MAX_STEPS {
        check(stop)?;
        let mut sums = evaluate(&at, true);
        bounds.add_to(&mut sums, &at);
        // A coefficient at its bound that the loss pushes against it stays there.
        let held = |place: usize| bounds.nonnegative[place] && at[place] <= 0.0 && sums.gradient[place] >= 0.0;
        let free = (0..size).filter(|place| !held(*place)).collect::<Vec<_>>();
        let mut left = free
            .iter()
            .flat_map(|row| free.iter().map(|c| sums.curvature[row.min(c) * size + row.max(c)]))
            .collect::<Vec<_>>();
        let mut step = free.iter().map(|place| -sums.gradient[*place]).collect::<Vec<_>>();
        if !Solver::new(free.len()).solve_in_place(&mut left, &mut step) {
            break;
        }
        let gain = free.iter().zip(&step).map(|(place, step)| -sums.gradient[*place] * step).sum::<f64>();
        if gain.is_nan() || gain <= TOLERANCE * sums.loss.abs() {
            break;
        }
        let Some(next) = shortened(&at, &free, &step, &sums, bounds, &evaluate) else { break };
        at = next;
    }
    Ok(at)
}

/// `at` after the longest of the steps 1, 1/2, 1/4 ... that lowers the loss enough (Armijo's rule); `None` if none does.
fn shortened(
    at: &[f64],
    free: &[usize],
    step: &[f64],
    sums: &Sums,
    bounds: &Bounds,
    evaluate: &impl Fn(&[f64], bool) -> Sums,
) -> Option<Vec<f64>> {
    let mut length = 1.0;
    for _ in 0..40 {
        let mut next = at.to_vec();
        for (place, step) in free.iter().zip(step) {
            next[*place] = bounds.cut(*place, at[*place] + length * step);
        }
        let expected = free.iter().map(|place| sums.gradient[*place] * (next[*place] - at[*place])).sum::<f64>();
        let mut there = evaluate(&next, false);
        bounds.add_to(&mut there, &next);
        if there.loss <= sums.loss + 1e-4 * expected {
            return (next != at).then_some(next);
        }
        length /= 2.0;
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::linalg::reference::read;

    #[derive(Deserialize)]
    struct Case {
        features: Vec<f64>,
        labels: Vec<f64>,
        weights: Vec<f64>,
        lambda_: f64,
        intercept: f64,
        coefficients: Vec<f64>,
        bounded_lambda: f64,
        towards: Vec<f64>,
        bounded: Vec<f64>,
    }

    #[derive(Deserialize)]
    struct Groups {
        features: Vec<f64>,
        ends: Vec<usize>,
        chosen: Vec<bool>,
        weights: Vec<f64>,
        lambda_: f64,
        free: Vec<f64>,
        bounded: Vec<f64>,
    }

    fn penalty(lambda: f64) -> Penalty {
        Penalty { lambda: vec![lambda; 3], ..Penalty::default() }
    }

    fn assert_near(found: &[f64], wanted: &[f64]) {
        assert_eq!(found.len(), wanted.len());
        assert!(found.iter().zip(wanted).all(|(x, y)| (x - y).abs() < 1e-5), "{found:?}, not {wanted:?}");
    }

    #[test]
    fn it_is_the_regression_of_scikit_learn() {
        let case: Case = read("logistic");
        let fitted =
            Logistic::fit(&case.features, 3, &case.labels, Some(&case.weights), &penalty(case.lambda_), &|| false)
                .unwrap();
        assert_near(&fitted.coefficients, &case.coefficients);
        assert_near(&[fitted.intercept], &[case.intercept]);
        let row = &case.features[..3];
        assert_eq!(fitted.probability(row), sigmoid(fitted.logit(row)));
    }

    #[test]
    fn bounds_and_prior_means_are_those_of_scipy() {
        let case: Case = read("logistic");
        // The third coefficient may be negative and has no prior mean.
        let penalty = Penalty {
            lambda: vec![case.bounded_lambda; 3],
            towards: case.towards[..2].to_vec(),
            nonnegative: vec![true, true],
        };
        let fitted = Logistic::fit(&case.features, 3, &case.labels, Some(&case.weights), &penalty, &|| false).unwrap();
        assert_near(&fitted.coefficients, &case.bounded[..3]);
        assert_near(&[fitted.intercept], &case.bounded[3..]);
        assert_eq!(fitted.coefficients[1], 0.0);
    }

    #[test]
    fn choices_within_groups_are_those_of_scipy() {
        let case: Groups = read("conditional");
        let starts = [0].iter().chain(&case.ends);
        let groups = starts.zip(&case.ends).map(|(start, end)| *start..*end).collect::<Vec<_>>();
        let fit = |penalty: &Penalty| {
            let weights = Some(&case.weights[..]);
            ConditionalLogit::fit(&case.features, 3, &groups, &case.chosen, weights, penalty, &|| false)
                .unwrap()
                .coefficients
        };
        assert_near(&fit(&penalty(case.lambda_)), &case.free);
        assert_near(&fit(&Penalty { nonnegative: vec![true; 3], ..penalty(case.lambda_) }), &case.bounded);
    }

    #[test]
    fn data_that_separates_has_a_finite_solution() {
        let (features, labels) = ([-2.0, -1.0, 1.0, 2.0], [0.0, 0.0, 1.0, 1.0]);
        let fitted = Logistic::fit(&features, 1, &labels, None, &penalty(0.0), &|| false).unwrap();
        assert!(fitted.coefficients[0].is_finite() && fitted.probability(&[1.0]) > 0.999, "{fitted:?}");
        for label in [0.0, 1.0] {
            let fitted = Logistic::fit(&features, 1, &[label; 4], None, &penalty(1.0), &|| false).unwrap();
            assert!(fitted.intercept.is_finite(), "{fitted:?}");
            assert!((fitted.probability(&[0.0]) - label).abs() < 1e-4, "{fitted:?}");
        }
        let chosen = [false, true, false, true];
        let fitted =
            ConditionalLogit::fit(&features, 1, &[0..2, 2..4], &chosen, None, &penalty(0.0), &|| false).unwrap();
        assert!(fitted.coefficients[0].is_finite() && fitted.coefficients[0] > 5.0, "{fitted:?}");
    }

    #[test]
    fn large_numbers_do_not_overflow() {
        let features = [1e6, -1e6, 2e6, -1e6];
        let fitted = Logistic::fit(&features, 1, &[1.0, 0.0, 1.0, 1.0], None, &penalty(1.0), &|| false).unwrap();
        assert!(fitted.logit(&[1e6]).is_finite() && fitted.coefficients[0] > 0.0, "{fitted:?}");
    }

    #[test]
    fn without_data_coefficients_are_where_they_are_drawn_to() {
        let penalty = Penalty { lambda: vec![2.0; 2], towards: vec![0.5, -1.0], nonnegative: vec![false, true] };
        let fitted = Logistic::fit(&[], 2, &[], None, &penalty, &|| false).unwrap();
        assert_eq!(fitted, Logistic { intercept: 0.0, coefficients: vec![0.5, 0.0] });
        assert_eq!(Logistic::fit(&[], 2, &[], None, &penalty, &|| true), Err(Cancelled));
        let fitted = ConditionalLogit::fit(&[], 2, &[], &[], None, &penalty, &|| false).unwrap();
        assert_eq!(fitted.coefficients, [0.5, 0.0]);
        assert_eq!(ConditionalLogit::fit(&[], 0, &[], &[], None, &penalty, &|| false).unwrap().coefficients, [0.0; 0]);
    }

    #[test]
    fn threads_make_no_difference() {
        let features =
            (0..2 * 3 * TASK).map(|place| f64::from((place * 7919 % 1009) as u32) / 500.0 - 1.0).collect::<Vec<_>>();
        let labels = (0..3 * TASK).map(|row| f64::from((row * 31 % 7 < 2) as u32)).collect::<Vec<_>>();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Logistic::fit(&features, 2, &labels, None, &penalty(1.0), &|| false)).unwrap()
        };
        assert_eq!(run(1), run(3));
    }

    proptest! {
        /// The conditions of a bounded minimum: no slope along a free coefficient, none downwards into the bounds' inside.
        #[test]
        fn the_minimum_is_one(
            rows in prop::collection::vec((prop::array::uniform2(-3.0f64..3.0), any::<bool>(), 0.1f64..3.0), 1..30),
            lambda in prop::array::uniform2(0.01f64..10.0), towards in prop::array::uniform2(-1.0f64..1.0), nonnegative: [bool; 2],
        ) {
            let features = rows.iter().flat_map(|row| row.0).collect::<Vec<_>>();
            let labels = rows.iter().map(|row| f64::from(row.1)).collect::<Vec<_>>();
            let weights = rows.iter().map(|row| row.2).collect::<Vec<_>>();
            let penalty = Penalty { lambda: lambda.to_vec(), towards: towards.to_vec(), nonnegative: nonnegative.to_vec() };
            let fitted = Logistic::fit(&features, 2, &labels, Some(&weights), &penalty, &|| false).unwrap();
            for column in 0..2 {
                let coefficient = fitted.coefficients[column];
                let slope = rows.iter().map(|(x, label, weight)| weight * (fitted.probability(x) - f64::from(*label)) * x[column]);
                let slope = slope.sum::<f64>() + lambda[column] * (coefficient - towards[column]);
                let held = nonnegative[column] && coefficient == 0.0 && slope > 0.0;
                prop_assert!(held || slope.abs() < 1e-3, "{column}: {slope} at {coefficient}");
                prop_assert!(!nonnegative[column] || coefficient >= 0.0);
            }
        }
    }
}
