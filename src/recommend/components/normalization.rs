//! Score normalization: takes users and the items that everybody is measured by, gives how high each user's scores usually are.

use rayon::prelude::*;

use super::list::Listed;
use super::scores::{Pairs, USERS};
use crate::cancellation::{Cancelled, Stop, check};
use crate::linalg::dense::Matrix;

/// How high each user's scores usually are: by component, over the same items for everybody.
///
/// Scores of different components, and of users with long and short histories, become comparable by it; and it does not
/// depend on which items happen to be scored together.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreNormalization {
    /// Users x components: the mean.
    pub mean: Matrix,
    /// Users x components: one over the standard deviation; 0 where all scores are the same.
    pub scale: Matrix,
}

impl ScoreNormalization {
    /// Of the users of `pairs` over all its items.
    ///
    /// # Errors
    /// It was stopped.
    pub fn of(pairs: &Pairs<'_>, stop: Stop<'_>) -> Result<Self, Cancelled> {
        let (users, items) = (pairs.representations.len(), pairs.item_batch.len());
        let components = pairs.components.list().all();
        let width = components.len();
        let blocks = (0..users.div_ceil(USERS)).into_par_iter().map(|block| {
            let rows = block * USERS..users.min((block + 1) * USERS);
            let mut scores = vec![0.0; rows.len() * items];
            let (mut mean, mut scale) = (Matrix::zeros(rows.len(), width), Matrix::zeros(rows.len(), width));
            for (place, component) in components.iter().enumerate() {
                check(stop)?;
                pairs.scores_into(*component, rows.clone(), 0..items, &mut scores);
                for (row, scores) in scores.chunks_exact(items.max(1)).enumerate() {
                    let (average, deviation) = moments(scores);
                    mean.row_mut(row)[place] = average as f32;
                    // What rounding leaves of equal scores is no difference.
                    let flat = deviation <= 1e-6 * average.abs().max(1e-6);
                    scale.row_mut(row)[place] = if flat { 0.0 } else { (1.0 / deviation) as f32 };
                }
            }
            Ok((mean, scale))
        });
        let blocks = blocks.collect::<Result<Vec<_>, Cancelled>>()?;
        let join = |pick: fn(&(Matrix, Matrix)) -> &Matrix| {
            Matrix::new(users, width, blocks.iter().flat_map(|block| pick(block).values().iter().copied()).collect())
        };
        Ok(Self { mean: join(|block| &block.0), scale: join(|block| &block.1) })
    }

    /// These users and then those.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self { mean: self.mean.below(&other.mean), scale: self.scale.below(&other.scale) }
    }

    /// A user's mean score by a component, and one over how far their scores are from it.
    pub fn row(&self, user: usize, component: Listed) -> (f32, f32) {
        (self.mean.row(user)[component.place()], self.scale.row(user)[component.place()])
    }

    /// These users, in this order.
    #[must_use]
    pub fn gather(&self, users: &[u32]) -> Self {
        Self { mean: self.mean.gather(users), scale: self.scale.gather(users) }
    }
}

/// Mean and standard deviation of the values that are known.
fn moments(values: &[f32]) -> (f64, f64) {
    let known = || values.iter().filter(|x| !x.is_nan()).map(|x| f64::from(*x));
    let count = known().count().max(1) as f64;
    let mean = known().sum::<f64>() / count;
    let variance = known().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}
