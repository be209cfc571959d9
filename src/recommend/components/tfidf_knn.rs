//! Item-based kNN by words: the user's items among those whose words are most like the item's.

use std::ops::Range;

use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, rows, sparse_dot};
use super::parts::knn::Weights;
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::linalg::sparse::Csr;
use crate::recommend::error::Result;
use crate::recommend::storage::StoredSection;

/// Scores by the nearest texts.
#[derive(Debug)]
pub(crate) struct TfidfKnn;

impl Component for TfidfKnn {
    const NAME: &'static str = "text_knn";
    const ABOUT: &'static str = "the user's items among those with the most similar words";

    type Users = ();
    /// Similarities by words: items x items with a history.
    type Items = Csr;

    fn fit(_: &Fitting<'_>, _: Stop<'_>) -> Result<Option<Self>, Error> {
        Ok(Some(Self))
    }

    fn users(&self, _: &UserInput<'_>) {}

    fn items(&self, input: &ItemInput<'_>, stop: Stop<'_>) -> Result<Csr, Cancelled> {
        input.items.nearest(input.parts, Weights { terms: 1.0, embeddings: 0.0 }, stop)
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        similarity_to_history(&scoring.users.history, scoring.own_items, users, items, out);
    }

    fn load(_: &StoredSection<'_>) -> Result<Self> {
        Ok(Self)
    }
}

/// For each user and item the sum of the item's similarities to what the user has.
pub(super) fn similarity_to_history(
    history: &Csr,
    similarities: &Csr,
    users: Range<usize>,
    items: &Selection<'_>,
    out: &mut [f32],
) {
    let mut has = vec![0.0; history.columns()];
    for (user, out) in rows(users, items, out) {
        let (own, values) = history.row(user);
        own.iter().zip(values).for_each(|(item, value)| has[*item as usize] = *value);
        items.fill(out, |item| sparse_dot(similarities.row(item), &has));
        own.iter().for_each(|item| has[*item as usize] = 0.0);
    }
}
