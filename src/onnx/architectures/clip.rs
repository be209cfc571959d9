//! CLIP: a tower for pictures and one for texts, whose projected vectors lie in one space.
//! <https://arxiv.org/abs/2103.00020>

use super::Result;
use super::config::{Activation, Config};
use super::encoder::Encoder;
use super::vision::Map;
use super::vision_transformer::{CLIP, Sizes, check_picture};
use crate::onnx::graph::{Value, attribute_int};
use crate::onnx::proto::DataType;

/// A tensor that tells where the names of the tower for pictures begin.
pub(super) const ANCHORS: [&str; 1] = ["embeddings.class_embedding"];
/// The same of the tower for texts, of CLIP and of SigLIP.
pub(super) const TEXT_ANCHORS: [&str; 1] = ["embeddings.token_embedding.weight"];
/// The end of a text, where nothing says it.
const END: usize = 49_407;
/// What checkpoints say is the end that were written before it was known; there it is the highest of all tokens.
const UNKNOWN_END: usize = 2;
/// Width of the common space.
pub(super) const PROJECTION: usize = 512;

/// The tower for pictures.
pub(super) fn encoder(encoder: &mut Encoder<'_>, config: &Config<'_>, picture: Map) -> Result<Value> {
    let whole = config;
    let tower = config.section("vision_config")?;
    let config = tower.as_ref().unwrap_or(config);
    check_picture(config, &picture, 224)?;
    let sizes = Sizes::read(encoder, config, (768, 12, 3072, Activation::GeluQuick, 1e-5))?;
    let hidden = encoder.hidden_size;
    encoder.graph.scope("embeddings");
    let (patches, count) = encoder.patches(&picture, "embeddings.patch_embedding")?;
    let token = encoder.parameter("embeddings.class_embedding", &[hidden])?;
    let x = encoder.with_class_token(&patches, &token);
    let positions = encoder.parameter("embeddings.position_embedding.weight", &[count + 1, hidden])?;
    let x = encoder.graph.add(&x, &positions);
    // The misspelling is the checkpoints' own.
    let mut x = encoder.layer_norm(&x, "pre_layrnorm", sizes.epsilon)?;
    for layer in 0..config.size_or("num_hidden_layers", 12)? {
        x = encoder.pre_norm_layer(&x, &format!("encoder.layers.{layer}"), &CLIP, sizes, None)?;
    }
    encoder.graph.scope("head");
    let first = encoder.first_token(&x);
    let first = encoder.layer_norm(&first, "post_layernorm", sizes.epsilon)?;
    if !encoder.has("visual_projection.weight") {
        return Ok(first);
    }
    let width = whole.size_or("projection_dim", PROJECTION)?;
    let vector = encoder.projection(&first, "visual_projection", hidden, width)?;
    encoder.hidden_size = width;
    Ok(vector)
}

/// The tower for texts: each token sees those before it, and the first end of the text is read.
pub(super) fn text(encoder: &mut Encoder<'_>, config: &Config<'_>) -> Result<Value> {
    let whole = config;
    let tower = config.section("text_config")?;
    let config = tower.as_ref().unwrap_or(config);
    let sizes = Sizes::read(encoder, config, (512, 8, 2048, Activation::GeluQuick, 1e-5))?;
    let hidden = encoder.hidden_size;
    encoder.max_positions = config.size_or("max_position_embeddings", 77)?;
    let inputs = encoder.inputs();
    let attention_mask = encoder.graph.value("attention_mask");
    let positions = encoder.positions(&inputs.ids);
    let causal = causal_mask(encoder, &positions);
    let mask = encoder.graph.add(&causal, &inputs.mask);
    encoder.graph.scope("embeddings");
    let mut x = token_embeddings(encoder, config, &inputs.ids, &positions, 49_408)?;
    for layer in 0..config.size_or("num_hidden_layers", 12)? {
        x = encoder.pre_norm_layer(&x, &format!("encoder.layers.{layer}"), &CLIP, sizes, Some(&mask))?;
    }
    encoder.graph.scope("head");
    let x = encoder.layer_norm(&x, "final_layer_norm", sizes.epsilon)?;
    // Padding may not be taken for the end.
    let ids = encoder.graph.mul(&inputs.ids, &attention_mask);
    let ends = match config.token_or("eos_token_id", END)? {
        UNKNOWN_END => ids,
        end => {
            let end = encoder.graph.scalar_i64(end as i64);
            let is_end = encoder.graph.node("Equal", &[&ids, &end], vec![]);
            encoder.graph.cast(&is_end, DataType::Int32)
        }
    };
    let place = encoder.graph.node("ArgMax", &[&ends], vec![attribute_int("axis", 1), attribute_int("keepdims", 1)]);
    let end = encoder.graph.node("GatherND", &[&x, &place], vec![attribute_int("batch_dims", 1)]);
    if !encoder.has("text_projection.weight") {
        return Ok(end);
    }
    let width = whole.size_or("projection_dim", PROJECTION)?;
    let vector = encoder.projection(&end, "text_projection", hidden, width)?;
    encoder.hidden_size = width;
    Ok(vector)
}

/// The embeddings of tokens and of their positions.
pub(super) fn token_embeddings(
    encoder: &mut Encoder<'_>,
    config: &Config<'_>,
    ids: &Value,
    positions: &Value,
    vocabulary: usize,
) -> Result<Value> {
    let words = encoder.embedding(ids, "embeddings.token_embedding", config.size_or("vocab_size", vocabulary)?)?;
    let positions = encoder.embedding(positions, "embeddings.position_embedding", encoder.max_positions)?;
    Ok(encoder.graph.add(&words, &positions))
}

/// A very negative number where a key stands behind its query, `[sequence, sequence]`.
fn causal_mask(encoder: &mut Encoder<'_>, positions: &Value) -> Value {
    let (queries, keys) = (encoder.graph.unsqueeze(positions, &[1]), encoder.graph.unsqueeze(positions, &[0]));
    let behind = encoder.graph.node("Greater", &[&keys, &queries], vec![]);
    let (lowest, zero) = (encoder.graph.scalar_f32(f32::MIN), encoder.graph.scalar_f32(0.0));
    encoder.graph.node("Where", &[&behind, &lowest, &zero], vec![])
}
