//! The recommender: takes a shop's interactions and the texts of its items, finds for every user the items that the user is
//! likely to buy, new ones above all, and says how good that is.
//!
//! # Layout: each folder names those above it only
//! - [`dataset`]: tables as numbers: interactions, items, snapshots, holdout windows
//! - `storage`: what is fitted as named values of a file
//! - [`ranking`]: from scores to lists: top-k, slates, exposure, diversity, exploration
//! - [`components`]: the ways to score an item that nobody has bought yet, each a well-known method
//! - [`forecast`]: from past launches to buyers of new ones, with intervals
//! - [`model`]: components blended into logits and probabilities; a fitted recommender on disk
//! - `inputs`: the users and items of a call
//! - [`evaluation`]: metrics with intervals, against what happened after training
//! - [`training`]: from a dataset to a model, with the encoder fine-tuned on the way
//! - [`calls`]: the SQL functions, one file each; all but `train` know nothing of training
//!
//! `engine` calls it through the traits in `debut_udfs`. The vocabulary is in `.github/ARCHITECTURE.md`.

pub(crate) mod calls;
pub mod components;
pub mod dataset;
mod error;
pub mod evaluation;
pub mod forecast;
pub(crate) mod inputs;
pub mod model;
pub mod ranking;
pub(crate) mod storage;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
pub mod training;

pub use calls::Recommend;
pub use calls::train::RecommendTrainer;
pub use error::Error;
