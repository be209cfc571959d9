//! A content-based profile of embeddings: the cosine of the item's and the mean of those of the user's items, the catalogue's
//! mean taken off both.

use std::ops::Range;

use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, products};
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::linalg::dense::Matrix;
use crate::recommend::error::Result;
use crate::recommend::storage::StoredSection;

/// Scores by the mean embedding of the user's items.
#[derive(Debug)]
pub(crate) struct EmbeddingProfile;

impl Component for EmbeddingProfile {
    const NAME: &'static str = "embedding_profile";
    const ABOUT: &'static str = "embedding of the item beside the mean of the user's items";

    /// Users x dimensions, of length one.
    type Users = Matrix;
    type Items = ();

    fn fit(_: &Fitting<'_>, _: Stop<'_>) -> Result<Option<Self>, Error> {
        Ok(Some(Self))
    }

    fn users(&self, users: &UserInput<'_>) -> Matrix {
        let mut embeddings = users.history.times(&users.parts.embeddings);
        embeddings.normalize_rows();
        embeddings
    }

    fn items(&self, _: &ItemInput<'_>, _: Stop<'_>) -> Result<(), Cancelled> {
        Ok(())
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        products(scoring.own_users, &scoring.items.embeddings, users, items, out);
    }

    fn load(_: &StoredSection<'_>) -> Result<Self> {
        Ok(Self)
    }
}
