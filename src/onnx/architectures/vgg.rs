//! VGG, with or without batch normalisation: convolutions and pools in a row; the mean of the last features is the vector,
//! and the three products after them, which only tell classes apart, are left out. <https://arxiv.org/abs/1409.1556>
//!
//! Names are those of timm and torchvision, `features.{place}`, where activations and pools take a place too: the gap
//! between two convolutions tells whether there is a pool.

use super::Result;
use super::config::Config;
use super::encoder::Encoder;
use super::vision::{Map, Move, Padding};
use crate::onnx::graph::Value;

/// A tensor that tells where the names begin.
pub(super) const ANCHORS: [&str; 1] = ["features.0.weight"];
/// Of batch normalisation.
const EPSILON: f32 = 1e-5;

/// The network that timm and torchvision name, such as `vgg16_bn`.
pub(super) fn named(encoder: &mut Encoder<'_>, name: &str, _config: &Config<'_>, picture: Map) -> Result<Value> {
    let normalised = name.contains("_bn");
    // Convolution, normalisation, activation.
    let step = if normalised { 3 } else { 2 };
    let mut x = picture;
    let mut place = 0;
    loop {
        encoder.graph.scope(format!("features.{place}"));
        let conv = format!("features.{place}");
        let how = Move { stride: 1, padding: Padding::Half };
        x = if normalised {
            encoder.convolve_normalised(&x, &conv, &format!("features.{}", place + 1), EPSILON, how)?
        } else {
            encoder.convolve(&x, &conv, how)?
        };
        x = x.with(encoder.graph.relu(&x.value));
        let is_conv = |place: usize| encoder.shape(&format!("features.{place}.weight")).is_some_and(|it| it.len() == 4);
        let (next, after_pool) = (is_conv(place + step), is_conv(place + step + 1));
        place += step;
        if next {
            continue;
        }
        x = encoder.max_pool(&x, 2, Move { stride: 2, padding: Padding::None })?;
        if !after_pool {
            break;
        }
        place += 1;
    }
    Ok(encoder.mean_features(&x))
}
