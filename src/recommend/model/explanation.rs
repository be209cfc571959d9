//! Why an item is recommended: a user's logits for items as sums of shares, and how much the items of the user's history make
//! of them.
//!
//! The blend is additive: the logit is what the user's activity says, plus a share for each component, plus the logarithm of
//! the boost of new items. Nothing is left over.

use crate::linalg::dense::Matrix;

/// The share of an item that fits the user as their items usually do: the user's activity says it alone.
pub(crate) const BASELINE: &str = "baseline";
/// The share of the boost of new items.
pub(crate) const BOOST: &str = "new_boost";

/// The share of what the user answered.
pub(crate) const ANSWERS: &str = "answers";

/// A user's logits for some items, explained.
#[derive(Debug)]
pub(crate) struct Explanation {
    /// What the columns of `shares` are of.
    pub(crate) features: Vec<&'static str>,
    /// Items x features: the sum of a row is the logit.
    pub(crate) shares: Matrix,
    /// Items x items of the user's history, in its order: how much each makes of the sum of the components' scores, as the
    /// blend weighs them. The user's usual score is not taken off, as it is of the shares.
    pub(crate) purchases: Matrix,
}

impl Explanation {
    /// The logit of an item, by its place.
    pub(crate) fn logit(&self, place: usize) -> f64 {
        self.shares.row(place).iter().map(|share| f64::from(*share)).sum()
    }

    /// With one more feature: a share for each item.
    pub(super) fn with(mut self, feature: &'static str, shares: &[f32]) -> Self {
        let columns = self.features.len();
        let rows = self.shares.values().chunks_exact(columns).zip(shares);
        let rows = rows.flat_map(|(row, share)| row.iter().copied().chain([*share]));
        self.shares = Matrix::new(self.shares.rows(), columns + 1, rows.collect());
        self.features.push(feature);
        self
    }
}
