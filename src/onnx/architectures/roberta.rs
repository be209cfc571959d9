//! RoBERTa and XLM-RoBERTa: BERT whose positions count the tokens that are not padding. <https://arxiv.org/abs/1907.11692>

use super::bert::{LAYER, embeddings, layer_sizes};
use super::config::Config;
use super::encoder::Encoder;
use super::{Error, Result};
use crate::onnx::graph::Value;

pub(super) fn encoder(encoder: &mut Encoder<'_>, config: &Config<'_>) -> Result<Value> {
    let sizes = layer_sizes(encoder, config)?;
    let padding = config.token_or("pad_token_id", 1)?;
    let rows = config.size("max_position_embeddings")?;
    encoder.max_positions = usable_positions(rows, padding)?;
    let inputs = encoder.inputs();
    encoder.graph.scope("embeddings");
    let positions = encoder.positions_after_padding(&inputs.ids, padding);
    let x = embeddings(encoder, config, &inputs.ids, &positions, rows)?;
    let mut x = encoder.layer_norm(&x, "embeddings.LayerNorm", sizes.epsilon)?;
    for layer in 0..config.size("num_hidden_layers")? {
        x = encoder.layer(&x, &format!("encoder.layer.{layer}"), &LAYER, sizes, &inputs.mask, None)?;
    }
    Ok(x)
}

/// The first token's position is `padding + 1`: the rows up to there are never used.
pub(super) fn usable_positions(rows: usize, padding: usize) -> Result<usize> {
    rows.checked_sub(padding + 1).filter(|usable| *usable > 0).ok_or_else(|| Error::Config {
        key: "max_position_embeddings".into(),
        problem: format!("is {rows}, which leaves no position after the padding token's {padding}"),
    })
}

/// A product and tanh on the first token, then the classifier. MPNet's is the same.
pub(super) fn head(encoder: &mut Encoder<'_>, _config: &Config<'_>, hidden: &Value) -> Result<Value> {
    encoder.graph.scope("classifier");
    let width = encoder.hidden_size;
    let first = encoder.first_token(hidden);
    let pooled = encoder.linear(&first, "classifier.dense", width, width)?;
    let pooled = encoder.graph.tanh(&pooled);
    encoder.linear(&pooled, "classifier.out_proj", width, 1)
}
