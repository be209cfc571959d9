//! Factors predicted from content: a ridge regression from an item's words, or from the embedding of its text or of its picture, to
//! the factors that ALS found for the items with a history; times the user's.

use std::marker::PhantomData;
use std::ops::Range;

use super::attribution::Attribution;
use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, products};
use super::reads::Reads;
use super::vectors::Vectors;
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
    const READS: Reads = Reads::Text;

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

    fn attribute(&self, scoring: &Scoring<'_, Self>, _: usize, weights: &[f32], out: &mut Attribution<'_>) {
        out.add_factors(weights, |_, item| scoring.own_items.row(item));
    }

    fn save(&self, section: &mut Section<'_>) -> Result<()> {
        section.ridge("ridge", &self.0);
        Ok(())
    }

    fn load(section: &StoredSection<'_>) -> Result<Self> {
        section.ridge("ridge").map(Self)
    }
}

/// Factors predicted from embeddings by models as they were.
#[derive(Debug)]
pub(crate) struct EmbeddingFactors<V> {
    ridge: Ridge,
    of: PhantomData<V>,
}

impl<V: Vectors> Component for EmbeddingFactors<V> {
    const NAME: &'static str = V::FACTORS[0];
    const ABOUT: &'static str = V::FACTORS[1];
    const READS: Reads = V::READS;

    type Users = ();
    /// Items x factors.
    type Items = Matrix;

    fn fit(fitting: &Fitting<'_>, stop: Stop<'_>) -> Result<Option<Self>, Error> {
        let parts = &fitting.fitted.parts;
        let Some(of_history) = V::of_history(parts) else { return Ok(None) };
        let (lambda, weights) = (parts.settings.embedding_lambda, V::weights(fitting));
        let ridge = Ridge::fit_dense(&of_history.rows, &parts.item_factors, lambda, Some(weights), stop)?;
        Ok(Some(Self { ridge, of: PhantomData }))
    }

    fn users(&self, _: &UserInput<'_>) {}

    fn items(&self, input: &ItemInput<'_>, _: Stop<'_>) -> Result<Matrix, Cancelled> {
        Ok(self.ridge.predict_dense(V::of_items(input.items)))
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        products(&scoring.users.factors, scoring.own_items, users, items, out);
    }

    fn attribute(&self, scoring: &Scoring<'_, Self>, _: usize, weights: &[f32], out: &mut Attribution<'_>) {
        out.add_factors(weights, |_, item| scoring.own_items.row(item));
    }

    fn save(&self, section: &mut Section<'_>) -> Result<()> {
        section.ridge("ridge", &self.ridge);
        Ok(())
    }

    fn load(section: &StoredSection<'_>) -> Result<Self> {
        Ok(Self { ridge: section.ridge("ridge")?, of: PhantomData })
    }
}
