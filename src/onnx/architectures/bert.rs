//! BERT: word, position and segment embeddings, then post-norm layers. <https://arxiv.org/abs/1810.04805>

use super::config::Config;
use super::encoder::{Encoder, LayerNames, LayerSizes};
use super::{Error, Result};
use crate::onnx::graph::Value;

/// Names that BERT and RoBERTa share.
pub(super) const LAYER: LayerNames = LayerNames {
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    projection: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    output_norm: "output.LayerNorm",
};

pub(super) fn encoder(encoder: &mut Encoder<'_>, config: &Config<'_>) -> Result<Value> {
    let sizes = layer_sizes(encoder, config)?;
    encoder.max_positions = config.size("max_position_embeddings")?;
    let inputs = encoder.inputs();
    encoder.graph.scope("embeddings");
    let positions = encoder.positions(&inputs.ids);
    let x = embeddings(encoder, config, &inputs.ids, &positions, encoder.max_positions)?;
    let mut x = encoder.layer_norm(&x, "embeddings.LayerNorm", sizes.epsilon)?;
    for layer in 0..config.size("num_hidden_layers")? {
        x = encoder.layer(&x, &format!("encoder.layer.{layer}"), &LAYER, sizes, &inputs.mask, None)?;
    }
    Ok(x)
}

/// Sum of word, segment and position embeddings.
pub(super) fn embeddings(
    encoder: &mut Encoder<'_>,
    config: &Config<'_>,
    ids: &Value,
    positions: &Value,
    position_rows: usize,
) -> Result<Value> {
    let words = encoder.embedding(ids, "embeddings.word_embeddings", config.size("vocab_size")?)?;
    let segments = config.size_or("type_vocab_size", 2)?;
    // Where there is one segment there is nothing to tell apart: its row is added everywhere.
    let segment = if segments > 1 { encoder.token_types() } else { encoder.graph.scalar_i64(0) };
    let segment = encoder.embedding(&segment, "embeddings.token_type_embeddings", segments)?;
    let position = encoder.embedding(positions, "embeddings.position_embeddings", position_rows)?;
    let sum = encoder.graph.add(&words, &segment);
    Ok(encoder.graph.add(&sum, &position))
}

/// Reads the sizes under the names that all but DistilBERT use, and the encoder's width.
pub(super) fn layer_sizes(encoder: &mut Encoder<'_>, config: &Config<'_>) -> Result<LayerSizes> {
    encoder.hidden_size = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    check_heads(encoder.hidden_size, heads, "num_attention_heads")?;
    Ok(LayerSizes {
        heads,
        intermediate: config.size("intermediate_size")?,
        activation: config.activation("hidden_act")?,
        epsilon: config.float_or("layer_norm_eps", 1e-12)?,
    })
}

/// Heads must share the width evenly.
pub(super) fn check_heads(hidden: usize, heads: usize, key: &str) -> Result<()> {
    if hidden.is_multiple_of(heads) {
        return Ok(());
    }
    let problem = format!("is {heads}, which does not divide the width of {hidden}");
    Err(Error::Config { key: key.to_owned(), problem })
}

/// The pooler (a product and tanh on the first token) and the classifier.
pub(super) fn head(encoder: &mut Encoder<'_>, _config: &Config<'_>, hidden: &Value) -> Result<Value> {
    encoder.graph.scope("classifier");
    let width = encoder.hidden_size;
    let first = encoder.first_token(hidden);
    let pooled = encoder.linear(&first, "pooler.dense", width, width)?;
    let pooled = encoder.graph.tanh(&pooled);
    encoder.linear(&pooled, "classifier", width, 1)
}
