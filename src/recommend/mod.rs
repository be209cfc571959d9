//! The recommender: takes what happened in a shop and the texts of its items, finds for every user the items that they will
//! take to, new ones above all, and says how good that is.
//!
//! # Layout, in the order that data flows
//! - [`shop`], [`ids`]: from tables to users, items and events by number
//! - [`snapshot`], [`holdout windows`]: what was known at a moment; past launches to learn from
//! - [`text`], [`factors`], [`item_item`], [`neighbours`]: what texts and histories give, each a well-known method
//! - [`components`], [`scores`]: these put together: ten ways to score an item without a history
//! - [`logistic`], [`blend`], [`boost`]: how much each way counts, what that makes of probabilities, and what new items need
//! - [`fit`]: all of it, from a shop to a [`model`]; [`store`]: a model on disk
//! - [`ranking`]: the best items of each user, slates, exploration
//! - [`evaluation`]: metrics with intervals
//! - [`trainer`]: `finetune(objective => 'recommend')`; [`tuning`]: its encoder; [`comparison`]: beside the version in use;
//!   [`run_info`]: what its run tells
//! - [`encoders`], [`offers`]: texts as vectors; the users and items of a call
//! - [`service`]: `recommend`, `audience` and `score`; [`evaluate`](mod@evaluate): `evaluate`
//! - [`matrix`], [`sparse`], [`random`]: numbers
//!
//! Called by `engine` through the traits in `debut_udfs`. Names `train` for the encoder alone.

pub(crate) mod calls;
pub mod components;
pub mod dataset;
mod error;
pub mod evaluation;
pub(crate) mod inputs;
pub mod model;
pub mod ranking;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
pub mod training;

pub use calls::Recommend;
pub use calls::train::RecommendTrainer;
pub use error::Error;
