//! The components of a recommender: each says in its own way how well an item fits a user, most of them an item that nobody has
//! bought yet.
//!
//! Takes a snapshot of a shop and the texts and pictures of its items; gives [`Components`], which turn histories into
//! [`UserRepresentations`] and items into an [`ItemBatch`]. [`scores`] has the scores of the two. Collaborative structure
//! enters by two ways, factors and item-item weights, and text carries both to new items: by regression, or from the most
//! similar items that have a history. A picture does the same, for items that have one.
//!
//! # Layout, from the bottom up
//! - [`parts`]: what several components read, fitted once: TF-IDF, kNN, ALS, EASE
//! - `rows`, `batches`: what is prepared of users and of items; `reads`, `vectors`: what components go by
//! - `component`: the trait, a type for each component: `tfidf_profile`, `embedding_profile`, `item_knn`, `hybrid_knn`, `als_ridge`,
//!   `ease_knn`, `two_tower`, `content_popularity`, `price`, and of items with a history `als` and `popularity`
//! - `any`: components without their types; [`list`]: which there are; the one that is used is [`standard()`] below
//! - [`fitted`]: all of them, fitted
//! - [`scores`], [`normalization`]: their scores, and how high a user's usually are
//! - `attribution`: how much of a score each item of the user's history makes

mod als;
mod als_ridge;
pub(crate) mod any;
pub(crate) mod attribution;
pub mod batches;
pub(crate) mod component;
mod content_popularity;
mod ease_knn;
mod embedding_profile;
pub mod fitted;
mod hybrid_knn;
mod item_knn;
pub mod list;
pub mod normalization;
pub mod parts;
mod popularity;
mod price;
mod reads;
mod rows;
pub mod scores;
mod tfidf_profile;
mod two_tower;
mod vectors;

use self::any::{AnyComponent, component};
use self::item_knn::{ByPictures, ByWords, ItemKnn};
use self::vectors::{OfPictures, OfTexts};

pub use self::batches::{ItemBatch, UserRepresentations};
pub use self::component::Tuned;
pub use self::fitted::Components;
pub use self::list::{ComponentList, Listed};
pub(crate) use self::parts::take_off;
pub use self::parts::{FittedParts, Parts, Settings, Texts};
pub use self::reads::Reads;
pub(crate) use self::two_tower::{USER_LAMBDA, tuned_tower};

/// What new items are ranked by. A new component is a line here, and one in [`KNOWN_ITEMS`] if it ranks these too.
pub(crate) const NEW_ITEMS: &[&dyn AnyComponent] = &[
    component::<tfidf_profile::TfidfProfile>(),
    component::<embedding_profile::EmbeddingProfile<OfTexts>>(),
    component::<ItemKnn<ByWords>>(),
    component::<hybrid_knn::HybridKnn>(),
    component::<als_ridge::WordFactors>(),
    component::<als_ridge::EmbeddingFactors<OfTexts>>(),
    component::<ease_knn::EaseKnn>(),
    component::<two_tower::TwoTower>(),
    component::<content_popularity::ContentPopularity>(),
    component::<price::Price>(),
    component::<embedding_profile::EmbeddingProfile<OfPictures>>(),
    component::<ItemKnn<ByPictures>>(),
    component::<als_ridge::EmbeddingFactors<OfPictures>>(),
];

/// What items with a history are ranked by.
pub(crate) const KNOWN_ITEMS: &[&dyn AnyComponent] = &[
    component::<als::Factors>(),
    component::<ease_knn::Ease>(),
    component::<popularity::Popularity>(),
    component::<hybrid_knn::HybridKnn>(),
    component::<embedding_profile::EmbeddingProfile<OfTexts>>(),
    component::<price::Price>(),
    component::<embedding_profile::EmbeddingProfile<OfPictures>>(),
    component::<ItemKnn<ByPictures>>(),
];

/// The name of the component that is what anybody could do: the nearest texts.
pub(crate) const NEAREST_TEXTS: &str = <ItemKnn<ByWords> as component::Component>::NAME;
/// The component of the tuned encoder, and the same of the encoder as it was: what tuning gains is their difference.
pub(crate) const TUNED_AND_FROZEN: [&str; 2] = [
    <two_tower::TwoTower as component::Component>::NAME,
    <als_ridge::EmbeddingFactors<OfTexts> as component::Component>::NAME,
];

/// The components that recommenders are made of.
pub fn standard() -> ComponentList {
    ComponentList::of(NEW_ITEMS, KNOWN_ITEMS)
}
