//! Training runs on disk: what was asked for, what happened, and where to go on after a crash.
//!
//! One folder a run, `<home>/runs/<id>/`:
//! - `run.json`: the exact options, the data's fingerprint, the status, the result; replaced whole
//! - `metrics.jsonl`: one measured value a line, appended
//! - `checkpoint.safetensors`: the last state to go on from; replaced whole, gone when the run has ended for good
//! - `part-*.safetensors`: what is finished of a training of several parts; gone when the run has ended for good
//! - `events.out.tfevents.*`: the same values for TensorBoard
//!
//! # Layout
//! - [`Runs`]: all runs; creates, lists, finds and resumes them
//! - [`Run`]: the one that is under way; locked as long as its process lives
//! - [`info`], [`recommender`], [`top_losses`]: what `run.json` holds
//! - [`metrics`], [`checkpoint`], `events`: the other files

mod active;
pub mod checkpoint;
mod error;
mod events;
pub mod info;
pub mod metrics;
pub mod recommender;
mod runs;
pub mod top_losses;

pub use active::Run;
pub use error::{Error, Result};
pub use runs::{Listed, Runs};

#[cfg(test)]
mod tests;
