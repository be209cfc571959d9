//! MobileNet: stages of inverted residual blocks. Version 2, <https://arxiv.org/abs/1801.04381>, with the names of
//! `transformers` or timm; version 3, <https://arxiv.org/abs/1905.02244>, with those of timm.

use super::Result;
use super::config::{Activation, Config};
use super::efficientnet::in_stages;
use super::encoder::Encoder;
use super::inverted_residual::{Gate, Names, Style};
use super::vision::{Map, Move, Padding};
use crate::onnx::graph::Value;

/// A tensor that tells where the names begin.
pub(super) const ANCHORS: [&str; 2] = ["conv_stem.first_conv.convolution.weight", "conv_stem.weight"];
/// Of the 16 blocks after the first.
const STRIDES: [usize; 16] = [2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1];
/// Of the stages of timm's version 2, of version 3 in its large and its small form.
const STRIDES_2: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];
const STRIDES_3_LARGE: [usize; 6] = [1, 2, 2, 2, 1, 2];
const STRIDES_3_SMALL: [usize; 5] = [2, 2, 2, 1, 2];

const TRANSFORMERS: Names = Names {
    expand: ["expand_1x1.convolution", "expand_1x1.normalization"],
    depthwise: ["conv_3x3.convolution", "conv_3x3.normalization"],
    squeeze: ["", ""],
    project: ["reduce_1x1.convolution", "reduce_1x1.normalization"],
};

/// Version 2 as `config.json` of `transformers` describes it.
pub(super) fn encoder(encoder: &mut Encoder<'_>, config: &Config<'_>, picture: Map) -> Result<Value> {
    let stride = config.size_or("output_stride", 32)?;
    if stride != 32 {
        return Err(config.unsupported("output_stride", stride, "only 32 is, which has no dilation"));
    }
    let activation = config.activation_or("hidden_act", Activation::Relu6)?;
    let padding = if config.flag_or("tf_padding", true)? { Padding::Same } else { Padding::Half };
    let epsilon = config.float_or("layer_norm_eps", 1e-3)?;
    let style = Style { activation, squeeze: activation, gate: Gate::Sigmoid, epsilon, padding };
    encoder.graph.scope("conv_stem");
    let first = ["first_conv.convolution", "first_conv.normalization"];
    let x = encoder.unit(&picture, "conv_stem.", first, 2, &style, Some(activation))?;
    let mut x = encoder.inverted_residual(&x, "conv_stem.", &TRANSFORMERS, 1, &style, false)?;
    for (block, stride) in STRIDES.iter().enumerate() {
        x = encoder.inverted_residual(&x, &format!("layer.{block}."), &TRANSFORMERS, *stride, &style, true)?;
    }
    encoder.graph.scope("conv_1x1");
    let last = ["conv_1x1.convolution", "conv_1x1.normalization"];
    let x = encoder.unit(&x, "", last, 1, &style, Some(activation))?;
    Ok(encoder.mean_features(&x))
}

/// The network that timm calls `name`, such as `mobilenetv2_100` or `mobilenetv3_small_075`.
pub(super) fn named(encoder: &mut Encoder<'_>, name: &str, _config: &Config<'_>, picture: Map) -> Result<Value> {
    let from_tensorflow = name.starts_with("tf_");
    let padding = if from_tensorflow { Padding::Same } else { Padding::Half };
    let epsilon = if from_tensorflow || name.contains("_rw") { 1e-3 } else { 1e-5 };
    let with = |activation| Style { activation, squeeze: Activation::Relu, gate: Gate::HardSigmoid, epsilon, padding };
    if name.contains("mobilenetv2") {
        let style = with(Activation::Relu6);
        encoder.graph.scope("stem");
        let x = encoder.unit(&picture, "", ["conv_stem", "bn1"], 2, &style, Some(style.activation))?;
        let x = in_stages(encoder, x, |_| style, &STRIDES_2)?;
        encoder.graph.scope("head");
        let x = encoder.unit(&x, "", ["conv_head", "bn2"], 1, &style, Some(style.activation))?;
        return Ok(encoder.mean_features(&x));
    }
    let (strides, straight) =
        if name.contains("small") { (&STRIDES_3_SMALL[..], 2) } else { (&STRIDES_3_LARGE[..], 3) };
    let later = if name.contains("minimal") { Activation::Relu } else { Activation::HardSwish };
    let style = with(later);
    // The first stages have the cheaper activation.
    let style_of = |stage| if stage < straight { with(Activation::Relu) } else { style };
    encoder.graph.scope("stem");
    let x = encoder.unit(&picture, "", ["conv_stem", "bn1"], 2, &style, Some(later))?;
    let x = in_stages(encoder, x, style_of, strides)?;
    let last = format!("blocks.{}.0.", strides.len());
    encoder.graph.scope(last.trim_end_matches('.'));
    let x = encoder.unit(&x, &last, ["conv", "bn1"], 1, &style, Some(later))?;
    // The mean comes first here: the product after it is as wide as the vector.
    encoder.graph.scope("head");
    let mean = encoder.graph.node("GlobalAveragePool", &[&x.value], vec![]);
    let mean = Map { value: mean, channels: x.channels, height: 1, width: 1 };
    let x = encoder.convolve(&mean, "conv_head", Move { stride: 1, padding: Padding::None })?;
    let x = x.with(encoder.activate(&x.value, later));
    encoder.hidden_size = x.channels;
    Ok(encoder.graph.reshape(&x.value, &[0, x.channels as i64]))
}
