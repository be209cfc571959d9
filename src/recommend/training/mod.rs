//! Fitting a recommender: from a dataset to a model and how good it is on held out launches.
//!
//! - [`fit`]: every step of it
//! - [`validation`]: how good it is on held out launches
//! - `launches`: what past launches did, to forecast from
//! - `pictures`: the shop's pictures and what makes vectors of them
//! - `tuning`: the encoder, fine-tuned against the factors
//! - [`boost`]: how much more new items have to count
//! - [`comparison`]: a new model beside the version in use
//! - `update`: a model that goes on from the version in use
//! - `run_info`: what its run records

pub mod boost;
pub mod comparison;
pub mod fit;
mod launches;
pub(crate) mod pictures;
pub(crate) mod run_info;
pub(crate) mod tuning;
pub(crate) mod update;
pub mod validation;
