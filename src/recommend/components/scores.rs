//! Scores of users for items: takes what is known of both, gives any block of the matrix, by one component or by the blend.
//!
//! Used by `blend` to learn the weights, by `service` to recommend, and by the evaluation.

use crate::cancellation::{Cancelled, Stop, check};
use std::ops::Range;

use rayon::prelude::*;

use super::{Component, Components, ItemBatch, UserRepresentations};
use crate::linalg::dense::{Matrix, product_into};
use crate::recommend::ranking::BlockScores;

/// Users whose scores are computed at a time.
pub(crate) const USERS: usize = 32;

/// Both sides.
#[derive(Debug, Clone, Copy)]
pub struct Pairs<'a> {
    /// The parts that score.
    pub components: &'a Components,
    /// The users.
    pub representations: &'a UserRepresentations,
    /// The items.
    pub item_batch: &'a ItemBatch,
}

/// A thread's memory for one user after another.
#[derive(Debug, Default)]
struct Scratch {
    /// By term: the user's words.
    profile: Vec<f32>,
    touched: Vec<u32>,
    /// By item with a history: what the user has, or wants.
    dense: Vec<f32>,
}

impl<'a> Pairs<'a> {
    /// The scores of some users for some items by one component into `out`, row by row. A component that knows nothing of a
    /// user or an item gives 0, or NaN where that would say something: of a price that is not known.
    pub fn scores_into(&self, component: Component, users: Range<usize>, items: Range<usize>, out: &mut [f32]) {
        if items.is_empty() {
            return;
        }
        if let Some((vectors, of_items)) = self.vectors(component) {
            return product_into(out, vectors.view(users), of_items.view(items));
        }
        let mut scratch = Scratch::default();
        for (user, out) in users.zip(out.chunks_exact_mut(items.len())) {
            self.row_into(component, user, items.clone(), &mut scratch, out);
        }
    }

    /// The scores of a user for these items by one component into `out`.
    pub fn scores_of(&self, component: Component, user: usize, items: &[u32], out: &mut [f32]) {
        if let Some((vectors, of_items)) = self.vectors(component) {
            let vector = vectors.row(user);
            for (item, out) in items.iter().zip(out) {
                *out = vector.iter().zip(of_items.row(*item as usize)).map(|(x, y)| x * y).sum();
            }
        } else {
            let items = items.iter().map(|item| *item as usize);
            self.row_into(component, user, items, &mut Scratch::default(), out);
        }
    }

    /// Both sides of a component whose scores are products of vectors.
    fn vectors(&self, component: Component) -> Option<(&'a Matrix, &'a Matrix)> {
        let (representations, item_batch) = (self.representations, self.item_batch);
        match component {
            Component::EmbeddingProfile => Some((&representations.embeddings, &item_batch.embeddings)),
            Component::WordFactors => Some((&representations.factors, &item_batch.word_factors)),
            Component::EmbeddingFactors => Some((&representations.factors, &item_batch.embedding_factors)),
            Component::FineTuned => representations.tower.as_ref().zip(item_batch.tower.as_ref()),
            _ => None,
        }
    }

    /// A row of a component whose scores are no products of vectors.
    fn row_into(
        &self,
        component: Component,
        user: usize,
        items: impl Iterator<Item = usize>,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let (components, representations, item_batch) = (self.components, self.representations, self.item_batch);
        let rows = items.zip(out);
        match component {
            Component::WordProfile => {
                self.word_profile(user, scratch);
                for (item, out) in rows {
                    *out = gathered(item_batch.terms.row(item), &scratch.profile);
                }
            }
            Component::WordNeighbours | Component::Neighbours => {
                let near = if component == Component::Neighbours {
                    &item_batch.neighbours
                } else {
                    &item_batch.word_neighbours
                };
                scratch.dense.clear();
                scratch.dense.resize(components.items(), 0.0);
                let (own, values) = representations.history.row(user);
                own.iter().zip(values).for_each(|(item, value)| scratch.dense[*item as usize] = *value);
                for (item, out) in rows {
                    *out = gathered(near.row(item), &scratch.dense);
                }
            }
            Component::ItemItem | Component::OwnItemItem => {
                scratch.dense.resize(components.items(), 0.0);
                components.item_item.scores_into(representations.history.row(user), &mut scratch.dense);
                for (item, out) in rows {
                    let nearness = item_batch.nearness[item];
                    *out = match item_batch.known[item] {
                        Some(known) if component == Component::OwnItemItem => scratch.dense[known as usize],
                        _ if nearness > 0.0 => gathered(item_batch.neighbours.row(item), &scratch.dense) / nearness,
                        _ => 0.0,
                    };
                }
            }
            Component::Factors => {
                let vector = representations.factors.row(user);
                for (item, out) in rows {
                    let own = item_batch.known[item].map(|known| components.item_factors.row(known as usize));
                    *out = vector.iter().zip(own.unwrap_or_default()).map(|(x, y)| x * y).sum();
                }
            }
            Component::Buyers => {
                for (item, out) in rows {
                    *out = item_batch.known[item].map_or(0.0, |known| components.buyers[known as usize]);
                }
            }
            Component::Popularity => {
                for (item, out) in rows {
                    *out = item_batch.popularity[item];
                }
            }
            Component::Price => {
                let paid = representations.prices[user];
                for (item, out) in rows {
                    *out = -(item_batch.prices[item] - paid).abs();
                }
            }
            // These are products of vectors, but for a tower that is not there.
            Component::EmbeddingProfile
            | Component::WordFactors
            | Component::EmbeddingFactors
            | Component::FineTuned => rows.for_each(|(_, out)| *out = 0.0),
        }
    }

    /// The words of a user's items as one row of length one, in place of the one that was there.
    fn word_profile(&self, user: usize, scratch: &mut Scratch) {
        let Scratch { profile, touched, .. } = scratch;
        profile.resize(self.components.terms.columns(), 0.0);
        touched.drain(..).for_each(|term| profile[term as usize] = 0.0);
        let (own, weights) = self.representations.history.row(user);
        for (item, weight) in own.iter().zip(weights) {
            let (terms, values) = self.components.terms.row(*item as usize);
            for (term, value) in terms.iter().zip(values) {
                let sum = &mut profile[*term as usize];
                if *sum == 0.0 {
                    touched.push(*term);
                }
                *sum += weight * value;
            }
        }
        let square = touched.iter().map(|term| f64::from(profile[*term as usize]).powi(2)).sum::<f64>();
        if square > 0.0 {
            let scale = (1.0 / square.sqrt()) as f32;
            touched.iter().for_each(|term| profile[*term as usize] *= scale);
        }
    }
}

fn gathered((columns, values): (&[u32], &[f32]), dense: &[f32]) -> f32 {
    columns.iter().zip(values).map(|(column, value)| value * dense[*column as usize]).sum()
}

/// One component as a matrix of scores.
#[derive(Debug, Clone, Copy)]
pub struct ComponentScores<'a> {
    /// Users and items.
    pub pairs: Pairs<'a>,
    /// The component.
    pub component: Component,
}

impl BlockScores for ComponentScores<'_> {
    fn users(&self) -> usize {
        self.pairs.representations.len()
    }

    fn items(&self) -> usize {
        self.pairs.item_batch.len()
    }

    fn scores_into(&self, users: Range<usize>, items: Range<usize>, out: &mut [f32]) {
        self.pairs.scores_into(self.component, users, items, out);
    }

    fn block(&self) -> (usize, usize) {
        (USERS, usize::MAX)
    }
}

/// How high each user's scores usually are: by component, over the same items for everybody.
///
/// Scores of different components, and of users with long and short histories, become comparable by it; and it does not
/// depend on which items happen to be scored together.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreNormalization {
    /// Users x components: the mean.
    pub mean: Matrix,
    /// Users x components: one over the standard deviation; 0 where all scores are the same.
    pub scale: Matrix,
}

impl ScoreNormalization {
    /// Of the users of `pairs` over all its items. Cancelled if `stop` says so.
    pub fn of(pairs: &Pairs<'_>, stop: Stop<'_>) -> Result<Self, Cancelled> {
        let (users, items, width) = (pairs.representations.len(), pairs.item_batch.len(), Component::ALL.len());
        let blocks = (0..users.div_ceil(USERS)).into_par_iter().map(|block| {
            let rows = block * USERS..users.min((block + 1) * USERS);
            let mut scores = vec![0.0; rows.len() * items];
            let (mut mean, mut scale) = (Matrix::zeros(rows.len(), width), Matrix::zeros(rows.len(), width));
            for (place, component) in Component::ALL.into_iter().enumerate() {
                check(stop)?;
                pairs.scores_into(component, rows.clone(), 0..items, &mut scores);
                for (row, scores) in scores.chunks_exact(items.max(1)).enumerate() {
                    let (average, deviation) = moments(scores);
                    mean.row_mut(row)[place] = average as f32;
                    // What rounding leaves of equal scores is no difference.
                    let flat = deviation <= 1e-6 * average.abs().max(1e-6);
                    scale.row_mut(row)[place] = if flat { 0.0 } else { (1.0 / deviation) as f32 };
                }
            }
            Ok((mean, scale))
        });
        let blocks = blocks.collect::<Result<Vec<_>, Cancelled>>()?;
        let join = |pick: fn(&(Matrix, Matrix)) -> &Matrix| {
            Matrix::new(users, width, blocks.iter().flat_map(|block| pick(block).values().iter().copied()).collect())
        };
        Ok(Self { mean: join(|block| &block.0), scale: join(|block| &block.1) })
    }

    /// These users and then those.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self { mean: self.mean.below(&other.mean), scale: self.scale.below(&other.scale) }
    }

    /// A user's mean score by a component, and one over how far their scores are from it.
    pub fn row(&self, user: usize, component: Component) -> (f32, f32) {
        (self.mean.row(user)[component.place()], self.scale.row(user)[component.place()])
    }

    /// These users, in this order.
    #[must_use]
    pub fn gather(&self, users: &[u32]) -> Self {
        Self { mean: self.mean.gather(users), scale: self.scale.gather(users) }
    }
}

/// Mean and standard deviation of the values that are known.
fn moments(values: &[f32]) -> (f64, f64) {
    let known = || values.iter().filter(|x| !x.is_nan()).map(|x| f64::from(*x));
    let count = known().count().max(1) as f64;
    let mean = known().sum::<f64>() / count;
    let variance = known().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}
