//! Convolutions, and the geometry of windows that pooling shares. Part of [`super`].
//!
//! The gradient of the input is the transposed convolution of `dy` with the same weights. The gradient of the weights is a
//! convolution too: of the input with `dy`, batch and channels in each other's place, and strides and dilations in each
//! other's. Dumoulin and Visin, A guide to convolution arithmetic, <https://arxiv.org/abs/1603.07285>.

use super::Gradients;
use crate::autodiff::Error;
use crate::autodiff::context::Context;
use crate::onnx::graph::{Value, attribute_int, attribute_ints};
use crate::onnx::proto::AttributeProto;
use crate::onnx::shapes::{Size, int, ints, string};

/// How a window moves over the spatial axes.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) kernel: Vec<i64>,
    pub(super) strides: Vec<i64>,
    pub(super) dilations: Vec<i64>,
    /// At the begin of each axis, then at the end of each.
    pub(super) pads: Vec<i64>,
}

impl Window {
    /// The window of the node, whose input is `x`; `weights` gives the kernel where no attribute does.
    pub(super) fn of(context: &Context<'_>, x: &Value, weights: Option<&Value>) -> Result<Self, Error> {
        let node = context.node;
        let dims = context.dims(x)?;
        let spatial = dims.len().saturating_sub(2);
        let of_weights = || weights.and_then(|weights| context.shapes.dims(weights.name())?.get(2..)).map(fixed);
        let kernel = ints(node, "kernel_shape").map(|kernel| Some(kernel.to_vec())).or_else(of_weights).flatten();
        let Some(kernel) = kernel.filter(|kernel| kernel.len() == spatial) else {
            return Err(context.unsupported("the size of its kernel is not known"));
        };
        let list = |name: &str, default: i64, count: usize| {
            ints(node, name).filter(|list| !list.is_empty()).map_or_else(|| vec![default; count], <[i64]>::to_vec)
        };
        let (strides, dilations) = (list("strides", 1, spatial), list("dilations", 1, spatial));
        let mut window = Self { kernel, strides, dilations, pads: list("pads", 0, 2 * spatial) };
        match string(node, "auto_pad") {
            None | Some("NOTSET" | "VALID" | "") => {}
            Some(mode) => {
                let Some(sizes) = fixed(&dims[2..]) else {
                    return Err(context.unsupported("it has auto_pad and the size of its input is not known"));
                };
                window.pad_same(&sizes, mode == "SAME_LOWER");
            }
        }
        Ok(window)
    }

    /// As many places as the size divided by the stride.
    fn pad_same(&mut self, sizes: &[i64], lower: bool) {
        let spatial = sizes.len();
        for (axis, size) in sizes.iter().enumerate() {
            let places = (size + self.strides[axis] - 1) / self.strides[axis];
            let total = ((places - 1) * self.strides[axis] + self.reach(axis) - size).max(0);
            let small = total / 2;
            (self.pads[axis], self.pads[axis + spatial]) =
                if lower { (total - small, small) } else { (small, total - small) };
        }
    }

    /// How many elements the window spans on an axis.
    fn reach(&self, axis: usize) -> i64 {
        self.dilations[axis] * (self.kernel[axis] - 1) + 1
    }

    /// Attributes of an operator with this window.
    pub(super) fn attributes(&self) -> Vec<AttributeProto> {
        vec![
            attribute_ints("strides", &self.strides),
            attribute_ints("dilations", &self.dilations),
            attribute_ints("pads", &self.pads),
        ]
    }

    /// The transposed convolution of `dy`, whose dimensions are `places`, with `weights`: a value with the spatial sizes
    /// of the forward value `like`.
    pub(super) fn spread(
        &self,
        context: &mut Context<'_>,
        dy: &Value,
        places: Option<&[Size]>,
        weights: &Value,
        group: i64,
        like: &Value,
    ) -> Result<Value, Error> {
        let spatial = self.kernel.len();
        let mut window = self.clone();
        let mut attributes = vec![attribute_int("group", group)];
        let places = places.and_then(|dims| fixed(&dims[2..]));
        let sizes = fixed(&context.dims(like)?[2..]);
        let mut crop = false;
        if let (Some(places), Some(sizes)) = (places, sizes) {
            // Elements at the end that no window reached get no gradient.
            let mut missed = vec![0; spatial];
            for axis in 0..spatial {
                let covered = (places[axis] - 1) * self.strides[axis] + self.reach(axis) - self.pads[axis];
                window.pads[axis + spatial] = (covered - sizes[axis]).max(0);
                missed[axis] = (sizes[axis] - covered).max(0);
            }
            attributes.push(attribute_ints("output_padding", &missed));
        } else if self.strides.iter().any(|stride| *stride != 1) {
            window.pads[spatial..].fill(0);
            crop = true;
        }
        attributes.extend(window.attributes());
        let spread = context.graph.node("ConvTranspose", &[dy, weights], attributes);
        if !crop {
            return Ok(spread);
        }
        // At most stride - 1 elements were missed; what is too much goes.
        let mut pads = vec![0; 2 * (spatial + 2)];
        for axis in 0..spatial {
            pads[spatial + 4 + axis] = self.strides[axis] - 1;
        }
        let pads = context.graph.list_i64(&pads);
        let padded = context.graph.node("Pad", &[&spread, &pads], vec![]);
        let axes: Vec<i64> = (2..spatial as i64 + 2).collect();
        let (shape, axes) = (context.shape(like), context.graph.list_i64(&axes));
        let ends = context.graph.gather(&shape, &axes, 0);
        let starts = context.graph.list_i64(&vec![0; spatial]);
        Ok(context.graph.node("Slice", &[&padded, &starts, &ends, &axes], vec![]))
    }
}

/// All of them as numbers.
fn fixed(dims: &[Size]) -> Option<Vec<i64>> {
    dims.iter().map(Size::fixed).collect()
}

/// The order of `rank` axes with the first two swapped.
fn swapped(rank: usize) -> Vec<i64> {
    let mut order: Vec<i64> = (0..rank as i64).collect();
    order.swap(0, 1);
    order
}

/// <https://onnx.ai/onnx/operators/onnx__Conv.html>
pub(super) fn conv(context: &mut Context<'_>) -> Gradients {
    let (dy, x, weights, y) = (context.gradient()?, context.input(0)?, context.input(1)?, context.output());
    let window = Window::of(context, &x, Some(&weights))?;
    let group = int(context.node, "group", 1);
    let rank = window.kernel.len() + 2;
    let dx = if context.wants(0) {
        let places = context.shapes.dims(y.name());
        Some(window.spread(context, &dy, places, &weights, group, &x)?)
    } else {
        None
    };
    let dw = if context.wants(1) { Some(weights_gradient(context, &dy, &x, &weights, &window, group)?) } else { None };
    let db = context.wants(2).then(|| {
        let others: Vec<i64> = (0..rank as i64).filter(|axis| *axis != 1).collect();
        context.sum(&dy, &others, false)
    });
    Ok(vec![dx, dw, db])
}

fn weights_gradient(
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
