//! From a checkpoint to a graph: takes `config.json` and safetensors weights, gives a decomposed ONNX graph whose
//! initializers are filled when it is written.
//!
//! One file per architecture; [`encoder`] holds what they share. The graphs use plain operators only, because training
//! differentiates them; [`super::fuse`] rewrites them for scoring. Inputs are `input_ids` and `attention_mask`, both
//! `i64 [batch, sequence]`, and `token_type_ids` where the model tells segments apart. The output is
//! `last_hidden_state`, `f32 [batch, sequence, hidden]`, or `logits`, `f32 [batch, 1]`.

mod bert;
mod config;
mod distilbert;
mod encoder;
mod mpnet;
mod roberta;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use serde_json::Value as Json;

use super::file::{self, TensorSource};
use super::proto::ModelProto;
use super::weights::Weights;
use super::{Error, Result};
use config::Config;
use encoder::{Encoder, Parameter};

/// Name of the output that holds one vector a token.
pub const TOKEN_EMBEDDINGS: &str = "last_hidden_state";
/// Name of the output that holds one logit a row.
pub const LOGITS: &str = "logits";

/// Adds an architecture's nodes to the encoder and returns its hidden states, `[batch, sequence, hidden]`.
type BuildEncoder = fn(&mut Encoder<'_>, &Config) -> Result<super::graph::Value>;
/// Adds the head of a sequence classification model and returns its logits, `[batch, 1]`.
type BuildHead = fn(&mut Encoder<'_>, &Config, &super::graph::Value) -> Result<super::graph::Value>;

/// `model_type`, how to build it, and its head.
const ARCHITECTURES: [(&str, BuildEncoder, BuildHead); 5] = [
    ("bert", bert::encoder, bert::head),
    ("distilbert", distilbert::encoder, distilbert::head),
    ("mpnet", mpnet::encoder, roberta::head),
    ("roberta", roberta::encoder, roberta::head),
    ("xlm-roberta", roberta::encoder, roberta::head),
];

/// What the output of a built graph holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// [`TOKEN_EMBEDDINGS`].
    TokenEmbeddings,
    /// [`LOGITS`].
    Logits,
}

/// A graph made from a checkpoint, with what a caller must know of it.
#[derive(Debug)]
pub struct BuiltModel {
    /// The graph; its parameters are open until [`Self::write`]. Their names are those of the checkpoint without the
    /// prefix of the encoder (`encoder.layer.0.attention.self.query.weight`), matrices transposed to `[in, out]`.
    pub model: ModelProto,
    /// What the output holds.
    pub output: OutputKind,
    /// `model_type` of `config.json`.
    pub architecture: String,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Longest input in tokens, special tokens included.
    pub max_positions: usize,
    parameters: HashMap<String, Parameter>,
}

impl BuiltModel {
    /// The output's name in the graph.
    pub fn output_name(&self) -> &'static str {
        match self.output {
            OutputKind::TokenEmbeddings => TOKEN_EMBEDDINGS,
            OutputKind::Logits => LOGITS,
        }
    }

    /// Writes the graph to `path` and the weights beside it, one tensor at a time. `weights` are those it was built from.
    ///
    /// # Errors
    /// Those of [`file::write`].
    pub fn write(self, weights: &Weights, path: &Path) -> Result<()> {
        file::write(self.model, path, &Checkpoint { weights, parameters: &self.parameters })
    }
}

struct Checkpoint<'a> {
    weights: &'a Weights,
    parameters: &'a HashMap<String, Parameter>,
}

impl TensorSource for Checkpoint<'_> {
    fn write(&self, name: &str, sink: &mut dyn Write) -> std::io::Result<()> {
        match self.parameters.get(name) {
            Some(parameter) => self.weights.write_f32(&parameter.source, parameter.transpose, sink),
            None => file::NoSource.write(name, sink),
        }
    }
}

/// The architectures that [`build`] knows, sorted.
pub fn supported() -> impl Iterator<Item = &'static str> {
    ARCHITECTURES.iter().map(|(name, ..)| *name)
}

/// Builds the graph of the model that `config` (the content of `config.json`) describes. Every tensor it needs is
/// checked to be in `weights` with the right shape.
///
/// A model whose `architectures` name a `...ForSequenceClassification` gives logits and must have one label; any other
/// gives hidden states, and heads in the weights are ignored.
///
/// # Errors
/// An unknown architecture, a setting that is missing or not supported, or a tensor that is missing, has another shape or
/// type, or has no place in the architecture.
pub fn build(config: &Json, weights: &Weights) -> Result<BuiltModel> {
    let config = Config::new(config)?;
    let architecture = config.text("model_type")?.ok_or_else(|| config.missing("model_type"))?;
    let Some((_, encode, head)) = ARCHITECTURES.iter().find(|(name, ..)| *name == architecture) else {
        let supported = supported().collect::<Vec<_>>().join(", ");
        return Err(Error::UnknownArchitecture { found: architecture.to_owned(), supported });
    };
    config.refuse_unsupported()?;

    let mut encoder = Encoder::new(architecture, weights)?;
    let hidden = encode(&mut encoder, &config)?;
    let output = if config.is_sequence_classification()? { OutputKind::Logits } else { OutputKind::TokenEmbeddings };
    let hidden_size = encoder.hidden_size;
    match output {
        OutputKind::TokenEmbeddings => encoder.output(&hidden, TOKEN_EMBEDDINGS, &["batch", "sequence"], hidden_size),
        OutputKind::Logits => {
            let logits = head(&mut encoder, &config, &hidden)?;
            encoder.output(&logits, LOGITS, &["batch"], 1);
        }
    }
    encoder.refuse_unused()?;
    Ok(BuiltModel {
        output,
        architecture: architecture.to_owned(),
        hidden_size,
        max_positions: encoder.max_positions,
        model: encoder.graph.finish(),
        parameters: encoder.parameters,
    })
}

#[cfg(test)]
mod tests;
