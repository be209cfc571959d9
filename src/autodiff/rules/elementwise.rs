//! Functions of each element alone. Part of [`super`].

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use super::Gradients;
use crate::autodiff::Error;
use crate::autodiff::context::Context;
use crate::onnx::graph::Value;
use crate::onnx::proto::DataType;
use crate::onnx::shapes::{float, string};

/// `dx = dy` times what `slope` makes of `x` and `y`.
fn scaled(
    context: &mut Context<'_>,
    slope: impl FnOnce(&mut Context<'_>, &Value, &Value) -> Result<Value, Error>,
) -> Gradients {
    let (dy, x, y) = (context.gradient()?, context.input(0)?, context.output());
    let slope = slope(context, &x, &y)?;
    Ok(vec![Some(context.graph.mul(&dy, &slope))])
}

/// `dy` where the condition that `test` makes of `x` and `y` holds, `dx = 0` elsewhere: as a product, which the runtime computes
/// in half the time that `Where` takes.
fn gated(context: &mut Context<'_>, test: impl FnOnce(&mut Context<'_>, &Value, &Value) -> Value) -> Gradients {
    let (dy, x, y) = (context.gradient()?, context.input(0)?, context.output());
    let condition = test(context, &x, &y);
    let element = context.shapes.element(x.name()).unwrap_or(DataType::Float);
    let gate = context.graph.cast(&condition, element);
    Ok(vec![Some(context.graph.mul(&dy, &gate))])
}

/// `y = x`
pub(super) fn identity(context: &mut Context<'_>) -> Gradients {
    Ok(vec![Some(context.gradient()?)])
}

/// `y = -x`
pub(super) fn neg(context: &mut Context<'_>) -> Gradients {
    let dy = context.gradient()?;
    Ok(vec![Some(context.graph.node("Neg", &[&dy], vec![]))])
}

/// `y = |x|`, with slope 0 at 0.
pub(super) fn abs(context: &mut Context<'_>) -> Gradients {
    scaled(context, |context, x, _| Ok(context.graph.node("Sign", &[x], vec![])))
}

/// `y = e^x`
pub(super) fn exp(context: &mut Context<'_>) -> Gradients {
    scaled(context, |_, _, y| Ok(y.clone()))
}

/// `y = ln x`
pub(super) fn log(context: &mut Context<'_>) -> Gradients {
    let (dy, x) = (context.gradient()?, context.input(0)?);
    Ok(vec![Some(context.graph.div(&dy, &x))])
}

/// `y = sqrt x`: `dx = dy / 2y`
pub(super) fn sqrt(context: &mut Context<'_>) -> Gradients {
    let (dy, y) = (context.gradient()?, context.output());
    let double = context.graph.add(&y, &y);
    Ok(vec![Some(context.graph.div(&dy, &double))])
}

/// `y = 1/x`: `dx = -dy y^2`
pub(super) fn reciprocal(context: &mut Context<'_>) -> Gradients {
    scaled(context, |context, _, y| {
        let square = context.graph.mul(y, y);
        Ok(context.graph.node("Neg", &[&square], vec![]))
    })
}

/// `y = sin x`
pub(super) fn sin(context: &mut Context<'_>) -> Gradients {
    scaled(context, |context, x, _| Ok(context.graph.node("Cos", &[x], vec![])))
}

/// `y = cos x`
pub(super) fn cos(context: &mut Context<'_>) -> Gradients {
    scaled(context, |context, x, _| {
        let sin = context.graph.node("Sin", &[x], vec![]);
        Ok(context.graph.node("Neg", &[&sin], vec![]))
    })
}

/// `y = tanh x`: the slope is `1 - y^2`
pub(super) fn tanh(context: &mut Context<'_>) -> Gradients {
    scaled(context, |context, _, y| {
        let (square, one) = (context.graph.mul(y, y), context.scalar(1.0, y));
        Ok(context.graph.sub(&one, &square))
    })
}

/// `y = 1 / (1 + e^-x)`: the slope is `y (1 - y)`
pub(super) fn sigmoid(context: &mut Context<'_>) -> Gradients {
    scaled(context, |context, _, y| {
        let square = context.graph.mul(y, y);
        Ok(context.graph.sub(y, &square))
    })
}

/// `y = ln(1 + e^x)`
pub(super) fn softplus(context: &mut Context<'_>) -> Gradients {
    scaled(context, |context, x, _| Ok(context.graph.node("Sigmoid", &[x], vec![])))
}

/// `y = erf x`: the slope is `2/sqrt(pi) e^(-x^2)`
pub(super) fn erf(context: &mut Context<'_>) -> Gradients {
    scaled(context, |context, x, _| {
        let square = context.graph.mul(x, x);
        Ok(bell(context, &square, FRAC_2_SQRT_PI, x))
    })
}

/// `height e^-square`, as `e^(ln height - square)`: one pass less over what may be the largest tensor of the graph.
fn bell(context: &mut Context<'_>, square: &Value, height: f32, like: &Value) -> Value {
    let log = context.scalar(height.ln(), like);
    let exponent = context.graph.sub(&log, square);
    context.graph.node("Exp", &[&exponent], vec![])
}

/// `y = max(x, 0)`, with slope 0 at 0.
pub(super) fn relu(context: &mut Context<'_>) -> Gradients {
    gated(context, |context, _, y| {
        let zero = context.scalar(0.0, y);
        context.graph.node("Greater", &[y, &zero], vec![])
    })
}

/// `y = x` if that is positive, else `alpha x`.
pub(super) fn leaky_relu(context: &mut Context<'_>) -> Gradients {
    let alpha = float(context.node, "alpha", 0.01);
    let (dy, x) = (context.gradient()?, context.input(0)?);
    let (zero, less) = (context.scalar(0.0, &x), context.times(&dy, alpha, &x));
    let positive = context.graph.node("Greater", &[&x, &zero], vec![]);
    Ok(vec![Some(context.graph.node("Where", &[&positive, &dy, &less], vec![]))])
}

/// `y = x` if that is positive, else `alpha (e^x - 1)`, whose slope is `y + alpha`.
pub(super) fn elu(context: &mut Context<'_>) -> Gradients {
    let alpha = float(context.node, "alpha", 1.0);
    scaled(context, |context, x, y| {
        let (zero, one, alpha) = (context.scalar(0.0, x), context.scalar(1.0, x), context.scalar(alpha, x));
        let positive = context.graph.node("Greater", &[x, &zero], vec![]);
        let slope = context.graph.add(y, &alpha);
        Ok(context.graph.node("Where", &[&positive, &one, &slope], vec![]))
    })
}

/// `y = x` within its bounds: where `y` is still `x`, the bounds included.
pub(super) fn clip(context: &mut Context<'_>) -> Gradients {
    if context.wants(1) || context.wants(2) {
        return Err(context.unsupported("its bounds depend on what is to be trained"));
    }
    gated(context, |context, x, y| context.graph.node("Equal", &[x, y], vec![]))
}

/// `y = x Phi(x)`, exactly or by tanh. <https://arxiv.org/abs/1606.08415>
pub(super) fn gelu(context: &mut Context<'_>) -> Gradients {
    match string(context.node, "approximate") {
        Some("tanh") => scaled(context, gelu_tanh_slope),
        _ => scaled(context, gelu_slope),
    }
}

/// `Phi(x) + x phi(x)`, the normal distribution and its density.
fn gelu_slope(context: &mut Context<'_>, x: &Value, _: &Value) -> Result<Value, Error> {
    let (one, half) = (context.scalar(1.0, x), context.scalar(0.5, x));
    let scaled = context.times(x, FRAC_1_SQRT_2, x);
    let erf = context.graph.node("Erf", &[&scaled], vec![]);
    let twice = context.graph.add(&erf, &one);
    let distribution = context.graph.mul(&twice, &half);
    let square = context.graph.mul(&scaled, &scaled);
    // x phi(x) = x/sqrt(2) e^(-x^2/2) / sqrt(pi)
    let bell = bell(context, &square, 1.0 / PI.sqrt(), x);
    let density = context.graph.mul(&bell, &scaled);
    Ok(context.graph.add(&distribution, &density))
}

/// With `t = tanh u`, `u = c (x + k x^3)`: `(1 + t)/2 + x/2 (1 - t^2) c (1 + 3k x^2)`.
fn gelu_tanh_slope(context: &mut Context<'_>, x: &Value, _: &Value) -> Result<Value, Error> {
    let (c, k) = ((2.0 / PI).sqrt(), 0.044715);
    let (one, half) = (context.scalar(1.0, x), context.scalar(0.5, x));
    let square = context.graph.mul(x, x);
    let cubic = context.times(&square, c * k, x);
    let c_value = context.scalar(c, x);
    let factor = context.graph.add(&cubic, &c_value);
    let u = context.graph.mul(x, &factor);
    let t = context.graph.tanh(&u);
    let risen = context.graph.add(&t, &one);
    let first = context.graph.mul(&risen, &half);
    let t2 = context.graph.mul(&t, &t);
    let fall = context.graph.sub(&one, &t2);
    let steep = context.times(&square, 3.0 * c * k, x);
    let steep = context.graph.add(&steep, &c_value);
    let inner = context.graph.mul(&fall, &steep);
    let half_x = context.graph.mul(x, &half);
    let second = context.graph.mul(&inner, &half_x);
    Ok(context.graph.add(&first, &second))
}

/// Between float types. <https://onnx.ai/onnx/operators/onnx__Cast.html>
pub(super) fn cast(context: &mut Context<'_>) -> Gradients {
    let (dy, x) = (context.gradient()?, context.input(0)?);
    match context.shapes.element(x.name()) {
        Some(element) => Ok(vec![Some(context.graph.cast(&dy, element))]),
        None => Err(context.unsupported("the element type of its input is not known")),
    }
}

/// In training, `y = x mask / (1 - ratio)`; otherwise `y = x`, and the mask is true everywhere.
pub(super) fn dropout(context: &mut Context<'_>) -> Gradients {
    let (dy, x) = (context.gradient()?, context.input(0)?);
    let Some(training) = context.optional(2) else { return Ok(vec![Some(dy)]) };
    let ratio = match context.optional(1) {
        Some(ratio) => ratio,
        None => context.scalar(0.5, &x),
    };
    let ratio = match (context.shapes.element(ratio.name()), context.shapes.element(x.name())) {
        (Some(found), Some(element)) if found != element => context.graph.cast(&ratio, element),
        _ => ratio,
    };
    let mask = context.output_at(1)?;
    let one = context.scalar(1.0, &x);
    let kept = context.graph.sub(&one, &ratio);
    let kept = context.graph.node("Where", &[&training, &kept, &one], vec![]);
    let scaled = context.graph.div(&dy, &kept);
    Ok(vec![Some(context.only_where(&mask, &scaled, &x))])
}
