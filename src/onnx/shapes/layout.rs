//! Shapes of what operators give that move elements or reduce axes.

use super::{Shapes, Size, axes, axis_of, broadcast, int, ints, string};
use crate::onnx::proto::NodeProto;

type Dims = Option<Vec<Size>>;

fn first<'a>(shapes: &'a Shapes, node: &NodeProto) -> Option<&'a [Size]> {
    shapes.dims(node.input.first()?)
}

/// The shape that the elements of an integer tensor spell.
pub(super) fn of_elements(shapes: &Shapes, value: Option<&String>) -> Dims {
    if let Some(elements) = shapes.integers.get(value?) {
        return Some(elements.clone());
    }
    match shapes.dims(value?)? {
        [Size::Fixed(rank)] => Some(vec![Size::Unknown; usize::try_from(*rank).ok()?]),
        _ => None,
    }
}

pub(super) fn transpose(shapes: &Shapes, node: &NodeProto) -> Dims {
    let dims = first(shapes, node)?;
    match ints(node, "perm") {
        Some(order) => order.iter().map(|axis| dims.get(*axis as usize).cloned()).collect(),
        None => Some(dims.iter().rev().cloned().collect()),
    }
}

pub(super) fn reshape(shapes: &Shapes, node: &NodeProto) -> Dims {
    let source = first(shapes, node);
    let target = of_elements(shapes, node.input.get(1))?;
    let keeps_zero = int(node, "allowzero", 0) == 0;
    let mut dims: Vec<Size> = (target.into_iter().enumerate())
        .map(|(axis, size)| match size {
            Size::Fixed(0) if keeps_zero => source.and_then(|dims| dims.get(axis).cloned()).unwrap_or(Size::Unknown),
            size => size,
        })
        .collect();
    if let Some(rest) = dims.iter().position(|size| *size == Size::Fixed(-1)) {
        let others: Vec<Size> =
            dims.iter().enumerate().filter(|(axis, _)| *axis != rest).map(|(_, s)| s.clone()).collect();
        dims[rest] = source.map_or(Size::Unknown, |source| quotient(source, &others));
    }
    Some(dims)
}

/// What is left of the sizes `all` when the sizes `part` are divided out.
fn quotient(all: &[Size], part: &[Size]) -> Size {
    let mut left: Vec<Size> = all.to_vec();
    let mut over = 1;
    for size in part {
        match left.iter().position(|other| other.equals(size)) {
            Some(index) => drop(left.swap_remove(index)),
            None => match size.fixed() {
                Some(fixed) => over *= fixed,
                None => return Size::Unknown,
            },
        }
    }
    let fixed: i64 = left.iter().filter_map(Size::fixed).product();
    let mut symbols = left.into_iter().filter(|size| size.fixed().is_none());
    match (symbols.next(), symbols.next()) {
        (None, _) if over != 0 && fixed % over == 0 => Size::Fixed(fixed / over),
        (Some(symbol), None) if fixed == over => symbol,
        _ => Size::Unknown,
    }
}

pub(super) fn flatten(shapes: &Shapes, node: &NodeProto) -> Dims {
    let Some(dims) = first(shapes, node) else { return Some(vec![Size::Unknown; 2]) };
    let axis = int(node, "axis", 1);
    let axis = if axis < 0 { axis + dims.len() as i64 } else { axis };
    let (rows, columns) = dims.split_at_checked(usize::try_from(axis).ok()?)?;
    Some(vec![quotient(rows, &[]), quotient(columns, &[])])
}

pub(super) fn squeeze(shapes: &Shapes, node: &NodeProto) -> Dims {
    let dims = first(shapes, node)?;
    let axes = match axes(shapes, node, 1) {
        Some(axes) => axes.into_iter().map(|axis| axis_of(axis, dims.len())).collect::<Option<Vec<_>>>()?,
        None if node.input.len() > 1 || dims.iter().any(|size| size.fixed().is_none()) => return None,
        None => (0..dims.len()).filter(|axis| dims[*axis] == Size::Fixed(1)).collect(),
    };
    Some(dims.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, size)| size.clone()).collect())
}

pub(super) fn unsqueeze(shapes: &Shapes, node: &NodeProto) -> Dims {
    let mut dims = first(shapes, node)?.to_vec();
    let axes = axes(shapes, node, 1)?;
    let rank = dims.len() + axes.len();
    let mut axes = axes.into_iter().map(|axis| axis_of(axis, rank)).collect::<Option<Vec<_>>>()?;
    axes.sort_unstable();
    for axis in axes {
        if axis > dims.len() {
            return None;
        }
        dims.insert(axis, Size::Fixed(1));
    }
    Some(dims)
}

pub(super) fn expand(shapes: &Shapes, node: &NodeProto) -> Dims {
    Some(broadcast(first(shapes, node)?, &of_elements(shapes, node.input.get(1))?))
}

pub(super) fn concat(shapes: &Shapes, node: &NodeProto) -> Dims {
    let mut dims = first(shapes, node)?.to_vec();
    let axis = axis_of(int(node, "axis", 0), dims.len())?;
    let mut total = Some(0);
    for name in &node.input {
        let others = shapes.dims(name)?;
        total = total.zip(others.get(axis)?.fixed()).map(|(total, size)| total + size);
        for (at, size) in others.iter().enumerate() {
            if at != axis && dims[at].fixed().is_none() && (size.fixed().is_some() || dims[at] == Size::Unknown) {
                dims[at] = size.clone();
            }
        }
    }
    dims[axis] = total.map_or(Size::Unknown, Size::Fixed);
    Some(dims)
}

pub(super) fn slice(shapes: &Shapes, node: &NodeProto) -> Dims {
    let mut dims = first(shapes, node)?.to_vec();
    let list = |index: usize| match node.input.get(index).filter(|name| !name.is_empty()) {
        Some(name) => shapes.integers(name).map(Some),
        None => Some(None),
    };
    let given = list(3);
    let Some(axes) = given else { return Some(vec![Size::Unknown; dims.len()]) };
    let starts = list(1).flatten();
    let count = match (&axes, &starts) {
        (Some(axes), _) => axes.len(),
        (None, Some(starts)) => starts.len(),
        (None, None) => return Some(vec![Size::Unknown; dims.len()]),
    };
    let axes = axes.unwrap_or_else(|| (0..count as i64).collect());
    let (ends, steps) = (list(2).flatten(), list(4).map(|steps| steps.unwrap_or_else(|| vec![1; count])));
    for (index, axis) in axes.into_iter().enumerate() {
        let axis = axis_of(axis, dims.len())?;
        let at = |list: &Option<Vec<i64>>| list.as_ref().and_then(|list| list.get(index).copied());
        dims[axis] = match (dims[axis].fixed(), at(&starts), at(&ends), at(&steps)) {
            (_, Some(0), Some(end), Some(1)) if end >= i64::from(i32::MAX) => continue,
            (Some(size), Some(start), Some(end), Some(step)) if step > 0 => {
                let bound = |value: i64| (if value < 0 { value.saturating_add(size) } else { value }).clamp(0, size);
                let length = (bound(end) - bound(start)).max(0);
                Size::Fixed((length + step - 1) / step)
            }
            (Some(size), Some(start), Some(end), Some(step)) if step < 0 => {
                let bound = |value: i64, least: i64| {
                    (if value < 0 { value.saturating_add(size) } else { value }).clamp(least, (size - 1).max(least))
                };
                let length = (bound(start, 0) - bound(end, -1)).max(0);
                Size::Fixed(if size == 0 { 0 } else { (length - step - 1) / -step })
            }
            // What exporters do with a buffer of positions: as many as there are tokens. Were they more than the buffer
            // has, the graph could not run.
            (Some(size), Some(0), None, Some(1)) if size > 1 => symbol_at(shapes, node.input.get(2), index),
            _ => Size::Unknown,
        };
    }
    Some(dims)
}

/// Where all axes are padded by known numbers.
pub(super) fn pad(shapes: &Shapes, node: &NodeProto) -> Dims {
    let dims = first(shapes, node)?;
    let pads = node.input.get(1).and_then(|name| shapes.integers(name));
    let padded = |axis: usize| {
        let pads = pads.as_ref().filter(|pads| pads.len() == 2 * dims.len())?;
        match (pads[axis] + pads[axis + dims.len()], dims[axis].fixed()) {
            (0, _) => Some(dims[axis].clone()),
            (more, size) => Some(Size::Fixed(size? + more)),
        }
    };
    let axes = node.input.get(3).is_some_and(|name| !name.is_empty());
    Some((0..dims.len()).map(|axis| padded(axis).filter(|_| !axes).unwrap_or(Size::Unknown)).collect())
}

/// The symbol at a place of a list of integers, if that is what stands there.
fn symbol_at(shapes: &Shapes, list: Option<&String>, index: usize) -> Size {
    let element = list.and_then(|list| shapes.integers.get(list)?.get(index).cloned());
    element.filter(|size| matches!(size, Size::Named(_))).unwrap_or(Size::Unknown)
}

pub(super) fn split(shapes: &Shapes, node: &NodeProto) -> Vec<Dims> {
    let count = node.output.len();
    let whole = || {
        let dims = first(shapes, node)?;
        let axis = axis_of(int(node, "axis", 0), dims.len())?;
        let sizes = match node.input.get(1).filter(|name| !name.is_empty()) {
            Some(name) => shapes.integers(name),
            None => dims[axis].fixed().map(|size| {
                let part = (size + count as i64 - 1) / count as i64;
                (0..count as i64).map(|index| part.min(size - part * index)).collect()
            }),
        };
        Some((dims, axis, sizes))
    };
    let Some((dims, axis, sizes)) = whole() else { return vec![None; count] };
    let part = |index: usize| {
        let mut dims = dims.to_vec();
        dims[axis] = sizes.as_ref().and_then(|sizes| sizes.get(index)).map_or(Size::Unknown, |size| Size::Fixed(*size));
        Some(dims)
    };
    (0..count).map(part).collect()
}

/// The shape of a `Reduce...` node.
pub(super) fn reduction(shapes: &Shapes, node: &NodeProto) -> Dims {
    let dims = first(shapes, node)?.to_vec();
    let keep = int(node, "keepdims", 1) != 0;
    let given = node.input.get(1).is_some_and(|name| !name.is_empty());
    match axes(shapes, node, 1) {
        None if given => keep.then(|| vec![Size::Unknown; dims.len()]),
        Some(axes) if axes.is_empty() && int(node, "noop_with_empty_axes", 0) != 0 => Some(dims),
        None if int(node, "noop_with_empty_axes", 0) != 0 => Some(dims),
        axes => reduce(Some(dims), axes.filter(|axes| !axes.is_empty()), keep),
    }
}

/// `dims` with `axes` (all of them where there are none) as 1 or gone.
pub(super) fn reduce(dims: Dims, axes: Option<Vec<i64>>, keep: bool) -> Dims {
    let dims = dims?;
    let axes = axes.unwrap_or_else(|| (0..dims.len() as i64).collect());
    let axes = axes.into_iter().map(|axis| axis_of(axis, dims.len())).collect::<Option<Vec<_>>>()?;
    let reduced = |(axis, size): (usize, Size)| match axes.contains(&axis) {
        true => keep.then_some(Size::Fixed(1)),
        false => Some(size),
    };
    Some(dims.into_iter().enumerate().filter_map(reduced).collect())
}

/// The shape of a convolution or pooling: batch, `channels`, and the places of the window on each axis.
pub(super) fn window(shapes: &Shapes, node: &NodeProto, channels: Option<Size>) -> Dims {
    let dims = first(shapes, node)?;
    let spatial = dims.len().checked_sub(2)?;
    let of_weights = || {
        let weights = shapes.dims(node.input.get(1)?)?;
        weights.get(2..)?.iter().map(Size::fixed).collect::<Option<Vec<_>>>()
    };
    let kernel = ints(node, "kernel_shape").map(<[i64]>::to_vec).or_else(of_weights);
    let list = |name: &str| ints(node, name).map_or_else(|| vec![1; spatial], <[i64]>::to_vec);
    let (strides, dilations) = (list("strides"), list("dilations"));
    let pads = ints(node, "pads").map_or_else(|| vec![0; 2 * spatial], <[i64]>::to_vec);
    let same = string(node, "auto_pad").is_some_and(|mode| mode.starts_with("SAME"));
    let ceil = int(node, "ceil_mode", 0) != 0;
    let mut result = vec![dims[0].clone(), channels.unwrap_or(Size::Unknown)];
    for axis in 0..spatial {
        let place = || {
            let (size, stride) = (dims[axis + 2].fixed()?, *strides.get(axis)?);
            if same {
                return Some((size + stride - 1) / stride);
            }
            let reach = dilations.get(axis)? * (kernel.as_ref()?.get(axis)? - 1) + 1;
            let room = size + pads.get(axis)? + pads.get(axis + spatial)? - reach;
            (!ceil || room % stride == 0).then_some(room / stride + 1)
        };
        result.push(place().map_or(Size::Unknown, Size::Fixed));
    }
    Some(result)
}
