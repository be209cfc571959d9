//! ConvNeXt: patches, then stages of a convolution of each channel by itself, layer normalisation and two products; the
//! mean of the last features, normalised. <https://arxiv.org/abs/2201.03545>. Names are those of `transformers` or timm.

use super::Result;
use super::config::{Activation, Config};
use super::encoder::Encoder;
use super::vision::{Map, Move, Padding};
use crate::onnx::graph::Value;

/// A tensor that tells where the names begin.
pub(super) const ANCHORS: [&str; 2] = ["embeddings.patch_embeddings.weight", "stem.0.weight"];
/// Of layer normalisation within the network.
const EPSILON: f32 = 1e-6;
/// How many times wider the features are between the two products.
const WIDER: usize = 4;

/// Names of modules. Those of a block are below its own.
struct Names {
    stem: [&'static str; 2],
    /// A stage and its blocks: in front of the stage's number, and of the block's.
    stage: [&'static str; 2],
    downsample: &'static str,
    conv: &'static str,
    norm: &'static str,
    products: [&'static str; 2],
    scale: &'static str,
    last: &'static str,
}

const TRANSFORMERS: Names = Names {
    stem: ["embeddings.patch_embeddings", "embeddings.layernorm"],
    stage: ["encoder.stages.", ".layers."],
    downsample: ".downsampling_layer",
    conv: "dwconv",
    norm: "layernorm",
    products: ["pwconv1", "pwconv2"],
    scale: "layer_scale_parameter",
    last: "layernorm",
};
const TIMM: Names = Names {
    stem: ["stem.0", "stem.1"],
    stage: ["stages.", ".blocks."],
    downsample: ".downsample",
    conv: "conv_dw",
    norm: "norm",
    products: ["mlp.fc1", "mlp.fc2"],
    scale: "gamma",
    last: "head.norm",
};

/// The network that `config.json` of `transformers` describes.
pub(super) fn encoder(encoder: &mut Encoder<'_>, config: &Config<'_>, picture: Map) -> Result<Value> {
    let activation = config.activation("hidden_act")?;
    build(encoder, &TRANSFORMERS, activation, config.float_or("layer_norm_eps", 1e-12)?, picture)
}

/// The network that timm names, such as `convnext_tiny`.
pub(super) fn named(encoder: &mut Encoder<'_>, _name: &str, _config: &Config<'_>, picture: Map) -> Result<Value> {
    build(encoder, &TIMM, Activation::Gelu, EPSILON, picture)
}

fn build(
    encoder: &mut Encoder<'_>,
    names: &Names,
    activation: Activation,
    last_epsilon: f32,
    picture: Map,
) -> Result<Value> {
    encoder.graph.scope("stem");
    let x = patches(encoder, &picture, names.stem[0])?;
    let mut x = normalise(encoder, &x, names.stem[1])?;
    for stage in 0.. {
        let at = format!("{}{stage}", names.stage[0]);
        let block_at = |block: usize| format!("{at}{}{block}.", names.stage[1]);
        if !encoder.has(&format!("{}{}.weight", block_at(0), names.conv)) {
            break;
        }
        let [norm, conv] = [0, 1].map(|place| format!("{at}{}.{place}", names.downsample));
        if encoder.has(&format!("{conv}.weight")) {
            encoder.graph.scope(format!("{at}{}", names.downsample));
            x = normalise(encoder, &x, &norm)?;
            x = patches(encoder, &x, &conv)?;
        }
        for block in 0.. {
            let at = block_at(block);
            if !encoder.has(&format!("{at}{}.weight", names.conv)) {
                break;
            }
            x = residual(encoder, &x, &at, names, activation)?;
        }
    }
    encoder.graph.scope("head");
    let mean = encoder.mean_features(&x);
    encoder.layer_norm(&mean, names.last, last_epsilon)
}

/// A convolution whose windows do not overlap.
fn patches(encoder: &mut Encoder<'_>, x: &Map, name: &str) -> Result<Map> {
    let stride = encoder.shape(&format!("{name}.weight")).and_then(|shape| shape.last().copied()).unwrap_or(1);
    encoder.convolve(x, name, Move { stride, padding: Padding::None })
}

/// Layer normalisation over the channels.
fn normalise(encoder: &mut Encoder<'_>, x: &Map, name: &str) -> Result<Map> {
    encoder.hidden_size = x.channels;
    let last = encoder.graph.transpose(&x.value, &[0, 2, 3, 1]);
    let normal = encoder.layer_norm(&last, name, EPSILON)?;
    Ok(x.with(encoder.graph.transpose(&normal, &[0, 3, 1, 2])))
}

fn residual(encoder: &mut Encoder<'_>, input: &Map, at: &str, names: &Names, activation: Activation) -> Result<Map> {
    encoder.graph.scope(at.trim_end_matches('.'));
    let width = input.channels;
    encoder.hidden_size = width;
    let how = Move { stride: 1, padding: Padding::Half };
    let x = encoder.convolve(input, &format!("{at}{}", names.conv), how)?;
    // Channels last: the products are over them.
    let last = encoder.graph.transpose(&x.value, &[0, 2, 3, 1]);
    let normal = encoder.layer_norm(&last, &format!("{at}{}", names.norm), EPSILON)?;
    let wide = encoder.linear(&normal, &format!("{at}{}", names.products[0]), width, WIDER * width)?;
    let wide = encoder.activate(&wide, activation);
    let mut narrow = encoder.linear(&wide, &format!("{at}{}", names.products[1]), WIDER * width, width)?;
    let scale = format!("{at}{}", names.scale);
    if encoder.has(&scale) {
        let scale = encoder.parameter(&scale, &[width])?;
        narrow = encoder.graph.mul(&narrow, &scale);
    }
    let first = encoder.graph.transpose(&narrow, &[0, 3, 1, 2]);
    encoder.add_maps(&x.with(first), input)
}
