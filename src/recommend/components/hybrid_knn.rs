//! Item-based kNN by words and embeddings at once: the user's items among those that are most like the item.

use std::ops::Range;

use super::attribution::Attribution;
use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput};
use super::item_knn::{similarity, similarity_to_history};
use super::reads::Reads;
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::recommend::error::Result;
use crate::recommend::storage::StoredSection;

/// Scores by the nearest items.
#[derive(Debug)]
pub(crate) struct HybridKnn;

impl Component for HybridKnn {
    const NAME: &'static str = "hybrid_knn";
    const ABOUT: &'static str = "the user's items among those with the most similar words and embeddings";
    const READS: Reads = Reads::Text;

    type Users = ();
    type Items = ();

    fn fit(_: &Fitting<'_>, _: Stop<'_>) -> Result<Option<Self>, Error> {
        Ok(Some(Self))
    }

    fn users(&self, _: &UserInput<'_>) {}

    fn items(&self, _: &ItemInput<'_>, _: Stop<'_>) -> Result<(), Cancelled> {
        Ok(())
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        similarity_to_history(&scoring.users.history, &scoring.items.neighbours, users, items, out);
    }

    fn attribute(&self, scoring: &Scoring<'_, Self>, _: usize, weights: &[f32], out: &mut Attribution<'_>) {
        out.add(weights, |item, own, value| value * similarity(&scoring.items.neighbours, item, own));
    }

    fn load(_: &StoredSection<'_>) -> Result<Self> {
        Ok(Self)
    }
}
