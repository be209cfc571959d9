//! Slates, what each user is shown, and what can be asked of them: takes each user's pool (its best items by
//! [`super::top_pools`]), calibrated probabilities and which items are new; `policy` gives slates of `k` from them.

use std::ops::Range;

use super::explore::Explore;
use crate::linalg::dense::Matrix;

/// What is known of the rows of the pools and their items, beside the scores.
#[derive(Debug, Clone, Copy)]
pub struct PoolInfo<'a> {
    /// The predicted probability of each row, in the order of [`super::TopK::indices`]; missing ones count as 0.
    pub probabilities: &'a [f32],
    /// For each item, whether it is new; missing ones are not.
    pub is_new: &'a [bool],
    /// Items x dimensions, of any length each; diversity is measured by their cosines. Without it, none is.
    pub vectors: Option<&'a Matrix>,
}

/// What is asked of the slates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelectOptions {
    /// Items of a slate.
    pub k: usize,
    /// How much diversity counts against relevance, in `[0, 1)`; 0: not at all.
    pub diversity: f64,
    /// Slates that an item may be in.
    pub max_exposure: Option<usize>,
    /// The share of a slate that new items have at least, in `[0, 1]`: `ceil(share * k)` of them, if the pool holds as many.
    /// The caller sees to that with a second pool of new items only ([`super::Pool::only`], [`super::TopK::union`]).
    pub min_new_share: f64,
    /// Draws instead of predictions, if set.
    pub explore: Option<Explore>,
    /// Decides ties between users and all draws.
    pub seed: u64,
}

impl Default for SelectOptions {
    fn default() -> Self {
        Self { k: 20, diversity: 0.0, max_exposure: None, min_new_share: 0.0, explore: None, seed: 42 }
    }
}

/// What each user is shown, one slate behind the other, in the order in which it is shown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slates {
    pub(super) starts: Vec<usize>,
    pub(super) items: Vec<u32>,
    pub(super) scores: Vec<f32>,
    pub(super) probabilities: Vec<f32>,
    pub(super) propensities: Vec<f32>,
}

impl Slates {
    /// Number of users.
    pub fn users(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Where a user's slate is in the columns; its length is below `k` where the pool had no more.
    pub fn range(&self, user: usize) -> Range<usize> {
        self.starts[user]..self.starts[user + 1]
    }

    /// The items.
    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// The scores that the pools had. They need not descend: diversity and draws change the order.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// The predicted probabilities.
    pub fn probabilities(&self) -> &[f32] {
        &self.probabilities
    }

    /// The probability that the policy puts the item into the user's slate, in `(0, 1]`: 1 without exploration, else the share
    /// of all repetitions, the one that is shown included, that did.
    pub fn propensities(&self) -> &[f32] {
        &self.propensities
    }
}
