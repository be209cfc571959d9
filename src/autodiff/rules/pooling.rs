//! Pooling over windows and over whole channels. Part of [`super`].

use super::Gradients;
use super::gather::need_adding_scatter;
use super::reduction::{count, size};
use super::window::Window;
use crate::autodiff::Error;
use crate::autodiff::context::Context;
use crate::onnx::graph::{Value, attribute_int, attribute_ints, attribute_string};
use crate::onnx::shapes::{Size, int};

/// The largest element of each window takes its gradient. Its place in the whole tensor is the second output of the node.
/// <https://onnx.ai/onnx/operators/onnx__MaxPool.html>
pub(super) fn max(context: &mut Context<'_>) -> Gradients {
    if int(context.node, "storage_order", 0) != 0 {
        return Err(context.unsupported("storage_order is not 0"));
    }
    let (dy, x) = (context.gradient()?, context.input(0)?);
    need_adding_scatter(context)?;
    let places = context.output_at(1)?;
    let flat = |context: &mut Context<'_>, value: &Value| context.graph.reshape(value, &[-1]);
    let (dy, places) = (flat(context, &dy), flat(context, &places));
    let zeros = context.zeros(&x);
    let zeros = flat(context, &zeros);
    let add = vec![attribute_int("axis", 0), attribute_string("reduction", "add")];
    let scattered = context.graph.node("ScatterElements", &[&zeros, &places, &dy], add);
    Ok(vec![Some(context.reshape_as(&scattered, &x))])
}

/// Each element of a window takes an equal part of its gradient.
/// <https://onnx.ai/onnx/operators/onnx__AveragePool.html>
pub(super) fn average(context: &mut Context<'_>) -> Gradients {
    if int(context.node, "ceil_mode", 0) != 0 {
        return Err(context.unsupported("ceil_mode is not 0"));
    }
    let (dy, x, y) = (context.gradient()?, context.input(0)?, context.output());
    let window = Window::of(context, &x, None)?;
    let elements: i64 = window.kernel.iter().product();
    let mut part = context.times(&dy, 1.0 / elements as f32, &x);
    if int(context.node, "count_include_pad", 0) == 0 && window.pads.iter().any(|pad| *pad != 0) {
        let share = inside(context, &x, &window)?;
        part = context.graph.div(&part, &share);
    }
    // Every channel on its own: channels go into the batch.
    let places = context.shapes.dims(y.name());
    let alone = places.map(|dims| [&[Size::Unknown, Size::Fixed(1)], &dims[2..]].concat());
    let part = channels_to_batch(context, &part, &y)?;
    let one = context.scalar(1.0, &x);
    let shape = context.graph.list_i64(&[&[1, 1], window.kernel.as_slice()].concat());
    let ones = context.graph.node("Expand", &[&one, &shape], vec![]);
    let spread = window.backward(context, &part, alone.as_deref(), &ones, 1, &x)?;
    Ok(vec![Some(context.reshape_as(&spread, &x))])
}

/// `value`, of the shape of the forward value `like`, as `[batch and channels, 1, ...]`.
fn channels_to_batch(context: &mut Context<'_>, value: &Value, like: &Value) -> Result<Value, Error> {
    let shape = spatial_shape(context, like, &[-1, 1])?;
    Ok(context.graph.node("Reshape", &[value, &shape], vec![]))
}

/// `first` and then the spatial sizes of a forward value.
fn spatial_shape(context: &mut Context<'_>, like: &Value, first: &[i64]) -> Result<Value, Error> {
    let axes: Vec<i64> = (2..context.rank(like)? as i64).collect();
    let (shape, axes) = (context.shape(like), context.graph.list_i64(&axes));
    let (first, sizes) = (context.graph.list_i64(first), context.graph.gather(&shape, &axes, 0));
    Ok(context.graph.node("Concat", &[&first, &sizes], vec![attribute_int("axis", 0)]))
}

/// The share of each window that lies inside the tensor: the mean of ones, the padding counted as zeros.
fn inside(context: &mut Context<'_>, x: &Value, window: &Window) -> Result<Value, Error> {
    let shape = spatial_shape(context, x, &[1, 1])?;
    let one = context.scalar(1.0, x);
    let ones = context.graph.node("Expand", &[&one, &shape], vec![]);
    // Dilations came to this operator in version 19; a window without them leaves them out.
    let mut attributes = vec![
        attribute_ints("kernel_shape", &window.kernel),
        attribute_ints("strides", &window.strides),
        attribute_ints("pads", &window.pads),
        attribute_int("count_include_pad", 1),
    ];
    if window.dilations.iter().any(|dilation| *dilation != 1) {
        attributes.push(attribute_ints("dilations", &window.dilations));
    }
    Ok(context.graph.node("AveragePool", &[&ones], attributes))
}

/// Each element of a channel takes an equal part.
pub(super) fn global_average(context: &mut Context<'_>) -> Gradients {
    let (dy, x) = (context.gradient()?, context.input(0)?);
    let spatial: Vec<i64> = (2..context.rank(&x)? as i64).collect();
    let part = match count(context, &x, Some(&spatial)) {
        Some(count) => context.times(&dy, 1.0 / count as f32, &x),
        None => {
            let y = context.output();
            let (all, kept) = (size(context, &x, &x), size(context, &y, &x));
            let share = context.graph.div(&kept, &all);
            context.graph.mul(&dy, &share)
        }
    };
    Ok(vec![Some(context.expand_as(&part, &x))])
}
