//! `finetune`: takes the rows of a call's sub-queries, gives a better version of a model.
//!
//! # Layout, in the order that a training goes
//! - [`trainer`]: the one who is called; a training from its request to its last row
//! - [`settings`]: what the options of a call mean here
//! - [`data`]: from tables to examples
//! - [`tokens`]: from texts to what the graph reads
//! - [`encoder`], [`pooling`], [`weights`]: a version's graph, ready to be edited
//! - [`method`], [`parameter`]: what of it is trained
//! - [`objective`]: head, loss, batches and metric
//! - [`optimizer`], [`step`]: a step as one graph, and running it
//! - [`measure`]: how good a version is
//! - [`fit`]: epochs of steps, with checkpoints, until the last or the best
//! - [`publish`]: from trained values to a version in the registry
//! - [`tower`]: the training that `recommend` asks for: an encoder beside collaborative factors
//! - [`run`]: what is kept on disk of all that
//!
//! Called by `engine::calls` through the trait `debut_udfs::trainer::Trainer`. Scoring never names this module: what
//! comes out is an ONNX model like any other.

pub mod data;
pub mod encoder;
mod error;
mod fit;
mod measure;
pub mod method;
pub mod objective;
pub mod optimizer;
pub mod parameter;
mod pooling;
mod publish;
pub mod run;
mod settings;
pub mod step;
mod tokens;
pub mod tower;
mod trainer;
mod weights;

pub use error::Error;
pub(crate) use settings::method as method_of;
pub(crate) use trainer::failed;
pub use trainer::{EncoderTrainer, Failure, Stopped};
