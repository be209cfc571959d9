//! Ridge regression: numbers predicted from the words of a text, or from its embedding.
//!
//! Takes features (texts x terms or texts x dimensions) and targets (texts x anything: item factors, the logarithm of
//! buyers), gives weights that predict the targets of other texts.
//!
//! Minimises `sum over rows of s |t - b - x W|² + lambda |W|²` with a free intercept `b`, as scikit-learn's `Ridge` does
//! (<https://scikit-learn.org/stable/modules/linear_model.html#ridge-regression>): with the weighted means taken off both
//! sides, `(XᵀSX + lambda I) W = XᵀST`.

use rayon::prelude::*;

use super::Error;
use super::dense::{Matrix, gram};
use super::sparse::Csr;
use crate::cancellation::{Cancelled, Stop, check};

/// The residual of the normal equations at which the solution is taken, as a share of the right side.
const TOLERANCE: f64 = 1e-6;
/// As a bound, never reached by well-posed problems: each step takes the error down by a factor that depends on `lambda`.
const MAX_STEPS: usize = 500;
/// Rows that one task adds up.
const TASK: usize = 1024;

/// A fitted regression.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    /// Features x targets.
    pub weights: Matrix,
    /// One per target.
    pub intercept: Vec<f32>,
}

impl Ridge {
    /// Fits the weights over sparse features by conjugate gradients, all targets at once; `sample_weights` is one per row,
    /// 1 without.
    ///
    /// Hestenes and Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems", 1952,
    /// <https://doi.org/10.6028/jres.049.044>.
    pub fn fit(
        features: &Csr,
        targets: &Matrix,
        lambda: f32,
        sample_weights: Option<&[f32]>,
        stop: Stop<'_>,
    ) -> Result<Self, Cancelled> {
        let system = System::new(features, lambda, sample_weights);
        let mean = mean_rows(targets, &system.rows_weights);
        let weights = system.solve(targets, &mean, stop)?;
        let shift = system.mean_times(&weights);
        let intercept = mean.iter().zip(shift).map(|(mean, shift)| (mean - shift) as f32).collect();
        Ok(Self { weights, intercept })
    }

    /// Fits the weights over dense features by Cholesky; `sample_weights` is one per row, 1 without.
    ///
    /// # Errors
    /// It was stopped; or `lambda` is 0 and the features do not determine the weights.
    pub fn fit_dense(
        features: &Matrix,
        targets: &Matrix,
        lambda: f32,
        sample_weights: Option<&[f32]>,
        stop: Stop<'_>,
    ) -> Result<Self, Error> {
        let (inputs, outputs) = (features.columns(), targets.columns());
        let columns = inputs + outputs;
        let weights = all_weights(features.rows(), sample_weights);
        let (feature_mean, target_mean) = (mean_rows(features, &weights), mean_rows(targets, &weights));
        // Features and targets side by side: the one product has both sides of the equations.
        let both = gram(features.rows(), columns, |rows, block| {
            for row in rows {
                let root = f64::from(weights[row]).sqrt();
                let values =
                    features.row(row).iter().zip(&feature_mean).chain(targets.row(row).iter().zip(&target_mean));
                block.extend(values.map(|(value, mean)| (root * (f64::from(*value) - mean)) as f32));
            }
        });
        check(stop)?;
        let (mut left, mut right) = (Matrix::zeros(inputs, inputs), Matrix::zeros(inputs, outputs));
        for row in 0..inputs {
            for column in row..inputs {
                let value = both[row * columns + column] + if row == column { f64::from(lambda) } else { 0.0 };
                left.row_mut(row)[column] = value as f32;
                left.row_mut(column)[row] = value as f32;
            }
            let values = &both[row * columns + inputs..(row + 1) * columns];
            right.row_mut(row).iter_mut().zip(values).for_each(|(out, value)| *out = *value as f32);
        }
        let weights = left.solve(&right).ok_or(Error::Singular("a ridge regression"))?;
        let mut intercept = target_mean;
        for (mean, row) in feature_mean.iter().zip(0..inputs) {
            intercept.iter_mut().zip(weights.row(row)).for_each(|(out, weight)| *out -= mean * f64::from(*weight));
        }
        Ok(Self { weights, intercept: intercept.into_iter().map(|x| x as f32).collect() })
    }

    /// What the weights say about other rows of sparse features: rows x targets.
    pub fn predict(&self, features: &Csr) -> Matrix {
        with_intercept(features.times(&self.weights), &self.intercept)
    }

    /// [`Self::predict`] of dense features.
    pub fn predict_dense(&self, features: &Matrix) -> Matrix {
        with_intercept(features.times(&self.weights), &self.intercept)
    }
}

/// The equations of sparse features, never written out as a matrix.
struct System<'a> {
    features: &'a Csr,
    /// Its transpose: products with it are then shared out by rows too.
    transposed: Csr,
    rows_weights: Vec<f32>,
    /// Weighted, per feature.
    mean: Vec<f64>,
    lambda: f32,
}

impl<'a> System<'a> {
    fn new(features: &'a Csr, lambda: f32, sample_weights: Option<&[f32]>) -> Self {
        let (transposed, rows_weights) = (features.transpose(), all_weights(features.rows(), sample_weights));
        let all = rows_weights.iter().map(|weight| f64::from(*weight)).sum::<f64>().max(f64::MIN_POSITIVE);
        let weighted = |(rows, values): (&[u32], &[f32])| {
            rows.iter()
                .zip(values)
                .map(|(row, value)| f64::from(rows_weights[*row as usize]) * f64::from(*value))
                .sum::<f64>()
        };
        let mean = transposed.iter().map(|row| weighted(row) / all).collect();
        Self { features, transposed, rows_weights, mean, lambda }
    }

    /// The weights of all targets.
    fn solve(&self, targets: &Matrix, mean: &[f64], stop: Stop<'_>) -> Result<Matrix, Cancelled> {
        let (rows, width) = (self.features.columns(), targets.columns());
        let mut right = targets.clone();
        for (row, weight) in right.values_mut().chunks_exact_mut(width.max(1)).zip(&self.rows_weights) {
            row.iter_mut().zip(mean).for_each(|(x, mean)| *x = (f64::from(*weight) * (f64::from(*x) - mean)) as f32);
        }
        // The features' mean has no part in the right side: the weighted targets sum to 0.
        let mut residual = self.transposed.times(&right);
        let (mut direction, mut solution) = (residual.clone(), Matrix::zeros(rows, width));
        let mut norms = dots(&residual, &residual);
        let goals = norms.iter().map(|norm| norm * TOLERANCE * TOLERANCE).collect::<Vec<_>>();
        for _ in 0..MAX_STEPS {
            if norms.iter().zip(&goals).all(|(norm, goal)| norm <= goal) {
                break;
            }
            check(stop)?;
            let image = self.times(&direction);
            let curvatures = dots(&direction, &image);
            // A target that is solved stays where it is.
            let steps = (0..width).map(|target| {
                let goes_on = norms[target] > goals[target] && curvatures[target] > 0.0;
                if goes_on { (norms[target] / curvatures[target]) as f32 } else { 0.0 }
            });
            let steps = steps.collect::<Vec<_>>();
            update(&mut solution, &direction, |target, x, d| x + steps[target] * d);
            update(&mut residual, &image, |target, r, i| r - steps[target] * i);
            let next = dots(&residual, &residual);
            let turns =
                next.iter().zip(&norms).map(|(next, norm)| if *norm > 0.0 { (next / norm) as f32 } else { 0.0 });
            let turns = turns.collect::<Vec<_>>();
            update(&mut direction, &residual, |target, d, r| r + turns[target] * d);
            norms = next;
        }
        Ok(solution)
    }

    /// `(XᵀSX + lambda I) * vectors` with the features' mean taken off `X`.
    fn times(&self, vectors: &Matrix) -> Matrix {
        let shift = self.mean_times(vectors).into_iter().map(|x| x as f32).collect::<Vec<_>>();
        let mut rows = self.features.times(vectors);
        let weighted = rows.values_mut().par_chunks_exact_mut(shift.len().max(1)).zip(&self.rows_weights);
        weighted.for_each(|(row, weight)| {
            row.iter_mut().zip(&shift).for_each(|(x, shift)| *x = weight * (*x - shift));
        });
        // Its rows, weighted, sum to 0, so that the mean need not be taken off the left side as well.
        let mut out = self.transposed.times(&rows);
        update(&mut out, vectors, |_, x, vector| x + self.lambda * vector);
        out
    }

    /// The features' mean as a row, times `vectors`.
    fn mean_times(&self, vectors: &Matrix) -> Vec<f64> {
        column_sums(vectors.rows(), vectors.columns(), |row, sums| {
            let mean = self.mean[row];
            sums.iter_mut().zip(vectors.row(row)).for_each(|(sum, x)| *sum += mean * f64::from(*x));
        })
    }
}

fn all_weights(rows: usize, sample_weights: Option<&[f32]>) -> Vec<f32> {
    let mut weights = sample_weights.map_or_else(|| vec![1.0; rows], <[f32]>::to_vec);
    weights.resize(rows, 1.0);
    weights
}

/// The weighted mean of the rows.
fn mean_rows(rows: &Matrix, weights: &[f32]) -> Vec<f64> {
    let all = weights.iter().map(|weight| f64::from(*weight)).sum::<f64>().max(f64::MIN_POSITIVE);
    let sums = column_sums(rows.rows(), rows.columns(), |row, sums| {
        let weight = f64::from(weights[row]);
        sums.iter_mut().zip(rows.row(row)).for_each(|(sum, x)| *sum += weight * f64::from(*x));
    });
    sums.into_iter().map(|sum| sum / all).collect()
}

/// The inner product of each column of `left` with that of `right`.
fn dots(left: &Matrix, right: &Matrix) -> Vec<f64> {
    column_sums(left.rows(), left.columns(), |row, sums| {
        let pairs = left.row(row).iter().zip(right.row(row));
        sums.iter_mut().zip(pairs).for_each(|(sum, (x, y))| *sum += f64::from(*x) * f64::from(*y));
    })
}

/// Sums over rows in `f64`: by blocks on all cores, the blocks in order.
fn column_sums(rows: usize, columns: usize, add: impl Fn(usize, &mut [f64]) + Sync) -> Vec<f64> {
    let blocks = (0..rows.div_ceil(TASK)).into_par_iter().map(|block| {
        let mut sums = vec![0.0; columns];
        (block * TASK..rows.min((block + 1) * TASK)).for_each(|row| add(row, &mut sums));
        sums
    });
    let mut sums = vec![0.0f64; columns];
    for block in blocks.collect::<Vec<_>>() {
        sums.iter_mut().zip(block).for_each(|(sum, x)| *sum += x);
    }
    sums
}

/// Changes each value of `out` by that of `other` at its place; `change` is told the column.
fn update(out: &mut Matrix, other: &Matrix, change: impl Fn(usize, f32, f32) -> f32 + Sync) {
    let width = out.columns().max(1);
    let rows = out.values_mut().par_chunks_exact_mut(width).zip(other.values().par_chunks_exact(width));
    rows.for_each(|(out, other)| {
        out.iter_mut().zip(other).enumerate().for_each(|(column, (out, other))| *out = change(column, *out, *other));
    });
}

fn with_intercept(mut rows: Matrix, intercept: &[f32]) -> Matrix {
    for row in rows.values_mut().chunks_exact_mut(intercept.len().max(1)) {
        row.iter_mut().zip(intercept).for_each(|(x, intercept)| *x += intercept);
    }
    rows
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::linalg::reference::{Pairs, assert_close, csr, read};

    #[derive(Deserialize)]
    struct Case {
        features: Pairs,
        targets: Vec<f32>,
        sample_weights: Vec<f32>,
        others: Vec<f32>,
        width: usize,
        fits: Vec<Fit>,
    }

    #[derive(Deserialize)]
    struct Fit {
        weight: f32,
        weighted: bool,
        weights: Vec<f32>,
        intercept: Vec<f32>,
        predictions: Vec<f32>,
    }

    fn dense(sparse: &Csr) -> Matrix {
        let mut out = Matrix::zeros(sparse.rows(), sparse.columns());
        for (row, (columns, values)) in sparse.iter().enumerate() {
            columns.iter().zip(values).for_each(|(column, value)| out.row_mut(row)[*column as usize] = *value);
        }
        out
    }

    fn sparse(dense: &Matrix) -> Csr {
        Csr::from_rows(dense.columns(), (0..dense.rows()).map(|row| (0u32..).zip(dense.row(row).iter().copied())))
    }

    #[test]
    fn weights_and_predictions_are_those_of_scikit_learn() {
        let case: Case = read("ridge");
        let features = csr(case.width, case.features);
        let targets = Matrix::new(features.rows(), 3, case.targets);
        let others = Matrix::new(4, case.width, case.others);
        assert_eq!(case.fits.len(), 2);
        for fit in case.fits {
            let weights = fit.weighted.then_some(&case.sample_weights[..]);
            let by_steps = Ridge::fit(&features, &targets, fit.weight, weights, &|| false).unwrap();
            assert_close(by_steps.weights.values(), &fit.weights, 1e-5);
            assert_close(&by_steps.intercept, &fit.intercept, 1e-5);
            assert_close(by_steps.predict(&sparse(&others)).values(), &fit.predictions, 1e-5);
            let direct = Ridge::fit_dense(&dense(&features), &targets, fit.weight, weights, &|| false).unwrap();
            assert_close(direct.weights.values(), &fit.weights, 1e-5);
            assert_close(&direct.intercept, &fit.intercept, 1e-5);
            assert_close(direct.predict_dense(&others).values(), &fit.predictions, 1e-5);
        }
    }

    #[test]
    fn both_agree_on_more_rows_than_a_block() {
        let value = |place: usize| ((place * 7919 % 101) as f32 - 50.0) / 32.0;
        let features = Matrix::new(2500, 5, (0..2500 * 5).map(value).collect());
        let targets = Matrix::new(2500, 2, (0..2500 * 2).map(|place| value(3 * place + 1)).collect());
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let direct = Ridge::fit_dense(&features, &targets, 3.0, None, &|| false).unwrap();
                (direct, Ridge::fit(&sparse(&features), &targets, 3.0, None, &|| false).unwrap())
            })
        };
        let (direct, by_steps) = run(1);
        assert_close(by_steps.weights.values(), direct.weights.values(), 1e-5);
        assert_close(&by_steps.intercept, &direct.intercept, 1e-5);
        assert_eq!(run(3), (direct, by_steps));
    }

    #[test]
    fn without_features_the_mean_is_predicted() {
        let (none, targets) = (Csr::from_rows(3, [[], []] as [[(u32, f32); 0]; 2]), Matrix::new(2, 1, vec![1.0, 4.0]));
        let fitted = Ridge::fit(&none, &targets, 1.0, Some(&[2.0, 1.0]), &|| false).unwrap();
        assert_eq!((fitted.intercept, fitted.weights), (vec![2.0], Matrix::zeros(3, 1)));
        let fitted = Ridge::fit_dense(&dense(&none), &targets, 1.0, None, &|| false).unwrap();
        assert_eq!((fitted.intercept, fitted.weights), (vec![2.5], Matrix::zeros(3, 1)));
        // Not even rows.
        let fitted =
            Ridge::fit(&Csr::from_rows(3, Vec::<Vec<_>>::new()), &Matrix::zeros(0, 1), 1.0, None, &|| false).unwrap();
        assert_eq!(fitted.intercept, [0.0]);
    }

    #[test]
    fn it_stops() {
        let (features, targets) = (Csr::from_rows(1, [[(0, 1.0)], [(0, 2.0)]]), Matrix::new(2, 1, vec![1.0, 4.0]));
        assert_eq!(Ridge::fit(&features, &targets, 1.0, None, &|| true), Err(Cancelled));
        assert_eq!(Ridge::fit_dense(&dense(&features), &targets, 1.0, None, &|| true), Err(Cancelled.into()));
        let singular = Ridge::fit_dense(&Matrix::zeros(2, 1), &targets, 0.0, None, &|| false);
        assert_eq!(singular, Err(Error::Singular("a ridge regression")), "which is not a cancelled one");
    }
}
