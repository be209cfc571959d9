//! SigLIP: a tower for pictures and one for texts, whose vectors lie in one space. <https://arxiv.org/abs/2303.15343>
//!
//! A picture's vector is gathered from its patches by attention: a learned vector is the only query.

use super::Result;
use super::clip::token_embeddings;
use super::config::{Activation, Config};
use super::encoder::Encoder;
use super::vision::Map;
use super::vision_transformer::{CLIP, Sizes, check_picture};
use crate::onnx::graph::{Value, attribute_int};

/// A tensor that tells where the names of the tower for pictures begin.
pub(super) const ANCHORS: [&str; 1] = ["embeddings.patch_embedding.weight"];

/// The tower for pictures.
pub(super) fn encoder(encoder: &mut Encoder<'_>, config: &Config<'_>, picture: Map) -> Result<Value> {
    let tower = config.section("vision_config")?;
    let config = tower.as_ref().unwrap_or(config);
    check_picture(config, &picture, 224)?;
    if !config.flag_or("vision_use_head", true)? {
        return Err(config.unsupported("vision_use_head", false, "the head gives the vector"));
    }
    let sizes = Sizes::read(encoder, config, (768, 12, 3072, Activation::GeluTanh, 1e-6))?;
    let hidden = encoder.hidden_size;
    encoder.graph.scope("embeddings");
    let (patches, count) = encoder.patches(&picture, "embeddings.patch_embedding")?;
    let positions = encoder.parameter("embeddings.position_embedding.weight", &[count, hidden])?;
    let mut x = encoder.graph.add(&patches, &positions);
    for layer in 0..config.size_or("num_hidden_layers", 12)? {
        x = encoder.pre_norm_layer(&x, &format!("encoder.layers.{layer}"), &CLIP, sizes, None)?;
    }
    encoder.graph.scope("head");
    let x = encoder.layer_norm(&x, "post_layernorm", sizes.epsilon)?;
    let probe = encoder.parameter("head.probe", &[1, 1, hidden])?;
    // The runtime's own attention wants as many queries as pictures.
    let probe = encoder.for_each_picture(&probe, &x);
    let [query, key, value] = encoder.joined_inputs([&probe, &x, &x], "head.attention.in_proj", "_weight", "_bias")?;
    let gathered = encoder.mix(&query, &key, &value, sizes.heads, None, None);
    let gathered = encoder.linear(&gathered, "head.attention.out_proj", hidden, hidden)?;
    let normal = encoder.layer_norm(&gathered, "head.layernorm", sizes.epsilon)?;
    let products = ["head.mlp.fc1", "head.mlp.fc2"].map(str::to_owned);
    let narrow = encoder.two_products(&normal, products, sizes)?;
    let sum = encoder.graph.add(&gathered, &narrow);
    Ok(encoder.first_token(&sum))
}

/// The tower for texts. It was trained on texts that are all filled up to the same length, and reads the last token of that:
/// so it fills them up itself, and masks nothing.
pub(super) fn text(encoder: &mut Encoder<'_>, config: &Config<'_>) -> Result<Value> {
    let tower = config.section("text_config")?;
    let config = tower.as_ref().unwrap_or(config);
    let sizes = Sizes::read(encoder, config, (768, 12, 3072, Activation::GeluTanh, 1e-6))?;
    let hidden = encoder.hidden_size;
    let longest = config.size_or("max_position_embeddings", 64)?;
    encoder.max_positions = longest;
    let ids = encoder.inputs().ids;
    let mask = encoder.graph.value("attention_mask");
    let filled = fill_up(encoder, &ids, &mask, longest, config.token_or("pad_token_id", 1)?);
    let positions = encoder.positions(&filled);
    encoder.graph.scope("embeddings");
    let mut x = token_embeddings(encoder, config, &filled, &positions, 32_000)?;
    for layer in 0..config.size_or("num_hidden_layers", 12)? {
        x = encoder.pre_norm_layer(&x, &format!("encoder.layers.{layer}"), &CLIP, sizes, None)?;
    }
    encoder.graph.scope("head");
    let x = encoder.layer_norm(&x, "final_layer_norm", sizes.epsilon)?;
    let last = encoder.graph.scalar_i64(-1);
    let last = encoder.graph.gather(&x, &last, 1);
    let width = config.size_or("projection_size", hidden)?;
    let vector = encoder.linear(&last, "head", hidden, width)?;
    encoder.hidden_size = width;
    Ok(vector)
}

/// `ids` with `padding` where the mask is 0 and behind them, up to `longest`.
fn fill_up(encoder: &mut Encoder<'_>, ids: &Value, mask: &Value, longest: usize, padding: usize) -> Value {
    let (zero, padding) = (encoder.graph.scalar_i64(0), encoder.graph.scalar_i64(padding as i64));
    let is_padding = encoder.graph.node("Equal", &[mask, &zero], vec![]);
    let ids = encoder.graph.node("Where", &[&is_padding, &padding, ids], vec![]);
    let shape = encoder.graph.node("Shape", &[&ids], vec![]);
    let second = encoder.graph.list_i64(&[1]);
    let length = encoder.graph.gather(&shape, &second, 0);
    let longest = encoder.graph.list_i64(&[longest as i64]);
    let missing = encoder.graph.sub(&longest, &length);
    let nothing = encoder.graph.list_i64(&[0, 0, 0]);
    let pads = encoder.graph.node("Concat", &[&nothing, &missing], vec![attribute_int("axis", 0)]);
    encoder.graph.node("Pad", &[&ids, &pads, &padding], vec![])
}
