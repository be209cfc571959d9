//! Scores of users for items: takes what is known of both, gives any block of the matrix by one component.

use std::ops::Range;

use super::any::{AnyFitted, Sides};
use super::attribution::Attribution;
use super::batches::{ItemBatch, UserRepresentations};
use super::component::Selection;
use super::fitted::Components;
use super::list::Listed;
use super::reads::Reads;
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

impl Pairs<'_> {
    /// The scores of some users for some items by one component into `out`, row by row. A component that knows nothing of a
    /// user gives 0; one that knows nothing of an item, because it has no text, picture or price, gives NaN.
    pub fn scores_into(&self, component: Listed, users: Range<usize>, items: Range<usize>, out: &mut [f32]) {
        self.score(component, users, &Selection::Range(items), out);
    }

    /// The scores of a user for these items by one component into `out`.
    pub fn scores_of(&self, component: Listed, user: usize, items: &[u32], out: &mut [f32]) {
        self.score(component, user..user + 1, &Selection::Numbers(items), out);
    }

    /// Adds to `out` how much of a user's scores for its items by one component each item of the user's history makes, times a
    /// weight for each of these items, which is 0 where the score is not known.
    pub(crate) fn attribute(&self, component: Listed, user: usize, weights: &[f32], out: &mut Attribution<'_>) {
        if let Some((fitted, sides)) = self.fitted(component) {
            fitted.attribute(&sides, user, weights, out);
        }
    }

    /// The component with both sides, if it was fitted.
    fn fitted(&self, component: Listed) -> Option<(&dyn AnyFitted, Sides<'_>)> {
        let Self { components, representations: users, item_batch: items } = *self;
        let place = component.place();
        let (own_users, own_items) = (users.by_component.of(place)?, items.by_component.of(place)?);
        Some((components.of(place)?, Sides { parts: &components.parts, users, items, own_users, own_items }))
    }

    fn score(&self, component: Listed, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        match self.fitted(component) {
            Some((fitted, sides)) if items.len() > 0 => {
                fitted.score(&sides, users, items, out);
                self.forget(component.reads(), items, out);
            }
            // What was not fitted knows nothing.
            _ => out.fill(0.0),
        }
    }

    /// Puts NaN in the place of the scores of items that lack what was read of them: the lowest score would say that
    /// nobody wants them.
    fn forget(&self, reads: Reads, items: &Selection<'_>, out: &mut [f32]) {
        let Some(has) = self.item_batch.has(reads).filter(|has| has.contains(&false)) else { return };
        for row in out.chunks_exact_mut(items.len()) {
            items.visit(row, |item, score| {
                if !has[item] {
                    *score = f32::NAN;
                }
            });
        }
    }
}

/// One component as a matrix of scores.
#[derive(Debug, Clone, Copy)]
pub struct ComponentScores<'a> {
    /// Users and items.
    pub pairs: Pairs<'a>,
    /// The component.
    pub component: Listed,
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
