//! Popularity from content: a ridge regression from an item's words and price to how many users take it; the same for every
//! user.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, rows};
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::linalg::dense::Matrix;
use crate::linalg::ridge::Ridge;
use crate::linalg::sparse::Csr;
use crate::recommend::error::Result;
use crate::recommend::storage::{Section, StoredSection};

/// How much a price counts beside words, whose rows have length one.
const PRICE_SHARE: f32 = 0.3;

/// Scores by the buyers that are to be expected.
#[derive(Debug)]
pub(crate) struct ContentPopularity {
    ridge: Ridge,
    price_scale: PriceScale,
}

impl Component for ContentPopularity {
    const NAME: &'static str = "content_popularity";
    const ABOUT: &'static str = "buyers that the item's words and price promise";
    const IS_PERSONAL: bool = false;
    const IS_SEASONAL: bool = true;

    type Users = ();
    /// The logarithm of the buyers that are to be expected, plus one.
    type Items = Vec<f32>;

    fn fit(fitting: &Fitting<'_>, stop: Stop<'_>) -> Result<Option<Self>, Error> {
        let (parts, has_text) = (&fitting.fitted.parts, Some(fitting.fitted.has_text.as_slice()));
        let price_scale = PriceScale::of(&parts.prices);
        let features = price_scale.append(&parts.terms, &parts.prices);
        let target = Matrix::new(parts.items(), 1, parts.buyers.clone());
        let ridge = Ridge::fit(&features, &target, parts.settings.word_lambda, has_text, stop)?;
        Ok(Some(Self { ridge, price_scale }))
    }

    fn users(&self, _: &UserInput<'_>) {}

    fn items(&self, input: &ItemInput<'_>, _: Stop<'_>) -> Result<Vec<f32>, Cancelled> {
        let features = self.price_scale.append(&input.items.terms, input.texts.prices);
        Ok(self.ridge.predict(&features).values().to_vec())
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        for (_, out) in rows(users, items, out) {
            items.fill(out, |item| scoring.own_items[item]);
        }
    }

    fn save(&self, section: &mut Section<'_>) -> Result<()> {
        section.ridge("ridge", &self.ridge);
        section.value("price_scale", &self.price_scale)
    }

    fn load(section: &StoredSection<'_>) -> Result<Self> {
        Ok(Self { ridge: section.ridge("ridge")?, price_scale: section.value("price_scale")? })
    }
}

/// How prices become features: as far from the usual price as other items are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct PriceScale {
    mean: f32,
    deviation: f32,
}

impl PriceScale {
    fn of(prices: &[f32]) -> Self {
        let known = || prices.iter().filter(|price| !price.is_nan()).map(|price| f64::from(*price));
        let count = known().count().max(1) as f64;
        let mean = known().sum::<f64>() / count;
        let variance = known().map(|price| (price - mean).powi(2)).sum::<f64>() / count;
        Self { mean: mean as f32, deviation: variance.sqrt() as f32 }
    }

    /// Terms with the price and its square behind them; nothing where it is not known.
    fn append(&self, terms: &Csr, prices: &[f32]) -> Csr {
        let width = terms.columns();
        let rows = terms.iter().zip(prices).map(|((columns, values), price)| {
            let off = (price - self.mean) / self.deviation;
            let known = off
                .is_finite()
                .then(|| [(width as u32, PRICE_SHARE * off), (width as u32 + 1, PRICE_SHARE * (off * off - 1.0))]);
            columns.iter().copied().zip(values.iter().copied()).chain(known.into_iter().flatten())
        });
        Csr::from_rows(width + 2, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_stand_behind_the_terms_where_they_are_known() {
        let terms = Csr::from_rows(2, [vec![(1, 0.5)], vec![], vec![(0, 1.0)]]);
        let prices = [1.0, f32::NAN, 3.0];
        let scale = PriceScale::of(&prices);
        assert_eq!((scale.mean, scale.deviation), (2.0, 1.0));
        let rows = scale.append(&terms, &prices);
        assert_eq!(
            rows,
            Csr::from_rows(4, [vec![(1, 0.5), (2, -0.3), (3, 0.0)], vec![], vec![(0, 1.0), (2, 0.3), (3, 0.0)]])
        );
        // Of equal prices none is far from the usual one, and nothing is said.
        let equal = PriceScale::of(&[2.0, 2.0]);
        assert_eq!(equal.append(&terms, &[2.0, 2.0, f32::NAN]).columns(), 4);
        assert_eq!(equal.append(&terms, &[2.0, 2.0, f32::NAN]).stored(), 2);
    }
}
