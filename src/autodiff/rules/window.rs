//! The geometry of windows, which convolutions and pooling share, and how a gradient is spread over what they saw. Part of
//! [`super`].

use crate::autodiff::Error;
use crate::autodiff::context::Context;
use crate::onnx::graph::{Value, attribute_int, attribute_ints};
use crate::onnx::proto::AttributeProto;
use crate::onnx::shapes::{Size, ints, string};

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

    /// The gradient of what the windows saw, the transposed convolution of `dy`, whose dimensions are `places`, with `weights`: a
    /// value with the spatial sizes of the forward value `like`.
    pub(super) fn backward(
        &self,
        context: &mut Context<'_>,
        dy: &Value,
        places: Option<&[Size]>,
        weights: &Value,
        group: i64,
        like: &Value,
    ) -> Result<Value, Error> {
        let places = places.and_then(|dims| fixed(&dims[2..]));
        let sizes = fixed(&context.dims(like)?[2..]);
        let (Some(places), Some(sizes)) = (places, sizes) else {
            return Ok(self.spread_and_cut(context, dy, weights, group, like));
        };
        // Groups of several channels would have to be turned apart.
        let alone = matches!(context.shapes.dims(weights.name()), Some([_, Size::Fixed(1), ..]));
        match self.turned_pads(&places, &sizes).filter(|_| group == 1 || alone) {
            Some(pads) => Ok(self.turned(context, dy, weights, group, &pads)),
            None => Ok(self.spread(context, dy, &places, weights, group, &sizes)),
        }
    }

    /// The padding of [`Self::turned`]; `None` where the window moves by more than one.
    fn turned_pads(&self, places: &[i64], sizes: &[i64]) -> Option<Vec<i64>> {
        let spatial = self.kernel.len();
        if self.strides.iter().chain(&self.dilations).any(|step| *step != 1) {
            return None;
        }
        let mut pads = vec![0; 2 * spatial];
        for axis in 0..spatial {
            pads[axis] = self.kernel[axis] - 1 - self.pads[axis];
            pads[axis + spatial] = sizes[axis] - places[axis] + self.kernel[axis] - 1 - pads[axis];
        }
        pads.iter().all(|pad| *pad >= 0).then_some(pads)
    }

    /// As a convolution of `dy` with the weights turned around: of one group, or of channels that are each by themselves.
    fn turned(&self, context: &mut Context<'_>, dy: &Value, weights: &Value, group: i64, pads: &[i64]) -> Value {
        let spatial = self.kernel.len();
        let mut turned = weights.clone();
        if self.kernel.iter().any(|size| *size != 1) {
            let axes: Vec<i64> = (2..spatial as i64 + 2).collect();
            let [first, last, step] = [-1, i64::MIN, -1].map(|number| vec![number; spatial]);
            let lists = [first, last, axes, step].map(|list| context.graph.list_i64(&list));
            let [first, last, axes, step] = &lists;
            turned = context.graph.node("Slice", &[weights, first, last, axes, step], vec![]);
        }
        if group == 1 {
            turned = context.graph.transpose(&turned, &swapped(spatial + 2));
        }
        let attributes = vec![attribute_ints("pads", pads), attribute_int("group", group)];
        context.graph.node("Conv", &[dy, &turned], attributes)
    }

    /// As a transposed convolution.
    fn spread(
        &self,
        context: &mut Context<'_>,
        dy: &Value,
        places: &[i64],
        weights: &Value,
        group: i64,
        sizes: &[i64],
    ) -> Value {
        let spatial = self.kernel.len();
        let mut window = self.clone();
        // Elements at the end that no window reached get no gradient.
        let mut missed = vec![0; spatial];
        for axis in 0..spatial {
            let covered = (places[axis] - 1) * self.strides[axis] + self.reach(axis) - self.pads[axis];
            window.pads[axis + spatial] = (covered - sizes[axis]).max(0);
            missed[axis] = (sizes[axis] - covered).max(0);
        }
        let mut attributes = vec![attribute_int("group", group), attribute_ints("output_padding", &missed)];
        attributes.extend(window.attributes());
        context.graph.node("ConvTranspose", &[dy, weights], attributes)
    }

    /// [`Self::spread`] where sizes are known when the graph runs.
    fn spread_and_cut(
        &self,
        context: &mut Context<'_>,
        dy: &Value,
        weights: &Value,
        group: i64,
        like: &Value,
    ) -> Value {
        let spatial = self.kernel.len();
        let mut window = self.clone();
        let by_one = self.strides.iter().all(|stride| *stride == 1);
        if !by_one {
            window.pads[spatial..].fill(0);
        }
        let mut attributes = vec![attribute_int("group", group)];
        attributes.extend(window.attributes());
        let spread = context.graph.node("ConvTranspose", &[dy, weights], attributes);
        if by_one {
            return spread;
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
        context.graph.node("Slice", &[&padded, &starts, &ends, &axes], vec![])
    }
}

/// All of them as numbers.
pub(super) fn fixed(dims: &[Size]) -> Option<Vec<i64>> {
    dims.iter().map(Size::fixed).collect()
}

/// The order of `rank` axes with the first two swapped.
pub(super) fn swapped(rank: usize) -> Vec<i64> {
    let mut order: Vec<i64> = (0..rank as i64).collect();
    order.swap(0, 1);
    order
}
