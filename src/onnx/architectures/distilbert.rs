//! DistilBERT: BERT without segments, under names of its own. <https://arxiv.org/abs/1910.01108>

use super::Result;
use super::bert::check_heads;
use super::config::Config;
use super::encoder::{Encoder, LayerNames, LayerSizes};
use crate::onnx::graph::Value;

/// Fixed in DistilBERT, not a setting.
const EPSILON: f32 = 1e-12;

const LAYER: LayerNames = LayerNames {
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    projection: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    output_norm: "output_layer_norm",
};

pub(super) fn encoder(encoder: &mut Encoder<'_>, config: &Config<'_>) -> Result<Value> {
    encoder.hidden_size = config.size("dim")?;
    let heads = config.size("n_heads")?;
    check_heads(encoder.hidden_size, heads, "n_heads")?;
    let sizes = LayerSizes {
        heads,
        intermediate: config.size("hidden_dim")?,
        activation: config.activation("activation")?,
        epsilon: EPSILON,
    };
    encoder.max_positions = config.size("max_position_embeddings")?;
    let inputs = encoder.inputs();
    encoder.graph.scope("embeddings");
    let words = encoder.embedding(&inputs.ids, "embeddings.word_embeddings", config.size("vocab_size")?)?;
    let positions = encoder.positions(&inputs.ids);
    let positions = encoder.embedding(&positions, "embeddings.position_embeddings", encoder.max_positions)?;
    let sum = encoder.graph.add(&words, &positions);
    let mut x = encoder.layer_norm(&sum, "embeddings.LayerNorm", sizes.epsilon)?;
    for layer in 0..config.size("n_layers")? {
        x = encoder.layer(&x, &format!("transformer.layer.{layer}"), &LAYER, sizes, &inputs.mask, None)?;
    }
    Ok(x)
}

/// A product and relu on the first token, then the classifier.
pub(super) fn head(encoder: &mut Encoder<'_>, _config: &Config<'_>, hidden: &Value) -> Result<Value> {
    encoder.graph.scope("classifier");
    let width = encoder.hidden_size;
    let first = encoder.first_token(hidden);
    let pooled = encoder.linear(&first, "pre_classifier", width, width)?;
    let pooled = encoder.graph.relu(&pooled);
    encoder.linear(&pooled, "classifier", width, 1)
}
