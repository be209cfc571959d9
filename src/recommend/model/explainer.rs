//! Explains the logits of candidates: takes them with their recommender, gives an [`Explanation`] for a user and some items.

use super::explanation::{BOOST, Explanation};
use super::recommender::{CandidateLogits, Recommender};
use crate::linalg::dense::Matrix;
use crate::recommend::components::parts::als::FoldIn;

/// Explains logits.
#[derive(Debug)]
pub(crate) struct Explainer<'a> {
    logits: CandidateLogits<'a>,
    fold_in: FoldIn<&'a Matrix>,
}

impl<'a> Explainer<'a> {
    /// Of the logits of a recommender.
    pub(crate) fn new(recommender: &'a Recommender, logits: CandidateLogits<'a>) -> Self {
        let parts = &recommender.components.parts;
        Self { logits, fold_in: FoldIn::new(&parts.item_factors, &parts.settings.als) }
    }

    /// Why candidates with a history, by their numbers among these, have a user's logits.
    pub(crate) fn known_items(&self, user: usize, items: &[u32]) -> Explanation {
        self.logits.known.explain(user, items, &self.fold_in)
    }

    /// The same of candidates without a history, by their numbers among these.
    pub(crate) fn new_items(&self, user: usize, items: &[u32]) -> Explanation {
        let explanation = self.logits.new.explain(user, items, &self.fold_in);
        match self.logits.shift {
            0.0 => explanation,
            shift => explanation.with(BOOST, shift),
        }
    }
}
