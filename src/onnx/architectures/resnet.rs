//! ResNet of any depth, ResNeXt and wide ResNet: a convolution, four stages of residual blocks, the mean of the last
//! features. <https://arxiv.org/abs/1512.03385>. Names are those of `transformers`, or of timm and torchvision.

use super::Result;
use super::config::{Activation, Config};
use super::encoder::Encoder;
use super::vision::{Map, Move, Padding};
use crate::onnx::graph::Value;

/// A tensor that tells where the names begin.
pub(super) const ANCHORS: [&str; 2] = ["embedder.embedder.convolution.weight", "layer1.0.conv1.weight"];
/// Of batch normalisation.
const EPSILON: f32 = 1e-5;

/// How the network is built where the weights do not say it.
struct Form {
    transformers: bool,
    activation: Activation,
    /// Whether the first stage halves the picture too.
    first_stage_halves: bool,
    /// Whether the first of three convolutions halves it, not the second.
    first_of_three_halves: bool,
}

/// The network that `config.json` of `transformers` describes.
pub(super) fn encoder(encoder: &mut Encoder<'_>, config: &Config<'_>, picture: Map) -> Result<Value> {
    let form = Form {
        transformers: true,
        activation: config.activation_or("hidden_act", Activation::Relu)?,
        first_stage_halves: config.flag("downsample_in_first_stage")?,
        first_of_three_halves: config.flag("downsample_in_bottleneck")?,
    };
    build(encoder, &form, picture)
}

/// The network that timm and torchvision name, such as `resnet18`.
pub(super) fn named(encoder: &mut Encoder<'_>, _name: &str, _config: &Config<'_>, picture: Map) -> Result<Value> {
    let form = Form {
        transformers: false,
        activation: Activation::Relu,
        first_stage_halves: false,
        first_of_three_halves: false,
    };
    build(encoder, &form, picture)
}

fn build(encoder: &mut Encoder<'_>, form: &Form, picture: Map) -> Result<Value> {
    let half = |stride| Move { stride, padding: Padding::Half };
    encoder.graph.scope("stem");
    let (conv, norm) = form.names("embedder.embedder.", "", 0);
    let x = encoder.convolve_normalised(&picture, &conv, &norm, EPSILON, half(2))?;
    let x = x.with(encoder.activate(&x.value, form.activation));
    let mut x = encoder.max_pool(&x, 3, half(2))?;
    for stage in 0.. {
        let halves = stage > 0 || form.first_stage_halves;
        for block in 0.. {
            let (at, first) = form.block(encoder, stage, block);
            if first.is_empty() {
                if block == 0 {
                    return Ok(encoder.mean_features(&x));
                }
                break;
            }
            x = form.residual(encoder, &x, &at, if halves && block == 0 { 2 } else { 1 })?;
        }
    }
    Ok(encoder.mean_features(&x))
}

impl Form {
    /// Convolution `place` of what begins with `at`, and its normalisation.
    fn names(&self, transformers: &str, torchvision: &str, place: usize) -> (String, String) {
        if self.transformers {
            return (format!("{transformers}convolution"), format!("{transformers}normalization"));
        }
        let number = place + 1;
        (format!("{torchvision}conv{number}"), format!("{torchvision}bn{number}"))
    }

    /// The beginning of a block's names, and its first convolution if there is such a block.
    fn block(&self, encoder: &Encoder<'_>, stage: usize, block: usize) -> (String, String) {
        let at = if self.transformers {
            format!("encoder.stages.{stage}.layers.{block}.")
        } else {
            format!("layer{}.{block}.", stage + 1)
        };
        let (first, _) = self.names(&format!("{at}layer.0."), &at, 0);
        let there = encoder.has(&format!("{first}.weight"));
        (at, if there { first } else { String::new() })
    }

    /// Two or three convolutions, added to the input or to a product of it.
    fn residual(&self, encoder: &mut Encoder<'_>, input: &Map, at: &str, stride: usize) -> Result<Map> {
        encoder.graph.scope(at.trim_end_matches('.'));
        let names = |place: usize| self.names(&format!("{at}layer.{place}."), at, place);
        let count = if encoder.has(&format!("{}.weight", names(2).0)) { 3 } else { 2 };
        let halving = if count == 3 && !self.first_of_three_halves { 1 } else { 0 };
        let mut x = input.clone();
        for place in 0..count {
            let (conv, norm) = names(place);
            let how = Move { stride: if place == halving { stride } else { 1 }, padding: Padding::Half };
            x = encoder.convolve_normalised(&x, &conv, &norm, EPSILON, how)?;
            if place + 1 < count {
                x = x.with(encoder.activate(&x.value, self.activation));
            }
        }
        let (conv, norm) = if self.transformers {
            (format!("{at}shortcut.convolution"), format!("{at}shortcut.normalization"))
        } else {
            (format!("{at}downsample.0"), format!("{at}downsample.1"))
        };
        let shortcut = if encoder.has(&format!("{conv}.weight")) {
            encoder.convolve_normalised(input, &conv, &norm, EPSILON, Move { stride, padding: Padding::None })?
        } else {
            input.clone()
        };
        let sum = encoder.add_maps(&x, &shortcut)?;
        Ok(sum.with(encoder.activate(&sum.value, self.activation)))
    }
}
