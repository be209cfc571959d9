//! Running models: takes inputs and the name of a model, gives vectors or logits through ONNX Runtime.
//!
//! # Layout, in the order that a job's data flows
//! - [`Models`]: the models of this process by name and device; implements `debut_udfs::model::ModelProvider`
//! - `cache`: vectors that were computed before, in front of a model
//! - [`LoadedModel`]: one of them; implements `debut_udfs::model::Model`
//! - `towers`: two of them under one name, for pictures and for texts
//! - `preprocessor`, by `modality`: what makes inputs ready for a graph; for texts it is `tokenizer` (with `prefix`,
//!   `normalizer`, `tokens`; `contain`: panics of the library that does it), for pictures `image`, for both `text_and_bytes`
//! - `batcher`: rows of similar length into runs
//! - `job`, `session`, `inputs`, `tensor`: the thread that owns a session, and what it is handed
//! - `pooling`: output tensors to the job's values
//! - [`runtime`], `open`, `threads`: ONNX Runtime itself, how a session is opened, and on how many cores
//!
//! Invariant: only this module and `train::step` name ONNX Runtime; SQL functions see traits.

mod batcher;
pub(crate) mod cache;
pub(crate) mod contain;
mod error;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod image;
mod inputs;
mod job;
mod modality;
mod model;
mod models;
mod normalizer;
mod open;
pub(crate) mod pool;
mod pooling;
mod prefix;
pub(crate) mod preprocessor;
pub mod runtime;
mod session;
mod tensor;
#[cfg(test)]
mod tests;
pub(crate) mod text_and_bytes;
pub(crate) mod threads;
pub(crate) mod tokenizer;
pub(crate) mod tokens;
mod towers;
pub(crate) mod vnni;

pub use error::Error;
pub(crate) use image::frames;
pub use model::LoadedModel;
pub use models::Models;
