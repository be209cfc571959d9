//! The buyers to be expected of items: takes logits, gives the sum of all users' probabilities for each item.

use std::ops::Range;

use rayon::prelude::*;

use crate::cancellation::{Cancelled, Stop, check};
use crate::linalg::logistic::sigmoid;
use crate::recommend::ranking::BlockScores;

/// Blocks of users whose sums are in memory at a time.
const TOGETHER: usize = 64;

/// The sum of the users' probabilities for each item.
///
/// # Errors
/// It was stopped.
pub(crate) fn expected_buyers(logits: &impl BlockScores, stop: Stop<'_>) -> Result<Vec<f64>, Cancelled> {
    let (users, items) = (logits.users(), logits.items());
    let (step, _) = logits.block();
    let blocks: Vec<Range<usize>> = (0..users).step_by(step).map(|first| first..users.min(first + step)).collect();
    let sum = |block: &Range<usize>| {
        check(stop)?;
        let mut scores = vec![0.0; block.len() * items];
        logits.scores_into(block.clone(), 0..items, &mut scores);
        let mut sums = vec![0.0; items];
        for row in scores.chunks_exact(items.max(1)) {
            sums.iter_mut().zip(row).for_each(|(sum, logit)| *sum += sigmoid(f64::from(*logit)));
        }
        Ok(sums)
    };
    // Added up in the order of the users, whichever thread was first.
    let mut all = vec![0.0; items];
    for blocks in blocks.chunks(TOGETHER) {
        for sums in blocks.par_iter().map(sum).collect::<Result<Vec<_>, Cancelled>>()? {
            all.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
        }
    }
    Ok(all)
}
