//! The gradient of a convolution's weights. Part of [`super`].
//!
//! It is a convolution too: of the input with `dy`, batch and channels in each other's place, and strides and dilations in each
//! other's ([`by_convolution`]; Dumoulin and Visin, A guide to convolution arithmetic, <https://arxiv.org/abs/1603.07285>). Its
//! kernels are as large as the features, for which the runtime's convolutions are not made: where sizes are known and every
//! output sees all channels it is written as matrix products instead, of the very numbers, two to ten times as fast.

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
    let is_float = context.shapes.element(x.name()).is_none_or(|element| element == DataType::Float);
    if let Some(sides) =
        Sides::of(context, x, weights).filter(|sides| is_float && group == 1 && sides.shape[1] >= LEAST_CHANNELS)
    {
        return Ok(by_product(context, dy, x, window, &sides));
    }
    by_convolution(context, dy, x, weights, window, group)
}

/// What is known of the sizes.
struct Sides {
    /// Of the weights, `[to, from, height, width]`.
    shape: [i64; 4],
    /// Height and width of the input.
    from: [i64; 2],
    /// Height and width of the output.
    to: [i64; 2],
}

impl Sides {
    /// Those of a convolution over two axes; `None` where one is not known.
    fn of(context: &Context<'_>, x: &Value, weights: &Value) -> Option<Self> {
        let sizes = |value: &Value, from: usize| fixed(context.shapes.dims(value.name())?.get(from..)?);
        Some(Self {
            shape: sizes(weights, 0)?.try_into().ok()?,
            from: sizes(x, 2)?.try_into().ok()?,
            to: sizes(&context.output(), 2)?.try_into().ok()?,
        })
    }
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
    let [to, from, height, width] = sides.shape;
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
