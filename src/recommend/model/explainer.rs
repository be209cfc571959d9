//! Explains the logits of candidates: takes them with their recommender, gives an [`Explanation`] for a user and some items.

use super::candidate_logits::CandidateLogits;
use super::explanation::{ANSWERS, BOOST, Explanation};
use super::logits::Logits;
use super::recommender::Recommender;
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
        self.explain(&self.logits.known, user, items)
    }

    /// The same of candidates without a history, by their numbers among these.
    pub(crate) fn new_items(&self, user: usize, items: &[u32]) -> Explanation {
        let explanation = self.explain(&self.logits.new, user, items);
        match self.logits.shift {
            0.0 => explanation,
            shift => explanation.with(BOOST, &vec![shift; items.len()]),
        }
    }

    fn explain(&self, logits: &Logits<'_>, user: usize, items: &[u32]) -> Explanation {
        let explanation = logits.explain(user, items, &self.fold_in);
        let mut added = vec![0.0; items.len()];
        match self.logits.answers_of(user, logits, items, &mut added) {
            true => explanation.with(ANSWERS, &added),
            false => explanation,
        }
    }
}
