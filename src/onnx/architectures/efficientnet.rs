//! EfficientNet and EfficientNet-Lite: stages of inverted residual blocks, then a wide product, of which the mean is taken.
//! <https://arxiv.org/abs/1905.11946>. Names are those of `transformers`, timm, `efficientnet_pytorch`, or of the
//! EfficientNet-Lite of RangiLyu.

use super::Result;
use super::config::{Activation, Config};
use super::encoder::Encoder;
use super::inverted_residual::{Gate, Names, Style};
use super::vision::{Map, Padding};
use crate::onnx::graph::Value;

/// A tensor that tells where the names begin, in each of the ways to name them.
pub(super) const ANCHORS: [&str; 4] =
    ["embeddings.convolution.weight", "conv_stem.weight", "_conv_stem.weight", "stem.0.weight"];
/// Strides of the stages' first blocks. In a Lite network too.
const STRIDES: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];
/// The epsilon of TensorFlow, where the first weights came from.
const TENSORFLOW_EPSILON: f32 = 1e-3;

const TRANSFORMERS: Names = Names {
    expand: ["expansion.expand_conv", "expansion.expand_bn"],
    depthwise: ["depthwise_conv.depthwise_conv", "depthwise_conv.depthwise_norm"],
    squeeze: ["squeeze_excite.reduce", "squeeze_excite.expand"],
    project: ["projection.project_conv", "projection.project_bn"],
};
/// Of `efficientnet_pytorch`, and of RangiLyu.
const PYTORCH: Names = Names {
    expand: ["_expand_conv", "_bn0"],
    depthwise: ["_depthwise_conv", "_bn1"],
    squeeze: ["_se_reduce", "_se_expand"],
    project: ["_project_conv", "_bn2"],
};
/// Of timm where a block widens, and where it does not.
pub(super) const TIMM: Names = Names {
    expand: ["conv_pw", "bn1"],
    depthwise: ["conv_dw", "bn2"],
    squeeze: ["se.conv_reduce", "se.conv_expand"],
    project: ["conv_pwl", "bn3"],
};
pub(super) const TIMM_FIRST: Names = Names {
    expand: ["", ""],
    depthwise: ["conv_dw", "bn1"],
    squeeze: ["se.conv_reduce", "se.conv_expand"],
    project: ["conv_pw", "bn2"],
};

/// The network that `config.json` of `transformers` describes.
pub(super) fn encoder(encoder: &mut Encoder<'_>, config: &Config<'_>, picture: Map) -> Result<Value> {
    let activation = config.activation("hidden_act")?;
    let epsilon = config.float_or("batch_norm_eps", TENSORFLOW_EPSILON)?;
    let mut style =
        Style { activation, squeeze: activation, gate: Gate::Sigmoid, epsilon, padding: Padding::Sides(0, 1) };
    if let Some(kind) = config.text("pooling_type")?.filter(|kind| *kind != "mean") {
        return Err(config.unsupported("pooling_type", kind, "the mean is read"));
    }
    let list = |key: &str| config.sizes(key)?.ok_or_else(|| config.missing(key));
    let (kernels, strides, repeats) = (list("kernel_sizes")?, list("strides")?, list("num_block_repeats")?);
    let deeper = config.factor_or("depth_coefficient", 1.0)?;
    let half = config.sizes("depthwise_padding")?.unwrap_or_default();

    encoder.graph.scope("embeddings");
    let mut x = encoder.unit(&picture, "embeddings.", ["convolution", "batchnorm"], 2, &style, Some(activation))?;
    let mut block = 0;
    for (stage, repeats) in repeats.iter().enumerate() {
        let (Some(kernel), Some(stride)) = (kernels.get(stage), strides.get(stage)) else {
            return Err(config.unsupported("strides", strides.len(), "there must be as many as of num_block_repeats"));
        };
        for repeat in 0..(deeper * *repeats as f64).ceil() as usize {
            let stride = if repeat == 0 { *stride } else { 1 };
            style.padding = match (stride, half.contains(&block)) {
                (1, _) | (_, true) => Padding::Half,
                (_, false) => Padding::Sides((kernel / 2).saturating_sub(1), kernel / 2),
            };
            let at = format!("encoder.blocks.{block}.");
            x = encoder.inverted_residual(&x, &at, &TRANSFORMERS, stride, &style, repeat > 0)?;
            block += 1;
        }
    }
    encoder.graph.scope("encoder.top");
    let x = encoder.unit(&x, "encoder.", ["top_conv", "top_bn"], 1, &style, Some(activation))?;
    Ok(encoder.mean_features(&x))
}

/// The network that timm or `efficientnet_pytorch` calls `name`, such as `efficientnet_b0` or `tf_efficientnet_lite2`.
pub(super) fn named(encoder: &mut Encoder<'_>, name: &str, _config: &Config<'_>, picture: Map) -> Result<Value> {
    let activation = if name.contains("lite") { Activation::Relu6 } else { Activation::Silu };
    let is_timm = encoder.has(ANCHORS[1]);
    // Weights that were trained in TensorFlow want its padding.
    let from_tensorflow = if is_timm { name.starts_with("tf_") } else { encoder.has(ANCHORS[2]) };
    let epsilon = if is_timm && !from_tensorflow { 1e-5 } else { TENSORFLOW_EPSILON };
    let padding = if from_tensorflow { Padding::Same } else { Padding::Half };
    let style = Style { activation, squeeze: activation, gate: Gate::Sigmoid, epsilon, padding };

    let (stem, head) = if is_timm {
        (["conv_stem", "bn1"], ["conv_head", "bn2"])
    } else if encoder.has(ANCHORS[2]) {
        (["_conv_stem", "_bn0"], ["_conv_head", "_bn1"])
    } else {
        (["stem.0", "stem.1"], ["head.0", "head.1"])
    };
    encoder.graph.scope("stem");
    let x = encoder.unit(&picture, "", stem, 2, &style, Some(activation))?;
    let x = if encoder.has("_blocks.0._depthwise_conv.weight") {
        in_a_row(encoder, x, &style)?
    } else {
        in_stages(encoder, x, |_| style, &STRIDES)?
    };
    encoder.graph.scope("head");
    let x = encoder.unit(&x, "", head, 1, &style, Some(activation))?;
    Ok(encoder.mean_features(&x))
}

/// Blocks that are counted through. Each stage has another number of channels than the one before.
fn in_a_row(encoder: &mut Encoder<'_>, mut x: Map, style: &Style) -> Result<Map> {
    let (mut stage, mut block) = (0, 0);
    loop {
        let at = format!("_blocks.{block}.");
        let Some(shape) = encoder.shape(&format!("{at}_project_conv.weight")) else { return Ok(x) };
        let first = block == 0 || shape.first() != Some(&x.channels);
        stage += usize::from(first && block > 0);
        let stride = if first { STRIDES.get(stage).copied().unwrap_or(1) } else { 1 };
        x = encoder.inverted_residual(&x, &at, &PYTORCH, stride, style, true)?;
        block += 1;
    }
}

/// Blocks that are counted within stages; `style_of` a stage, and `strides` of their first blocks.
pub(super) fn in_stages(
    encoder: &mut Encoder<'_>,
    mut x: Map,
    style_of: impl Fn(usize) -> Style,
    strides: &[usize],
) -> Result<Map> {
    for (stage, stride) in strides.iter().enumerate() {
        let style = style_of(stage);
        for block in 0.. {
            let at = format!("blocks.{stage}.{block}.");
            let names = if encoder.has(&format!("{at}_depthwise_conv.weight")) {
                &PYTORCH
            } else if encoder.has(&format!("{at}conv_pwl.weight")) {
                &TIMM
            } else if encoder.has(&format!("{at}conv_dw.weight")) {
                &TIMM_FIRST
            } else {
                break;
            };
            let stride = if block == 0 { *stride } else { 1 };
            x = encoder.inverted_residual(&x, &at, names, stride, &style, true)?;
        }
    }
    Ok(x)
}
