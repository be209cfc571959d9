//! Factors predicted from text: a ridge regression from an item's words, or from its embedding, to the factors that ALS found
//! for the items with a history; times the user's.

use std::ops::Range;

use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, products};
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::linalg::dense::Matrix;
use crate::linalg::ridge::Ridge;
use crate::recommend::error::Result;
use crate::recommend::storage::{Section, StoredSection};

/// Factors predicted from words.
#[derive(Debug)]
pub(crate) struct WordFactors(Ridge);

impl Component for WordFactors {
    const NAME: &'static str = "word_factors";
    const ABOUT: &'static str = "the user's factors times those predicted from the item's words";

    type Users = ();
    /// Items x factors.
    type Items = Matrix;

    fn fit(fitting: &Fitting<'_>, stop: Stop<'_>) -> Result<Option<Self>, Error> {
        let (parts, has_text) = (&fitting.fitted.parts, Some(fitting.fitted.has_text.as_slice()));
        let ridge = Ridge::fit(&parts.terms, &parts.item_factors, parts.settings.word_lambda, has_text, stop)?;
        Ok(Some(Self(ridge)))
    }

    fn users(&self, _: &UserInput<'_>) {}

    fn items(&self, input: &ItemInput<'_>, _: Stop<'_>) -> Result<Matrix, Cancelled> {
        Ok(self.0.predict(&input.items.terms))
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        products(&scoring.users.factors, scoring.own_items, users, items, out);
    }

    fn save(&self, section: &mut Section<'_>) -> Result<()> {
        section.ridge("ridge", &self.0);
        Ok(())
    }

    fn load(section: &StoredSection<'_>) -> Result<Self> {
        section.ridge("ridge").map(Self)
    }
}

/// Factors predicted from the embedding by the encoder as it was.
#[derive(Debug)]
pub(crate) struct EmbeddingFactors(Ridge);

impl Component for EmbeddingFactors {
    const NAME: &'static str = "embedding_factors";
    const ABOUT: &'static str = "the user's factors times those predicted from the item's embedding";

    type Users = ();
    /// Items x factors.
    type Items = Matrix;

    fn fit(fitting: &Fitting<'_>, stop: Stop<'_>) -> Result<Option<Self>, Error> {
        let (parts, has_text) = (&fitting.fitted.parts, Some(fitting.fitted.has_text.as_slice()));
        let lambda = parts.settings.embedding_lambda;
        let ridge = Ridge::fit_dense(&parts.embeddings, &parts.item_factors, lambda, has_text, stop)?;
        Ok(Some(Self(ridge)))
    }

    fn users(&self, _: &UserInput<'_>) {}

    fn items(&self, input: &ItemInput<'_>, _: Stop<'_>) -> Result<Matrix, Cancelled> {
        Ok(self.0.predict_dense(&input.items.embeddings))
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        products(&scoring.users.factors, scoring.own_items, users, items, out);
    }

    fn save(&self, section: &mut Section<'_>) -> Result<()> {
        section.ridge("ridge", &self.0);
        Ok(())
    }

    fn load(section: &StoredSection<'_>) -> Result<Self> {
        section.ridge("ridge").map(Self)
    }
}
