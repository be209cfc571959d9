//! The tables of a training as numbers: interactions and items in, users and items by number out.
//!
//! - [`interactions`]: the dataset: items, events, and a fingerprint of both
//! - [`pictures`]: the pictures of items as vectors
//! - [`ids`]: the ids of users or items, and the number of each
//! - [`snapshot`]: what was known at a point in time
//! - [`holdout`]: past launch windows with what users took in them

pub mod holdout;
pub mod ids;
pub mod interactions;
pub mod pictures;
pub mod snapshot;
