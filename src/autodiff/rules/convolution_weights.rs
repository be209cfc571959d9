//! The gradient of a convolution's weights. Part of [`super`].
//!
//! It is a convolution too: of the input with `dy`, batch and channels in each other's place, and strides and dilations in each
//! other's ([`by_convolution`]; Dumoulin and Visin, A guide to convolution arithmetic, <https://arxiv.org/abs/1603.07285>). Its
//! kernels are as large as the features, for which the runtime's convolutions are not made: where sizes are known it is
//! written as matrix products instead, of the very numbers, several times as fast.

use super::window::{Window, fixed, swapped};
use crate::autodiff::Error;
use crate::autodiff::context::Context;
use crate::onnx::graph::{Value, attribute_int};
use crate::onnx::proto::DataType;

/// Fewest channels of which the places of a kernel are put side by side: below that the copies cost more than the product.
const LEAST_CHANNELS: i64 = 8;

/// The gradient of the weights of a convolution of `x`, `[batch, channels, ...]`.
///
/// # Errors
/// The convolution has groups of an unknown number of channels.
pub(super) fn weights_gradient(
    context: &mut Context<'_>,
    dy: &Value,
    x: &Value,
    weights: &Value,
    window: &Window,
    group: i64,
) -> Result<Value, Error> {
    let y = context.output();
    let sizes = |context: &Context<'_>, value: &Value, from: usize| {
        context.shapes.dims(value.name()).and_then(|dims| fixed(dims.get(from..)?))
    };
    let known = (sizes(context, weights, 0), sizes(context, x, 2), sizes(context, &y, 2));
    let is_float = context.shapes.element(x.name()).is_none_or(|element| element == DataType::Float);
    if let ((Some(shape), Some(from), Some(to)), true) = (known, window.kernel.len() == 2 && is_float) {
        let sides = Sides { shape, from, to };
        if group == 1 && sides.shape[1] >= LEAST_CHANNELS {
            return Ok(by_product(context, dy, x, window, &sides));
        }
        if sides.shape[1] == 1 && sides.shape[0] == group {
            return Ok(of_single_channels(context, dy, x, window, &sides));
        }
    }
    by_convolution(context, dy, x, weights, window, group)
}

/// What is known of the sizes.
struct Sides {
    /// Of the weights, `[to, from, height, width]`.
    shape: Vec<i64>,
    /// Height and width of the input.
    from: Vec<i64>,
    /// Height and width of the output.
    to: Vec<i64>,
}

/// `x` with the window's padding around it.
fn padded(context: &mut Context<'_>, x: &Value, window: &Window) -> Value {
    if window.pads.iter().all(|pad| *pad == 0) {
        return x.clone();
    }
    let pads = [&[0, 0], &window.pads[..2], &[0, 0], &window.pads[2..]].concat();
    let pads = context.graph.list_i64(&pads);
    context.graph.node("Pad", &[x, &pads], vec![])
}

/// Along `axis`, the elements that the place `at` of the kernel sees.
fn seen(context: &mut Context<'_>, x: &Value, axis: i64, at: i64, stride: i64, count: i64) -> Value {
    let lists = [at, at + (count - 1) * stride + 1, axis, stride].map(|number| context.graph.list_i64(&[number]));
    let [from, to, axis, step] = &lists;
    context.graph.node("Slice", &[x, from, to, axis, step], vec![])
}

/// Every place of the kernel sees a part of the input: their products with `dy`, summed over places and batch.
fn by_product(context: &mut Context<'_>, dy: &Value, x: &Value, window: &Window, sides: &Sides) -> Value {
    let [to, from, height, width] = sides.shape[..] else { return x.clone() };
    let whole = padded(context, x, window);
    let mut parts = Vec::new();
    for row in 0..height {
        let all = sides.from[0] + window.pads[0] + window.pads[2] == sides.to[0] && window.strides[0] == 1;
        let lines = if all {
            whole.clone()
        } else {
            seen(context, &whole, 2, row * window.dilations[0], window.strides[0], sides.to[0])
        };
        for column in 0..width {
            let all = sides.from[1] + window.pads[1] + window.pads[3] == sides.to[1] && window.strides[1] == 1;
            parts.push(if all {
                lines.clone()
            } else {
                seen(context, &lines, 3, column * window.dilations[1], window.strides[1], sides.to[1])
            });
        }
    }
    let seen = match parts.as_slice() {
        [single] => single.clone(),
        parts => context.graph.node("Concat", &parts.iter().collect::<Vec<_>>(), vec![attribute_int("axis", 1)]),
    };
    // [batch, kernel * from, places], and its product with dy for each of the batch.
    let seen = context.graph.reshape(&seen, &[0, height * width * from, -1]);
    let dy = context.graph.reshape(dy, &[0, to, -1]);
    let seen = context.graph.transpose(&seen, &[0, 2, 1]);
    let products = context.graph.matmul(&dy, &seen);
    let sum = context.sum(&products, &[0], false);
    if height * width == 1 {
        return context.graph.reshape(&sum, &sides.shape);
    }
    let apart = context.graph.reshape(&sum, &[to, height, width, from]);
    context.graph.transpose(&apart, &[0, 3, 1, 2])
}

/// Every channel by itself. For each row of the kernel, the products of all columns of `dy` with all of the padded input, of
/// which those count that a place of the kernel brings together: a few times as many products as there have to be, in one
/// matrix product for each channel.
fn of_single_channels(context: &mut Context<'_>, dy: &Value, x: &Value, window: &Window, sides: &Sides) -> Value {
    let [channels, _, height, width] = sides.shape[..] else { return x.clone() };
    let columns = sides.from[1] + window.pads[1] + window.pads[3];
    let whole = padded(context, x, window);
    let whole = context.graph.transpose(&whole, &[1, 0, 2, 3]);
    let dy = context.graph.transpose(dy, &[1, 3, 0, 2]);
    let dy = context.graph.reshape(&dy, &[channels, sides.to[1], -1]);
    let counted = meetings(context, window, sides, columns);
    let mut rows = Vec::new();
    for row in 0..height {
        let lines = seen(context, &whole, 2, row * window.dilations[0], window.strides[0], sides.to[0]);
        let lines = context.graph.reshape(&lines, &[channels, -1, columns]);
        let products = context.graph.matmul(&dy, &lines);
        let products = context.graph.reshape(&products, &[channels, sides.to[1] * columns]);
        let sums = context.graph.matmul(&products, &counted);
        rows.push(context.graph.reshape(&sums, &[channels, 1, 1, width]));
    }
    context.graph.node("Concat", &rows.iter().collect::<Vec<_>>(), vec![attribute_int("axis", 2)])
}

/// For each column of the output and of the padded input, one at the place of the kernel that brings them together:
/// `[columns of both, places]`. Convolutions of one geometry share it.
fn meetings(context: &mut Context<'_>, window: &Window, sides: &Sides, columns: i64) -> Value {
    let (to, width, stride, dilation) = (sides.to[1], sides.shape[3], window.strides[1], window.dilations[1]);
    let name = format!("meetings/{to}_{columns}_{width}_{stride}_{dilation}");
    if context.graph.graph().initializer.iter().any(|tensor| tensor.name() == name) {
        return context.graph.value(&name);
    }
    let mut counted = vec![0.0; (to * columns * width) as usize];
    for column in 0..to {
        for place in 0..width {
            let from = column * stride + place * dilation;
            counted[((column * columns + from) * width + place) as usize] = 1.0;
        }
    }
    context.graph.tensor_f32(&name, &[(to * columns) as usize, width as usize], &counted)
}

/// The convolution of the input with `dy`.
fn by_convolution(
    context: &mut Context<'_>,
    dy: &Value,
    x: &Value,
    weights: &Value,
    window: &Window,
    group: i64,
) -> Result<Value, Error> {
    let spatial = window.kernel.len();
    let order = swapped(spatial + 2);
    let image = if group == 1 { context.graph.transpose(x, &order) } else { grouped(context, x, weights, group)? };
    let kernel = context.graph.transpose(dy, &order);
    let turned = Window {
        kernel: vec![],
        strides: window.dilations.clone(),
        dilations: window.strides.clone(),
        pads: window.pads.clone(),
    };
    let mut attributes = turned.attributes();
    attributes.push(attribute_int("group", group));
    let mut sums = context.graph.node("Conv", &[&image, &kernel], attributes);
    if window.strides.iter().any(|stride| *stride != 1) {
        // Elements that the last stride left over make more places than the kernel has.
        let axes: Vec<i64> = (2..spatial as i64 + 2).collect();
        let (starts, ends) = (context.graph.list_i64(&vec![0; spatial]), context.graph.list_i64(&window.kernel));
        let axes = context.graph.list_i64(&axes);
        sums = context.graph.node("Slice", &[&sums, &starts, &ends, &axes], vec![]);
    }
    Ok(context.graph.transpose(&sums, &order))
}

/// `[n, group c, ...]` as `[c, group n, ...]`.
fn grouped(context: &mut Context<'_>, x: &Value, weights: &Value, group: i64) -> Result<Value, Error> {
    let rank = context.rank(x)? as i64;
    // Each group of weights sees its part of the channels only.
    let Some(each) = context.dims(weights)?[1].fixed() else {
        return Err(context.unsupported("it has groups and the number of its channels is not known"));
    };
    let shape = context.shape(x);
    let axes: Vec<i64> = (2..rank).collect();
    let (first, rest) = (context.graph.list_i64(&[0]), context.graph.list_i64(&axes));
    let (batch, places) = (context.graph.gather(&shape, &first, 0), context.graph.gather(&shape, &rest, 0));
    let groups = context.graph.list_i64(&[group]);
    let each_value = context.graph.list_i64(&[each]);
    let join = vec![attribute_int("axis", 0)];
    let apart = context.graph.node("Concat", &[&batch, &groups, &each_value, &places], join.clone());
    let apart = context.graph.node("Reshape", &[x, &apart], vec![]);
    let order: Vec<i64> = [2, 1, 0].into_iter().chain(3..rank + 1).collect();
    let turned = context.graph.transpose(&apart, &order);
    let together = context.graph.list_i64(&[each, -1]);
    let together = context.graph.node("Concat", &[&together, &places], join);
    Ok(context.graph.node("Reshape", &[&turned, &together], vec![]))
}
