//! A content-based profile of embeddings, of texts or of pictures: the cosine of the item's and the mean of those of the user's
//! items, the catalogue's mean taken off both.

use std::marker::PhantomData;
use std::ops::Range;

use super::attribution::Attribution;
use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, dot, products};
use super::reads::Reads;
use super::vectors::Vectors;
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::linalg::dense::Matrix;
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
        let row = |item: u32| of_history.rows.row(item as usize);
        let (own, values) = out.history;
        let profile = scoring.own_users.row(user);
        // The profile has length one; this is the length of what it was made of.
        let length = own.iter().zip(values).map(|(item, value)| value * dot(profile, row(*item))).sum::<f32>();
        if length > 0.0 {
            let vectors = V::of_items(scoring.items);
            out.add(weights, |item, own, value| value * dot(vectors.row(item), row(own)) / length);
        }
    }

    fn load(_: &StoredSection<'_>) -> Result<Self> {
        Ok(Self(PhantomData))
    }
}
