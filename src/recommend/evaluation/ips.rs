//! What a ranking would have earned, from what another one was shown to earn: inverse propensity scoring.
//!
//! Takes logged rows (who was shown what, the reward, and the probability with which it was shown) and what the ranking in
//! question would show; gives its value with an interval over users. A reward at an item that was rarely shown counts for
//! those that were not. Weights are clipped: a little bias for much less variance. Bottou and others, 2013,
//! <https://jmlr.org/papers/v14/bottou13a.html>; the self-normalised estimate: Swaminathan and Joachims, 2015,
//! <https://papers.nips.cc/paper/2015/hash/39027dfad5138c9ca0c474d71db915c3-Abstract.html>.
//!
//! Propensities are those that `recommend(..., explore => true)` reports: the probability that an item is among the user's
//! first k. The estimates take it that an item's reward does not hang on what is shown beside it.

use super::bootstrap::{Estimate, Resampling};
use crate::cancellation::{Cancelled, Stop};

/// Something that was shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    /// To whom. The rows of a user are together.
    pub user: u32,
    /// What came of it: 1 for a purchase, or what it was worth; 0 for nothing.
    pub reward: f64,
    /// How probable it was that this item was shown to this user, above 0 and up to 1.
    pub propensity: f64,
    /// How probable it is that the ranking in question shows it: 1 or 0, or a propensity where that one explores.
    pub target: f64,
}

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Error {
    /// A propensity is not above 0 and up to 1.
    #[error("a propensity is {0}; it is the probability with which the row was shown, above 0 and up to 1")]
    Propensity(f64),
    /// It was stopped.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// What a ranking would have earned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Value {
    /// The reward of all that is shown to a user: sum of weight x reward, over the users.
    pub ips: Estimate,
    /// The reward of an item that is shown: sum of weight x reward over the sum of weights. `None` if the ranking shows
    /// nothing that was shown.
    pub snips: Option<Estimate>,
    /// The rows that such weights are worth: (sum of weights)² / sum of weights². Below some hundred, believe nothing.
    pub effective_rows: f64,
    /// The share of the rows that the ranking shows whose weight was clipped.
    pub clipped: f64,
}

/// The value of a ranking from rows in order of users. Weights are `target / propensity`, at most `clip` (20 unless told).
/// `None` without rows.
///
/// # Errors
/// A propensity is not above 0 and up to 1.
pub fn value(rows: &[Shown], clip: f64, resampling: &Resampling, stop: Stop<'_>) -> Result<Option<Value>, Error> {
    if let Some(row) = rows.iter().find(|row| !(row.propensity > 0.0 && row.propensity <= 1.0)) {
        return Err(Error::Propensity(row.propensity));
    }
    let (mut rewards, mut weights) = (Vec::new(), Vec::new());
    let (mut sum, mut squares, mut clipped, mut shown) = (0.0, 0.0, 0u64, 0u64);
    for user in rows.chunk_by(|a, b| a.user == b.user) {
        let (mut reward, mut weight) = (0.0, 0.0);
        for row in user {
            let full = row.target / row.propensity;
            let own = full.min(clip);
            shown += u64::from(own > 0.0);
            clipped += u64::from(full > clip);
            reward += own * row.reward;
            weight += own;
            squares += own * own;
        }
        sum += weight;
        rewards.push((reward, 1.0));
        weights.push((reward, weight));
    }
    let Some(ips) = resampling.ratio(&rewards, stop)? else { return Ok(None) };
    let snips = resampling.ratio(&weights, stop)?;
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let (effective_rows, clipped) = (share(sum * sum, squares), share(clipped as f64, shown as f64));
    Ok(Some(Value { ips, snips, effective_rows, clipped }))
}

#[cfg(test)]
#[path = "tests/ips.rs"]
mod tests;
