//! The gradient of a convolution's weights. Part of [`super`].
//!
//! It is a convolution too: of the input with `dy`, batch and channels in each other's place, and strides and dilations in each
//! other's ([`Weights::by_convolution`]; Dumoulin and Visin, A guide to convolution arithmetic, <https://arxiv.org/abs/1603.07285>).
//! Its kernels are as large as the features, for which the runtime's convolutions are not made. Where sizes are known it is
//! written otherwise, of the very numbers: as matrix products where every output sees all channels, and where each channel is by
//! itself as a convolution of the pictures of a batch put below each other.

use super::window::{Window, fixed, swapped};
use crate::autodiff::Error;
use crate::autodiff::context::Context;
use crate::onnx::graph::{Value, attribute_int, attribute_ints};
use crate::onnx::proto::DataType;

/// Fewest channels of which the places of a kernel are put side by side: below that the copies cost more than the product.
const LEAST_CHANNELS: i64 = 8;

/// A convolution of `x`, `[batch, channels, ...]`, and the gradient `dy` of its output.
pub(super) struct Weights<'a> {
    pub(super) dy: &'a Value,
    pub(super) x: &'a Value,
    pub(super) weights: &'a Value,
    pub(super) window: &'a Window,
    pub(super) group: i64,
}

/// Sizes of a convolution over two axes.
struct Sizes {
    /// Of the weights, `[to, from, height, width]`.
    shape: [i64; 4],
    /// Height and width of the input.
    from: [i64; 2],
    /// Height and width of the output.
    to: [i64; 2],
}

impl Sizes {
    /// Whether a window sees all of an axis of the input in order, at each of its places.
    fn whole(&self, window: &Window, axis: usize) -> bool {
        let padded = self.from[axis] + window.pads[axis] + window.pads[axis + 2];
        padded == self.to[axis] && window.strides[axis] == 1
    }
}

impl Weights<'_> {
    /// The gradient of the weights.
    ///
    /// # Errors
    /// The convolution has groups of an unknown number of channels.
    pub(super) fn gradient(&self, context: &mut Context<'_>) -> Result<Value, Error> {
        let is_float = context.shapes.element(self.x.name()).is_none_or(|element| element == DataType::Float);
        match self.sizes(context).filter(|_| is_float) {
            Some(sizes) if self.group == 1 && sizes.shape[1] >= LEAST_CHANNELS => Ok(self.by_product(context, &sizes)),
            Some(sizes) if self.group == sizes.shape[0] && sizes.shape[1] == 1 => Ok(self.by_stack(context, &sizes)),
            _ => self.by_convolution(context),
        }
    }

    /// `None` where one is not known, or there are not two axes.
    fn sizes(&self, context: &Context<'_>) -> Option<Sizes> {
        let sizes = |value: &Value, from: usize| fixed(context.shapes.dims(value.name())?.get(from..)?);
        Some(Sizes {
            shape: sizes(self.weights, 0)?.try_into().ok()?,
            from: sizes(self.x, 2)?.try_into().ok()?,
            to: sizes(&context.output(), 2)?.try_into().ok()?,
        })
    }

    /// Every place of the kernel sees a part of the input: their products with `dy`, summed over places and batch.
    fn by_product(&self, context: &mut Context<'_>, sizes: &Sizes) -> Value {
        let [to, from, height, width] = sizes.shape;
        // A product for each of the batch writes a gradient for each; one for all asks for copies with the batch inside.
        let together = to * from * height * width > (to + from) * sizes.to[0] * sizes.to[1];
        let (mut x, mut dy) = (self.x.clone(), self.dy.clone());
        if together {
            [x, dy] = [&x, &dy].map(|value| context.graph.transpose(value, &swapped(4)));
        }
        let seen = self.seen(context, &x, sizes, if together { 0 } else { 1 });
        let sum = if together {
            let seen = context.graph.reshape(&seen, &[height * width * from, -1]);
            let dy = context.graph.reshape(&dy, &[to, -1]);
            let seen = context.graph.transpose(&seen, &[1, 0]);
            context.graph.matmul(&dy, &seen)
        } else {
            let seen = context.graph.reshape(&seen, &[0, height * width * from, -1]);
            let dy = context.graph.reshape(&dy, &[0, to, -1]);
            let seen = context.graph.transpose(&seen, &[0, 2, 1]);
            let products = context.graph.matmul(&dy, &seen);
            context.sum(&products, &[0], false)
        };
        if height * width == 1 {
            return context.graph.reshape(&sum, &sizes.shape);
        }
        let apart = context.graph.reshape(&sum, &[to, height, width, from]);
        context.graph.transpose(&apart, &[0, 3, 1, 2])
    }

    /// What the places of the kernel see of `x`, side by side along the axis of its channels.
    fn seen(&self, context: &mut Context<'_>, x: &Value, sizes: &Sizes, channels: i64) -> Value {
        let window = self.window;
        let whole = padded(context, x, window.pads.as_slice());
        let mut parts = Vec::new();
        for row in 0..sizes.shape[2] {
            let lines = if sizes.whole(window, 0) { whole.clone() } else { self.part(context, &whole, sizes, 0, row) };
            for column in 0..sizes.shape[3] {
                let all = sizes.whole(window, 1);
                parts.push(if all { lines.clone() } else { self.part(context, &lines, sizes, 1, column) });
            }
        }
        match parts.as_slice() {
            [single] => single.clone(),
            parts => {
                let axis = vec![attribute_int("axis", channels)];
                context.graph.node("Concat", &parts.iter().collect::<Vec<_>>(), axis)
            }
        }
    }

    /// Along a spatial axis, the elements that the place `at` of the kernel sees.
    fn part(&self, context: &mut Context<'_>, x: &Value, sizes: &Sizes, axis: usize, at: i64) -> Value {
        let (stride, from) = (self.window.strides[axis], at * self.window.dilations[axis]);
        let end = from + (sizes.to[axis] - 1) * stride + 1;
        cut(context, x, &[from], &[end], &[axis as i64 + 2], &[stride])
    }

    /// Each channel by itself: `[1, channels, batch and rows, columns]` as the input, and `dy` the same as the kernel. Below the
    /// rows of every picture are as many of zeros as the window sees beyond them.
    fn by_stack(&self, context: &mut Context<'_>, sizes: &Sizes) -> Value {
        let Window { strides, dilations, pads, .. } = self.window;
        let [channels, _, height, width] = sizes.shape;
        let reach = (height - 1) * dilations[0] + 1;
        let needed = (sizes.to[0] - 1) * strides[0] + reach;
        // As many rows of `dy` as reach all rows of the input, and those that the last of its places sees.
        let rows = (needed.max(sizes.from[0] + pads[0]) + strides[0] - 1) / strides[0];
        let (below, below_dy) = (rows * strides[0] - sizes.from[0] - pads[0], rows - sizes.to[0]);
        let [x, dy] = [self.x, self.dy].map(|value| context.graph.transpose(value, &swapped(4)));
        let x = padded(context, &x, &[pads[0], 0, below, 0]);
        let x = context.graph.reshape(&x, &[1, channels, -1, sizes.from[1]]);
        let dy = padded(context, &dy, &[0, 0, below_dy, 0]);
        let dy = context.graph.reshape(&dy, &[channels, 1, -1, sizes.to[1]]);
        let around = [0, pads[1], reach - 1, pads[3]];
        let attributes = vec![
            attribute_ints("strides", dilations),
            attribute_ints("dilations", strides),
            attribute_ints("pads", &around),
            attribute_int("group", channels),
        ];
        let sums = context.graph.node("Conv", &[&x, &dy], attributes);
        let sums = cut(context, &sums, &[0, 0], &[height, width], &[2, 3], &[1, 1]);
        context.graph.reshape(&sums, &sizes.shape)
    }

    /// The convolution of the input with `dy`.
    fn by_convolution(&self, context: &mut Context<'_>) -> Result<Value, Error> {
        let window = self.window;
        let spatial = window.kernel.len();
        let order = swapped(spatial + 2);
        let image = if self.group == 1 { context.graph.transpose(self.x, &order) } else { self.grouped(context)? };
        let kernel = context.graph.transpose(self.dy, &order);
        let turned = Window {
            kernel: vec![],
            strides: window.dilations.clone(),
            dilations: window.strides.clone(),
            pads: window.pads.clone(),
        };
        let mut attributes = turned.attributes();
        attributes.push(attribute_int("group", self.group));
        let mut sums = context.graph.node("Conv", &[&image, &kernel], attributes);
        if window.strides.iter().any(|stride| *stride != 1) {
            // Elements that the last stride left over make more places than the kernel has.
            let axes: Vec<i64> = (2..spatial as i64 + 2).collect();
            sums = cut(context, &sums, &vec![0; spatial], &window.kernel, &axes, &vec![1; spatial]);
        }
        Ok(context.graph.transpose(&sums, &order))
    }

    /// `[n, group c, ...]` as `[c, group n, ...]`.
    fn grouped(&self, context: &mut Context<'_>) -> Result<Value, Error> {
        let rank = context.rank(self.x)? as i64;
        // Each group of weights sees its part of the channels only.
        let Some(each) = context.dims(self.weights)?[1].fixed() else {
            return Err(context.unsupported("it has groups and the number of its channels is not known"));
        };
        let shape = context.shape(self.x);
        let axes: Vec<i64> = (2..rank).collect();
        let (first, rest) = (context.graph.list_i64(&[0]), context.graph.list_i64(&axes));
        let (batch, places) = (context.graph.gather(&shape, &first, 0), context.graph.gather(&shape, &rest, 0));
        let groups = context.graph.list_i64(&[self.group]);
        let each_value = context.graph.list_i64(&[each]);
        let join = vec![attribute_int("axis", 0)];
        let apart = context.graph.node("Concat", &[&batch, &groups, &each_value, &places], join.clone());
        let apart = context.graph.node("Reshape", &[self.x, &apart], vec![]);
        let order: Vec<i64> = [2, 1, 0].into_iter().chain(3..rank + 1).collect();
        let turned = context.graph.transpose(&apart, &order);
        let together = context.graph.list_i64(&[each, -1]);
        let together = context.graph.node("Concat", &[&together, &places], join);
        Ok(context.graph.node("Reshape", &[&turned, &together], vec![]))
    }
}

/// `x` with zeros around its two spatial axes: above, left, below, right.
fn padded(context: &mut Context<'_>, x: &Value, pads: &[i64]) -> Value {
    if pads.iter().all(|pad| *pad == 0) {
        return x.clone();
    }
    let pads = [&[0, 0], &pads[..2], &[0, 0], &pads[2..]].concat();
    let pads = context.graph.list_i64(&pads);
    context.graph.node("Pad", &[x, &pads], vec![])
}

/// A part of `x`.
fn cut(context: &mut Context<'_>, x: &Value, from: &[i64], to: &[i64], axes: &[i64], steps: &[i64]) -> Value {
    let lists = [from, to, axes, steps].map(|list| context.graph.list_i64(list));
    let [from, to, axes, steps] = &lists;
    context.graph.node("Slice", &[x, from, to, axes, steps], vec![])
}
