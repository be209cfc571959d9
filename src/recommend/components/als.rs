//! Matrix factorisation: the user's factors times the item's own, which only items with a history have.

use std::ops::Range;

use super::attribution::Attribution;
use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, dot, rows};
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::recommend::error::Result;
use crate::recommend::storage::StoredSection;

/// Scores by factors.
#[derive(Debug)]
pub(crate) struct Factors;

impl Component for Factors {
    const NAME: &'static str = "factors";
    const ABOUT: &'static str = "the user's factors times the item's own";

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
        for (user, out) in rows(users, items, out) {
            let vector = scoring.users.factors.row(user);
            items.fill(out, |item| dot(vector, own_factors(scoring, item)));
        }
    }

    fn attribute(&self, scoring: &Scoring<'_, Self>, _: usize, weights: &[f32], out: &mut Attribution<'_>) {
        out.add_factors(weights, |_, item| own_factors(scoring, item));
    }

    fn load(_: &StoredSection<'_>) -> Result<Self> {
        Ok(Self)
    }
}

/// The factors of an item; none of one that has no history.
fn own_factors<'a>(scoring: &Scoring<'a, Factors>, item: usize) -> &'a [f32] {
    scoring.items.known[item].map(|known| scoring.parts.item_factors.row(known as usize)).unwrap_or_default()
}
