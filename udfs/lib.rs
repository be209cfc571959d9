//! Debut's SQL functions for any DataFusion session.
//!
//! Takes a [`model::ModelProvider`]; gives the scalar, aggregate and table functions of Debut's SQL surface:
//! [`functions::register_all`]. Called by `debut::engine`, and by anyone with a DataFusion session of their own.
//!
//! # Layout
//! - [`model`]: the contract with whatever runs models; [`models`]: how functions hold it; [`config`]: `debut.*` settings
//! - [`embed`], [`score`], [`predict`], [`distance`], [`profile`], [`vector_search`]: one SQL function (or family) each
//! - [`finetune`]: the options of the table function that trains; [`trainer`]: the contract with whatever trains
//! - `call`, [`inference`], [`distinct`], [`text`], [`vectors`]: what the functions and the engine's inference node share
//!
//! # Invariant
//! Nothing in this crate names ONNX Runtime. Models are known by the traits in [`model`] only.

mod call;
pub mod config;
pub mod distance;
pub mod distinct;
pub mod embed;
pub mod finetune;
pub mod functions;
pub mod inference;
pub mod model;
pub mod models;
pub mod predict;
pub mod profile;
pub mod score;
pub mod text;
pub mod trainer;
pub mod vector_search;
pub mod vectors;
