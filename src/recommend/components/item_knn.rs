//! Item-based kNN, by words or by pictures: the user's items among those that are most like the item.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::Range;

use super::attribution::Attribution;
use super::batches::ItemBatch;
use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, rows, sparse_dot};
use super::parts::Parts;
use super::parts::knn::Weights;
use super::reads::Reads;
use super::vectors::{OfPictures, Vectors};
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::linalg::sparse::Csr;
use crate::recommend::error::Result;
use crate::recommend::storage::StoredSection;

/// What items are compared by.
pub(crate) trait Likeness: Debug + Send + Sync + 'static {
    /// The name of the component, and how it scores.
    const KNN: [&'static str; 2];
    /// What of an item is compared.
    const READS: Reads;

    /// Whether items with a history can be compared by it.
    fn is_known(parts: &Parts) -> bool;

    /// Similarities: items x items with a history.
    fn nearest(items: &ItemBatch, parts: &Parts, stop: Stop<'_>) -> Result<Csr, Cancelled>;
}

/// The words of their texts.
#[derive(Debug)]
pub(crate) struct ByWords;

impl Likeness for ByWords {
    const KNN: [&'static str; 2] = ["text_knn", "the user's items among those with the most similar words"];
    const READS: Reads = Reads::Text;

    fn is_known(_: &Parts) -> bool {
        true
    }

    fn nearest(items: &ItemBatch, parts: &Parts, stop: Stop<'_>) -> Result<Csr, Cancelled> {
        items.nearest(parts, Weights { terms: 1.0, embeddings: 0.0 }, stop)
    }
}

/// Their pictures.
#[derive(Debug)]
pub(crate) struct ByPictures;

impl Likeness for ByPictures {
    const KNN: [&'static str; 2] = ["picture_knn", "the user's items among those with the most similar pictures"];
    const READS: Reads = Reads::Picture;

    fn is_known(parts: &Parts) -> bool {
        OfPictures::of_history(parts).is_some()
    }

    fn nearest(items: &ItemBatch, parts: &Parts, stop: Stop<'_>) -> Result<Csr, Cancelled> {
        items.nearest_pictures(parts, stop)
    }
}

/// Scores by the nearest items.
#[derive(Debug)]
pub(crate) struct ItemKnn<L>(PhantomData<L>);

impl<L: Likeness> Component for ItemKnn<L> {
    const NAME: &'static str = L::KNN[0];
    const ABOUT: &'static str = L::KNN[1];
    const READS: Reads = L::READS;

    type Users = ();
    /// Similarities: items x items with a history.
    type Items = Csr;

    fn fit(fitting: &Fitting<'_>, _: Stop<'_>) -> Result<Option<Self>, Error> {
        Ok(L::is_known(&fitting.fitted.parts).then_some(Self(PhantomData)))
    }

    fn users(&self, _: &UserInput<'_>) {}

    fn items(&self, input: &ItemInput<'_>, stop: Stop<'_>) -> Result<Csr, Cancelled> {
        L::nearest(input.items, input.parts, stop)
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        similarity_to_history(&scoring.users.history, scoring.own_items, users, items, out);
    }

    fn attribute(&self, scoring: &Scoring<'_, Self>, _: usize, weights: &[f32], out: &mut Attribution<'_>) {
        out.add(weights, |item, own, value| value * similarity(scoring.own_items, item, own));
    }

    fn load(_: &StoredSection<'_>) -> Result<Self> {
        Ok(Self(PhantomData))
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

/// How similar an item is to one with a history; 0 where that is not among its nearest.
pub(super) fn similarity(similarities: &Csr, item: usize, known: u32) -> f32 {
    let (neighbours, values) = similarities.row(item);
    neighbours.binary_search(&known).map_or(0.0, |place| values[place])
}
