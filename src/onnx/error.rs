//! What can go wrong with model files. Each message names the file, tensor or setting and what was expected.

use std::path::{Path, PathBuf};

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with a model's files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system said no.
    #[error("cannot {action} '{}': {source}", path.display())]
    Io {
        /// What was being done: `read`, `write`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Not an ONNX model, or a damaged one.
    #[error("'{}' is not a readable ONNX model: {source}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: prost::DecodeError,
    },
    /// A message without what it must have.
    #[error("'{}' is not an ONNX model: {reason}", path.display())]
    NotAModel {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// Not a safetensors file, or a damaged one.
    #[error("'{}' is not a readable safetensors file: {source}", path.display())]
    SafeTensors {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: safetensors::SafeTensorError,
    },
    /// Not a state dict of PyTorch, a damaged one, or one with more in it than tensors.
    #[error("'{}' is not a state dict that can be read: {reason}", path.display())]
    StateDict {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Graphs that cannot become one.
    #[error("the two graphs cannot be joined: {reason}")]
    Join {
        /// Why not.
        reason: String,
    },
    /// A safetensors file that ends inside a tensor.
    #[error(
        "'{}' is truncated: tensor '{tensor}' (shape {shape:?}) ends at byte {end}, the file has {size}; \
         download or copy it again",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The first tensor, by place in the file, that is not whole.
        tensor: String,
        /// Its shape as the file declares it.
        shape: Vec<usize>,
        /// Where it should end, in bytes from the start of the file.
        end: u64,
        /// Size of the file in bytes.
        size: u64,
    },
    /// A JSON file that cannot be understood.
    #[error("cannot read '{}': {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: serde_json::Error,
    },
    /// A folder without weights.
    #[error("no weights in '{}': {hint}", folder.display())]
    NoWeights {
        /// The folder.
        folder: PathBuf,
        /// What to do.
        hint: String,
    },
    /// A tensor that the architecture needs and the weights lack.
    #[error("tensor '{name}' (shape {expected:?}) is missing from '{}'", folder.display())]
    MissingTensor {
        /// Its name.
        name: String,
        /// The shape it should have.
        expected: Vec<usize>,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A tensor of another shape than `config.json` says.
    #[error("tensor '{name}' has shape {found:?}, but config.json asks for {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// An element type that cannot be imported.
    #[error("tensor '{name}' has elements of type {found}; F64, F32, F16 and BF16 can be imported")]
    DataType {
        /// The tensor.
        name: String,
        /// Its element type.
        found: String,
    },
    /// Weights that no part of the architecture uses, though they lie inside the encoder.
    #[error(
        "tensor '{name}' belongs to the encoder but the architecture '{architecture}' as config.json describes it has no \
         place for it (an adapter that was not merged, or more layers than config.json says)"
    )]
    UnusedTensor {
        /// The tensor.
        name: String,
        /// `model_type` of `config.json`.
        architecture: String,
    },
    /// Weights where the encoder cannot be told.
    #[error("cannot tell which part of the weights is the encoder: {reason}")]
    AmbiguousWeights {
        /// Why.
        reason: String,
    },
    /// A setting in `config.json` that is missing or makes no sense.
    #[error("config.json: '{key}' {problem}")]
    Config {
        /// The setting.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A setting in `config.json` that is understood but not supported.
    #[error("config.json: {key} = {value} is not supported: {reason}")]
    Unsupported {
        /// The setting.
        key: String,
        /// Its value.
        value: String,
        /// Why, and what is supported.
        reason: String,
    },
    /// A model type that there is no importer for.
    #[error(
        "the architecture '{found}' cannot be imported from its weights (supported: {supported}); export the model to ONNX \
         and import that"
    )]
    UnknownArchitecture {
        /// `model_type` of `config.json`.
        found: String,
        /// Those that can be imported.
        supported: String,
    },
    /// Data outside of the model file that is not where it may be.
    #[error("tensor '{tensor}' keeps its data in '{location}', which {problem}")]
    ExternalData {
        /// The tensor.
        tensor: String,
        /// The file, as the model names it.
        location: String,
        /// What is wrong.
        problem: String,
    },
    /// A tensor whose data is neither in the message nor given by the writer's caller.
    #[error("tensor '{tensor}' has no data to write")]
    NoData {
        /// The tensor.
        tensor: String,
    },
    /// A tensor whose data is not as long as its shape says.
    #[error("tensor '{tensor}' has {found} bytes of data where its shape and type ask for {expected}")]
    Length {
        /// The tensor.
        tensor: String,
        /// Bytes there are.
        found: u64,
        /// Bytes there should be.
        expected: u64,
    },
}

impl Error {
    /// For `map_err` at a file operation.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
