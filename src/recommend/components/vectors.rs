//! Which vectors of items a component goes by: those of their texts, or those of their pictures.
//!
//! [`super::embedding_profile`], [`super::als_ridge`] and [`super::item_knn`] are written once for all of them.

use std::fmt::Debug;

use super::batches::ItemBatch;
use super::component::Fitting;
use super::parts::Parts;
use super::parts::embeddings::Embeddings;
use super::reads::Reads;
use crate::linalg::dense::Matrix;

/// Vectors of one kind.
pub(crate) trait Vectors: Debug + Send + Sync + 'static {
    /// What of an item they are of.
    const READS: Reads;
    /// The name of the profile by them, and how it scores.
    const PROFILE: [&'static str; 2];
    /// The same of the factors predicted from them.
    const FACTORS: [&'static str; 2];

    /// Of the items with a history; `None` where none has one.
    fn of_history(parts: &Parts) -> Option<&Embeddings>;

    /// Of items that are to be scored.
    fn of_items(items: &ItemBatch) -> &Matrix;

    /// For each item with a history 1, or 0 where it has no such vector.
    fn weights<'a>(fitting: &Fitting<'a>) -> &'a [f32];
}

/// Embeddings of texts by the encoder as it was.
#[derive(Debug)]
pub(crate) struct OfTexts;

impl Vectors for OfTexts {
    const READS: Reads = Reads::Text;
    const PROFILE: [&'static str; 2] =
        ["embedding_profile", "embedding of the item beside the mean of the user's items"];
    const FACTORS: [&'static str; 2] =
        ["embedding_factors", "the user's factors times those predicted from the item's embedding"];

    fn of_history(parts: &Parts) -> Option<&Embeddings> {
        Some(&parts.embeddings)
    }

    fn of_items(items: &ItemBatch) -> &Matrix {
        &items.embeddings
    }

    fn weights<'a>(fitting: &Fitting<'a>) -> &'a [f32] {
        &fitting.fitted.has_text
    }
}

/// Embeddings of pictures.
#[derive(Debug)]
pub(crate) struct OfPictures;

impl Vectors for OfPictures {
    const READS: Reads = Reads::Picture;
    const PROFILE: [&'static str; 2] = ["picture_profile", "picture of the item beside the mean of the user's items"];
    const FACTORS: [&'static str; 2] =
        ["picture_factors", "the user's factors times those predicted from the item's picture"];

    fn of_history(parts: &Parts) -> Option<&Embeddings> {
        parts.pictures.as_ref()
    }

    fn of_items(items: &ItemBatch) -> &Matrix {
        &items.pictures
    }

    fn weights<'a>(fitting: &Fitting<'a>) -> &'a [f32] {
        &fitting.fitted.has_picture
    }
}
