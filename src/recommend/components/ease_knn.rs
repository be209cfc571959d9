//! An item-item model (EASE), carried to new items by kNN: the mean of its scores of the items that are most like the item, by
//! words and embeddings. An item with a history has a score of its own.

use std::ops::Range;

use super::attribution::Attribution;
use super::batches::ItemBatch;
use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, rows};
use super::reads::Reads;
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::recommend::error::Result;
use crate::recommend::storage::StoredSection;

/// Scores by the nearest items' item-item scores.
#[derive(Debug)]
pub(crate) struct EaseKnn;

impl Component for EaseKnn {
    const NAME: &'static str = "item_item";
    const ABOUT: &'static str = "item-item scores of the most similar items";
    const READS: Reads = Reads::Text;

    type Users = ();
    /// The sum of each item's similarities.
    type Items = Vec<f32>;

    fn fit(_: &Fitting<'_>, _: Stop<'_>) -> Result<Option<Self>, Error> {
        Ok(Some(Self))
    }

    fn users(&self, _: &UserInput<'_>) {}

    fn items(&self, input: &ItemInput<'_>, _: Stop<'_>) -> Result<Vec<f32>, Cancelled> {
        Ok(sums(input.items))
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        for_each_user(scoring, users, items, out, |item, scores| {
            carried(scoring, item, |known| scores[known as usize])
        });
    }

    fn attribute(&self, scoring: &Scoring<'_, Self>, _: usize, weights: &[f32], out: &mut Attribution<'_>) {
        out.add(weights, |item, own, _| carried(scoring, item, |known| scoring.parts.item_item.weight(own, known)));
    }

    fn load(_: &StoredSection<'_>) -> Result<Self> {
        Ok(Self)
    }
}

/// Scores by the item's own item-item score, where it has one.
#[derive(Debug)]
pub(crate) struct Ease;

impl Component for Ease {
    const NAME: &'static str = "own_item_item";
    const ABOUT: &'static str = "the item's own item-item score";

    type Users = ();
    /// The sum of each item's similarities.
    type Items = Vec<f32>;

    fn fit(_: &Fitting<'_>, _: Stop<'_>) -> Result<Option<Self>, Error> {
        Ok(Some(Self))
    }

    fn users(&self, _: &UserInput<'_>) {}

    fn items(&self, input: &ItemInput<'_>, _: Stop<'_>) -> Result<Vec<f32>, Cancelled> {
        Ok(sums(input.items))
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        for_each_user(scoring, users, items, out, |item, scores| match scoring.items.known[item] {
            Some(known) => scores[known as usize],
            None => carried(scoring, item, |known| scores[known as usize]),
        });
    }

    fn attribute(&self, scoring: &Scoring<'_, Self>, _: usize, weights: &[f32], out: &mut Attribution<'_>) {
        out.add(weights, |item, own, _| {
            let weight = |known| scoring.parts.item_item.weight(own, known);
            scoring.items.known[item].map_or_else(|| carried(scoring, item, weight), weight)
        });
    }

    fn load(_: &StoredSection<'_>) -> Result<Self> {
        Ok(Self)
    }
}

/// The sums of the rows of similarities.
fn sums(items: &ItemBatch) -> Vec<f32> {
    items.neighbours.iter().map(|(_, similarities)| similarities.iter().sum()).collect()
}

/// Scores from an item and the user's item-item scores of all items with a history.
fn for_each_user<C: Component>(
    scoring: &Scoring<'_, C>,
    users: Range<usize>,
    items: &Selection<'_>,
    out: &mut [f32],
    score: impl Fn(usize, &[f32]) -> f32,
) {
    let mut scores = vec![0.0; scoring.parts.items()];
    for (user, out) in rows(users, items, out) {
        scoring.parts.item_item.scores_into(scoring.users.history.row(user), &mut scores);
        items.fill(out, |item| score(item, &scores));
    }
}

/// The mean of the scores of an item's neighbours; 0 without any.
fn carried<C: Component<Items = Vec<f32>>>(scoring: &Scoring<'_, C>, item: usize, score: impl Fn(u32) -> f32) -> f32 {
    let sum = scoring.own_items[item];
    let (neighbours, similarities) = scoring.items.neighbours.row(item);
    let scores = neighbours.iter().zip(similarities).map(|(neighbour, similarity)| similarity * score(*neighbour));
    if sum > 0.0 { scores.sum::<f32>() / sum } else { 0.0 }
}
