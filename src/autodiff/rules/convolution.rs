//! Convolutions. Part of [`super`].
//!
//! The gradient of the input is the transposed convolution of `dy` with the same weights; where the window moves by one, that
//! is a convolution with the weights turned around, which the runtime computes faster. Dumoulin and Visin, A guide to
//! convolution arithmetic, <https://arxiv.org/abs/1603.07285>. The gradient of the weights is in [`super::convolution_weights`].

use super::Gradients;
use super::convolution_weights::Weights;
use super::window::Window;
use crate::autodiff::context::Context;
use crate::onnx::shapes::int;

/// <https://onnx.ai/onnx/operators/onnx__Conv.html>
pub(super) fn conv(context: &mut Context<'_>) -> Gradients {
    let (dy, x, weights, y) = (context.gradient()?, context.input(0)?, context.input(1)?, context.output());
    let window = Window::of(context, &x, Some(&weights))?;
    let group = int(context.node, "group", 1);
    let rank = window.kernel.len() + 2;
    let dx = if context.wants(0) {
        let places = context.shapes.dims(y.name());
        Some(window.backward(context, &dy, places, &weights, group, &x)?)
    } else {
        None
    };
    let dw = if context.wants(1) {
        Some(Weights { dy: &dy, x: &x, weights: &weights, window: &window, group }.gradient(context)?)
    } else {
        None
    };
    let db = context.wants(2).then(|| {
        let others: Vec<i64> = (0..rank as i64).filter(|axis| *axis != 1).collect();
        context.sum(&dy, &others, false)
    });
    Ok(vec![dx, dw, db])
}
