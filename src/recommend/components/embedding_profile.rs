//! A content-based profile of embeddings, of texts or of pictures: the cosine of the item's and the mean of those of the user's
//! items, the catalogue's mean taken off both.

use std::marker::PhantomData;
use std::ops::Range;

use super::attribution::Attribution;
use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, products};
use super::reads::Reads;
use super::vectors::Vectors;
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::linalg::dense::{Matrix, product_into};
use crate::recommend::error::Result;
use crate::recommend::storage::StoredSection;

/// Scores by the mean embedding of the user's items.
#[derive(Debug)]
pub(crate) struct EmbeddingProfile<V>(PhantomData<V>);

impl<V: Vectors> Component for EmbeddingProfile<V> {
    const NAME: &'static str = V::PROFILE[0];
    const ABOUT: &'static str = V::PROFILE[1];
    const READS: Reads = V::READS;

    /// Users x dimensions, of length one.
    type Users = Matrix;
    type Items = ();

    fn fit(fitting: &Fitting<'_>, _: Stop<'_>) -> Result<Option<Self>, Error> {
        Ok(V::of_history(&fitting.fitted.parts).map(|_| Self(PhantomData)))
    }

    fn users(&self, users: &UserInput<'_>) -> Matrix {
        let Some(of_history) = V::of_history(users.parts) else { return Matrix::zeros(users.history.rows(), 0) };
        let mut embeddings = users.history.times(&of_history.rows);
        embeddings.normalize_rows();
        embeddings
    }

    fn items(&self, _: &ItemInput<'_>, _: Stop<'_>) -> Result<(), Cancelled> {
        Ok(())
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        products(scoring.own_users, V::of_items(scoring.items), users, items, out);
    }

    fn attribute(&self, scoring: &Scoring<'_, Self>, user: usize, weights: &[f32], out: &mut Attribution<'_>) {
        let Some(of_history) = V::of_history(scoring.parts) else { return };
        let (own, values) = out.history;
        let (vectors, of_own) = (V::of_items(scoring.items).gather(out.items), of_history.rows.gather(own));
        let mut cosines = Matrix::zeros(1, own.len());
        product_into(cosines.values_mut(), scoring.own_users.view(user..user + 1), of_own.all());
        // The profile has length one; this is the length of what it was made of.
        let length = cosines.values().iter().zip(values).map(|(cosine, value)| value * cosine).sum::<f32>();
        if length > 0.0 {
            let mut products = Matrix::zeros(vectors.rows(), own.len());
            product_into(products.values_mut(), vectors.all(), of_own.all());
            for row in products.values_mut().chunks_exact_mut(own.len()) {
                row.iter_mut().zip(values).for_each(|(product, value)| *product *= value / length);
            }
            out.add_rows(weights, &products);
        }
    }

    fn load(_: &StoredSection<'_>) -> Result<Self> {
        Ok(Self(PhantomData))
    }
}
