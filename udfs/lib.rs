//! Debut's SQL functions for any DataFusion session.
//!
//! Takes a [`model::ModelProvider`]; gives the scalar, aggregate and table functions of Debut's SQL surface.
//! Called by `debut::engine`, and by anyone who wants the functions in a DataFusion session of their own.
//!
//! Invariant: nothing in this crate names ONNX Runtime. Models are known by the traits in [`model`] only.

pub mod config;
pub mod model;
