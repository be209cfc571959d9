//! What can go wrong when a model is opened or run.

use std::path::PathBuf;

/// Errors of `debut::inference`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the model was there at import and is gone.
    #[error("the file {} of model '{model}' is missing: import the model again with CREATE MODEL", path.display())]
    Vanished {
        /// `name@version`.
        model: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `tokenizer.json` cannot be read or used.
    #[error("cannot use the tokenizer {} of model '{model}': {source}", path.display())]
    Tokenizer {
        /// `name@version`.
        model: String,
        /// The tokenizer's file.
        path: PathBuf,
        /// What the tokenizers library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The graph's products would be wrong here.
    #[error(
        "model '{model}' was compressed to int8 on a processor with VNNI instructions, without which its products are wrong, and this \
         processor has none: use the model that it was made of, or compress that here"
    )]
    NoVnni {
        /// `name@version`.
        model: String,
    },
    /// The model's longest input leaves no token for the text.
    #[error(
        "model '{model}' reads {max_tokens} tokens, but its tokenizer alone adds {added}: raise max_tokens in its \
         debut.json"
    )]
    NoRoom {
        /// `name@version`.
        model: String,
        /// Longest input in tokens.
        max_tokens: usize,
        /// Special tokens in every input.
        added: usize,
    },
    /// The graph cannot be read or prepared for scoring.
    #[error("cannot read the graph {} of model '{model}': {source}", path.display())]
    Graph {
        /// `name@version`.
        model: String,
        /// The graph's file.
        path: PathBuf,
        /// What was wrong with it.
        source: Box<crate::onnx::Error>,
    },
    /// The runtime refused the graph or the device.
    #[error("ONNX Runtime cannot open model '{model}' on {device}: {source}")]
    Open {
        /// `name@version`.
        model: String,
        /// `cpu` or `cuda:0`.
        device: String,
        /// What the runtime said.
        source: ort::Error,
    },
    /// `preprocessor_config.json` cannot be used.
    #[error("cannot prepare pictures for model '{model}' as {} says: {reason}", path.display())]
    ImageProcessor {
        /// `name@version`.
        model: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The graph has an input that cannot be filled from what the model reads.
    #[error("the graph of model '{model}' needs the input '{input}' ({found}); Debut makes only {made} for it")]
    Input {
        /// `name@version`.
        model: String,
        /// The graph's input.
        input: String,
        /// Its type.
        found: String,
        /// Those that can be filled, and their type.
        made: String,
    },
    /// The graph's output is not what the manifest says.
    #[error("output '{output}' of model '{model}' is {found}, expected {expected}")]
    Output {
        /// `name@version`.
        model: String,
        /// The graph's output.
        output: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A run of the session failed.
    #[error("ONNX Runtime failed on {rows} rows of up to {length} tokens in model '{model}' on {device}: {source}")]
    Run {
        /// `name@version`.
        model: String,
        /// `cpu` or `cuda:0`.
        device: String,
        /// Rows of the run.
        rows: usize,
        /// Tokens of its longest row.
        length: usize,
        /// What the runtime said.
        source: ort::Error,
    },
    /// A run needs more memory than there is.
    #[error(
        "there is not enough memory on {device} for {rows} rows of up to {length} tokens in model '{model}': SET debut.max_batch_tokens \
         to less than {} ({source})",
        rows * length
    )]
    Memory {
        /// `name@version`.
        model: String,
        /// `cpu` or `cuda:0`.
        device: String,
        /// Rows of the run.
        rows: usize,
        /// Tokens of its longest row.
        length: usize,
        /// What the runtime said.
        source: ort::Error,
    },
    /// Texts for a model of pairs or of bytes, or the other way round.
    #[error("model '{model}' is a {task} model: it wants {wanted}, not {found}")]
    Kind {
        /// `name@version`.
        model: String,
        /// What the model does.
        task: debut_udfs::model::Task,
        /// What it wants a row to be.
        wanted: debut_udfs::model::InputKind,
        /// What it is.
        found: debut_udfs::model::InputKind,
    },
    /// The two sides of the pairs differ in length.
    #[error("model '{model}' got {left} texts to pair with {right}")]
    Pairs {
        /// `name@version`.
        model: String,
        /// Rows of the first side.
        left: usize,
        /// Rows of the second side.
        right: usize,
    },
    /// A thread could not be started.
    #[error("cannot start a thread for model '{model}': {source}")]
    Thread {
        /// `name@version`.
        model: String,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The thread that owns the session ended.
    #[error("the thread that runs model '{model}' ended unexpectedly; its message is in the log")]
    Stopped {
        /// `name@version`.
        model: String,
    },
}
