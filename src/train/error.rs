//! What can go wrong in the mechanics of training: opening an encoder, choosing what is trained, building and running a
//! step. Each message names the model's part or the option, the value, and what to do.

use std::path::PathBuf;

/// Errors of `encoder`, `method`, `optimizer` and `step`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The graph or its data cannot be read.
    #[error("cannot read the model's graph: {0}")]
    Graph(#[from] crate::onnx::Error),
    /// An operator of the model cannot be differentiated.
    #[error("cannot train this model: {0}")]
    Gradient(#[from] crate::autodiff::Error),
    /// The graph is not what the manifest says.
    #[error("cannot train this model: {0}")]
    Encoder(String),
    /// An initializer's data is not there or not as long as its shape says.
    #[error("cannot read tensor '{tensor}' of the model: {reason}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// A file with a tensor's data cannot be read.
    #[error("cannot read tensor '{tensor}' from '{}': {source}", path.display())]
    Data {
        /// The tensor.
        tensor: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nothing in the model is what the method trains.
    #[error("method '{method}' finds nothing to train: {reason}")]
    NothingToTrain {
        /// The method.
        method: &'static str,
        /// What it looks for, and what the model has.
        reason: String,
    },
    /// The model's weights are stored in halves or bytes.
    #[error(
        "method '{method}' trains f32 weights, and those of this model are {kind} ('{tensor}'): train a head on its vectors \
         (method => 'head'), or train the model that it was made from and compress the result"
    )]
    NarrowWeights {
        /// The method.
        method: String,
        /// The type of the weights.
        kind: &'static str,
        /// The first of them.
        tensor: String,
    },
    /// An option of a method, of the optimizer or of the step makes no sense.
    #[error("{option} is {value}, but must be {expected}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: String,
    },
    /// Values that were trained do not fit the model or the method.
    #[error("trained tensor '{tensor}' {problem}: it was made for another model or with other options")]
    Trained {
        /// Its name.
        tensor: String,
        /// What does not fit.
        problem: String,
    },
    /// An input of the training graph that no feed fills, or one that it cannot be filled with.
    #[error("the batch does not fit input '{input}' of the training graph: {reason}")]
    Feed {
        /// The input.
        input: String,
        /// What is wrong.
        reason: String,
    },
    /// The runtime refused the graph or the device.
    #[error("cannot prepare training on {device}: {source}")]
    Open {
        /// `cpu` or `cuda:0 (...)`.
        device: String,
        /// What the runtime said.
        source: ort::Error,
    },
    /// The runtime failed in a step.
    #[error("training step {step} failed on {device}: {source}")]
    Run {
        /// Which step, from 1.
        step: u64,
        /// `cpu` or `cuda:0 (...)`.
        device: String,
        /// What the runtime said.
        source: ort::Error,
    },
    /// The loss or its gradient is infinite or not a number; the parameters are as they were before the step.
    #[error(
        "the {what} is {value} at training step {step}: lower the learning rate, clip the gradient, or look for values in \
         the data that are not finite"
    )]
    NotFinite {
        /// `loss` or `gradient's norm`.
        what: &'static str,
        /// Its value.
        value: f32,
        /// Which step, from 1.
        step: u64,
    },
    /// A saved state is not one of this training graph.
    #[error("the saved state does not fit this training: {0}")]
    State(String),
}
