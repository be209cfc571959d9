//! A training step as a graph in the runtime that scores: forward, loss, backward, clipping and optimizer in one session.
//!
//! # Layout
//! - [`feed`]: what a batch gives
//! - [`graph`](mod@graph): an encoder and a loss become the models that are run
//! - [`session`]: steps, with parameters that stay on the device
//! - [`evaluate`]: the forward part alone, with the parameters of a training; [`forward`](mod@forward): of a version as it is
//! - [`state`]: what is kept to go on later
//!
//! The idea: ONNX Runtime has no trainer of its own any more, but a training step is only a bigger graph of ordinary
//! operators.

mod blocked;
mod buffers;
mod dropout;
pub mod evaluate;
pub mod feed;
pub mod forward;
pub mod graph;
mod open;
pub mod session;
pub mod state;

pub use debut_udfs::finetune::options::Precision;
pub use evaluate::{EvalSession, Evaluation};
pub use feed::{Feed, FeedValues};
pub use forward::ForwardSession;
pub use graph::{Settings, TrainGraph};
pub use session::{Outcome, StepSession};
pub use state::{NamedTensor, State};

#[cfg(test)]
mod tests;
