//! Price affinity: how near the item's price is to what the user pays, on a logarithmic scale.

use std::ops::Range;

use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, rows};
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::recommend::error::Result;
use crate::recommend::storage::StoredSection;

/// Scores by price.
#[derive(Debug)]
pub(crate) struct Price;

impl Component for Price {
    const NAME: &'static str = "price";
    const ABOUT: &'static str = "the item's price beside what the user pays";
    const IS_PERSONAL: bool = false;
    const IS_SEASONAL: bool = true;

    /// The mean logarithm of what each paid; NaN where it is not known.
    type Users = Vec<f32>;
    /// The logarithms of their prices; NaN where none is known.
    type Items = Vec<f32>;

    fn fit(_: &Fitting<'_>, _: Stop<'_>) -> Result<Option<Self>, Error> {
        Ok(Some(Self))
    }

    fn users(&self, users: &UserInput<'_>) -> Vec<f32> {
        let mean = |(items, _): (&[u32], &[f32])| {
            let known = items.iter().map(|item| users.parts.prices[*item as usize]).filter(|price| !price.is_nan());
            let (sum, count) = known.fold((0.0, 0), |(sum, count), price| (sum + f64::from(price), count + 1));
            if count == 0 { f32::NAN } else { (sum / f64::from(count)) as f32 }
        };
        users.history.iter().map(mean).collect()
    }

    fn items(&self, input: &ItemInput<'_>, _: Stop<'_>) -> Result<Vec<f32>, Cancelled> {
        Ok(input.texts.prices.to_vec())
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        for (user, out) in rows(users, items, out) {
            let paid = scoring.own_users[user];
            items.fill(out, |item| -(scoring.own_items[item] - paid).abs());
        }
    }

    fn load(_: &StoredSection<'_>) -> Result<Self> {
        Ok(Self)
    }
}
