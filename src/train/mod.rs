//! `finetune`: takes the rows of a call's sub-queries, gives a better version of a model.
//!
//! # Layout, in the order that a training goes
//! - [`lifecycle`]: a training from its request to its last row: its thread, its run on disk, its publication
//! - [`trainer`]: what that is for an encoder
//! - [`failure`]: how a training ends before it is done
//! - `since`: what `since => 'last'` goes on from
//! - [`settings`]: what the options of a call mean here
//! - `fusion`: the version that it starts from; of texts with pictures one that reads both
//! - [`data`]: from tables to examples
//! - [`inputs`]: from texts and pictures to what the graph reads
//! - [`encoder`], [`delta`], [`pooling`], [`weights`]: a version's graph, ready to be edited
//! - [`method`], [`parameter`]: what of it is trained
//! - [`objective`]: head, loss, batches and metric
//! - [`optimizer`], [`step`]: a step as one graph, and running it
//! - [`measure`]: how good a version is; `interval`: how far the difference of two may be off
//! - [`fit`]: epochs of steps, with checkpoints, until the last or the best
//! - [`publish`]: from trained values to the files of a version
//! - [`tower`]: the training that `recommend` asks for: an encoder beside collaborative factors
//! - [`distill`]: a small and fast student of a base
//! - [`random`]: the random numbers of a run, by what they are for
//! - [`run`]: what is kept on disk of all that
//!
//! Scoring never names this module: what comes out is an ONNX model like any other.

pub mod data;
mod delta;
mod distill;
pub mod encoder;
mod error;
pub(crate) mod failure;
mod fit;
mod fusion;
mod inputs;
mod interval;
pub(crate) mod lifecycle;
pub(crate) mod measure;
pub mod method;
pub mod objective;
pub mod optimizer;
pub mod parameter;
mod pooling;
mod publish;
pub mod random;
pub mod run;
mod settings;
pub(crate) mod since;
pub mod step;
pub mod tower;
mod trainer;
pub(crate) mod weights;

pub use error::Error;
pub use failure::{Failure, Stopped};
pub use trainer::EncoderTrainer;
