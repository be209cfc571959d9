//! Popularity: how many users took the item lately, which only items with a history have; the same for every user.

use std::ops::Range;

use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, rows};
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::recommend::error::Result;
use crate::recommend::storage::StoredSection;

/// Scores by buyers of late.
#[derive(Debug)]
pub(crate) struct Popularity;

impl Component for Popularity {
    const NAME: &'static str = "buyers";
    const ABOUT: &'static str = "users who took the item lately";
    const IS_PERSONAL: bool = false;

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
        for (_, out) in rows(users, items, out) {
            items.fill(out, |item| scoring.items.known[item].map_or(0.0, |known| scoring.parts.buyers[known as usize]));
        }
    }

    fn load(_: &StoredSection<'_>) -> Result<Self> {
        Ok(Self)
    }
}
