//! A fitted recommender: how components are blended into logits, and the file that keeps it.
//!
//! - [`recommender`]: what is known of users and items, and logits for any of them
//! - [`blend`]: the weights of components, and probabilities from them
//! - [`logits`]: these for users and items; [`candidate_logits`]: for items with a history and for those without
//! - `expected_buyers`: sums of probabilities
//! - `launch_features`: what is known of items before their launch
//! - `answers`: what users like and dislike, folded in at once
//! - `explanation`, `explainer`: a logit as a sum of shares, and what a user's history makes of it
//! - [`validation`]: how good it was on held out launches
//! - [`store`]: a recommender on disk
//! - [`image_model`]: what makes vectors of pictures
//! - [`loaded`]: a recommender with the models that embed its texts and pictures

pub(crate) mod answers;
pub mod blend;
pub mod candidate_logits;
pub(crate) mod expected_buyers;
pub(crate) mod explainer;
pub(crate) mod explanation;
pub(crate) mod image_model;
pub(crate) mod launch_features;
pub(crate) mod loaded;
pub mod logits;
pub mod recommender;
pub mod store;
pub mod validation;
