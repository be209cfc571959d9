//! Softmax and the normalisations. Part of [`super`].

use super::Gradients;
use crate::autodiff::context::Context;
use crate::onnx::graph::Value;
use crate::onnx::shapes::{axis_of, float, int};

/// `dx = (dy - sum(dy y)) y`, the sum over the axis of the softmax.
pub(super) fn softmax(context: &mut Context<'_>) -> Gradients {
    let (dy, y) = (context.gradient()?, context.output());
    let axis = int(context.node, "axis", -1);
    let product = context.graph.mul(&dy, &y);
    let sum = context.sum(&product, &[axis], true);
    let centred = context.graph.sub(&dy, &sum);
    Ok(vec![Some(context.graph.mul(&centred, &y))])
}

/// `dx = dy - e^y sum(dy)`
pub(super) fn log_softmax(context: &mut Context<'_>) -> Gradients {
    let (dy, y) = (context.gradient()?, context.output());
    let axis = int(context.node, "axis", -1);
    let sum = context.sum(&dy, &[axis], true);
    let probability = context.graph.node("Exp", &[&y], vec![]);
    let share = context.graph.mul(&probability, &sum);
    Ok(vec![Some(context.graph.sub(&dy, &share))])
}

/// With `n = (x - mean) / deviation`, `y = n scale + bias` and `g = dy scale`:
/// `dx = (g - mean(g) - n mean(g n)) / deviation`, `dscale = sum(dy n)`, `dbias = sum(dy)`. Mean and inverse deviation are
/// outputs that the node has computed anyway. <https://arxiv.org/abs/1607.06450>
pub(super) fn layer_normalization(context: &mut Context<'_>) -> Gradients {
    let (dy, x, scale) = (context.gradient()?, context.input(0)?, context.input(1)?);
    let rank = context.rank(&x)?;
    let Some(axis) = axis_of(int(context.node, "axis", -1), rank) else {
        return Err(context.unsupported("its axis is outside of its input"));
    };
    let normalised: Vec<i64> = (axis as i64..rank as i64).collect();
    let others: Vec<i64> = (0..axis as i64).collect();
    let over_others = |context: &mut Context<'_>, value: &Value, operand: &Value| {
        let sum = if others.is_empty() { value.clone() } else { context.sum(value, &others, false) };
        context.reshape_as(&sum, operand)
    };
    let bias = context.optional(2).filter(|_| context.wants(2));
    let dbias = bias.map(|bias| over_others(context, &dy, &bias));
    if !context.wants(0) && !context.wants(1) {
        return Ok(vec![None, None, dbias]);
    }
    let (mean, inverse) = (context.output_at(1)?, context.output_at(2)?);
    let (mean, inverse) = (context.typed(&mean, &x), context.typed(&inverse, &x));
    let centred = context.graph.sub(&x, &mean);
    let n = context.graph.mul(&centred, &inverse);
    let dscale = if context.wants(1) {
        let product = context.graph.mul(&dy, &n);
        Some(over_others(context, &product, &scale))
    } else {
        None
    };
    let dx = if context.wants(0) {
        let g = context.graph.mul(&dy, &scale);
        let product = context.graph.mul(&g, &n);
        let (mean_g, mean_product) = (average(context, &g, &normalised), average(context, &product, &normalised));
        let along = context.graph.mul(&n, &mean_product);
        let both = context.graph.add(&along, &mean_g);
        let rest = context.graph.sub(&g, &both);
        Some(context.graph.mul(&rest, &inverse))
    } else {
        None
    };
    Ok(vec![dx, dscale, dbias])
}

/// The mean over `axes`, which stay as 1.
pub(super) fn average(context: &mut Context<'_>, value: &Value, axes: &[i64]) -> Value {
    use crate::onnx::graph::{attribute_int, attribute_ints};
    // The axes became an input in version 18.
    if context.graph.opset() >= 18 {
        let axes = context.graph.list_i64(axes);
        return context.graph.node("ReduceMean", &[value, &axes], vec![attribute_int("keepdims", 1)]);
    }
    context.graph.node("ReduceMean", &[value], vec![attribute_ints("axes", axes), attribute_int("keepdims", 1)])
}

/// In inference, with constant statistics: `y = (x - mean) / sqrt(variance + epsilon) scale + bias` for each channel.
/// <https://arxiv.org/abs/1502.03167>
pub(super) fn batch_normalization(context: &mut Context<'_>) -> Gradients {
    if int(context.node, "training_mode", 0) != 0 {
        return Err(context.unsupported("it is in training mode; export the model for inference"));
    }
    if context.wants(3) || context.wants(4) {
        return Err(context.unsupported("its running mean or variance is to be trained; they are statistics"));
    }
    let (dy, x) = (context.gradient()?, context.input(0)?);
    let (scale, mean, variance) = (context.input(1)?, context.input(3)?, context.input(4)?);
    let rank = context.rank(&x)? as i64;
    let others: Vec<i64> = (0..rank).filter(|axis| *axis != 1).collect();
    let epsilon = context.scalar(float(context.node, "epsilon", 1e-5), &variance);
    let shifted = context.graph.add(&variance, &epsilon);
    let deviation = context.graph.node("Sqrt", &[&shifted], vec![]);
    // A value of each channel against the axes that follow it.
    let spatial: Vec<i64> = (1..rank - 1).collect();
    let channels = |context: &mut Context<'_>, value: &Value| match spatial.is_empty() {
        true => value.clone(),
        false => context.graph.unsqueeze(value, &spatial),
    };
    let dx = if context.wants(0) {
        let slope = context.graph.div(&scale, &deviation);
        let slope = channels(context, &slope);
        Some(context.graph.mul(&dy, &slope))
    } else {
        None
    };
    let dscale = if context.wants(1) {
        let mean = channels(context, &mean);
        let centred = context.graph.sub(&x, &mean);
        let product = context.graph.mul(&dy, &centred);
        let sum = context.sum(&product, &others, false);
        Some(context.graph.div(&sum, &deviation))
    } else {
        None
    };
    let dbias = if context.wants(2) { Some(context.sum(&dy, &others, false)) } else { None };
    Ok(vec![dx, dscale, dbias])
}
