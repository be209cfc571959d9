//! `Slice`, and putting a part of a tensor back among zeros. Part of [`super`].

use super::Gradients;
use super::layout::axis_size;
use crate::autodiff::Error;
use crate::autodiff::context::Context;
use crate::onnx::graph::{Value, attribute_int};
use crate::onnx::proto::DataType;
use crate::onnx::shapes::{Size, axis_of};

/// Zeros around what was cut out. <https://onnx.ai/onnx/operators/onnx__Slice.html>
pub(super) fn slice(context: &mut Context<'_>) -> Gradients {
    let (dy, x, y) = (context.gradient()?, context.input(0)?, context.output());
    let dims = context.dims(&x)?;
    let axes = sliced_axes(context, dims.len())?;
    let constant = |index: usize| context.optional(index).and_then(|value| context.shapes.integers(value.name()));
    let steps = if context.optional(4).is_some() { constant(4) } else { Some(vec![1; axes.len()]) };
    if let (Some(starts), Some(steps)) = (constant(1), steps)
        && steps.iter().all(|step| *step == 1)
        && let Some(begins) = begins(dims, &axes, &starts)
    {
        let dims = context.shapes.dims(y.name());
        return Ok(vec![Some(pad_to(context, &dy, dims, &begins, &x))]);
    }
    scatter_back(context, dy, &x, &axes).map(|dx| vec![Some(dx)])
}

fn sliced_axes(context: &Context<'_>, rank: usize) -> Result<Vec<usize>, Error> {
    let unknown = || context.unsupported("its axes are not constant");
    let axes = match context.optional(3) {
        Some(axes) => context.shapes.integers(axes.name()).ok_or_else(unknown)?,
        None => {
            let starts = context.input(1)?;
            match context.dims(&starts)? {
                [Size::Fixed(count)] => (0..*count).collect(),
                _ => return Err(unknown()),
            }
        }
    };
    let outside = || context.unsupported("one of its axes is outside of its input");
    axes.into_iter().map(|axis| axis_of(axis, rank).ok_or_else(outside)).collect()
}

/// Where the part begins on each axis; `None` where that depends on a size that is not known.
fn begins(dims: &[Size], axes: &[usize], starts: &[i64]) -> Option<Vec<i64>> {
    let mut begins = vec![0; dims.len()];
    for (axis, start) in axes.iter().zip(starts) {
        begins[*axis] = match dims[*axis].fixed() {
            Some(size) => (if *start < 0 { start + size } else { *start }).clamp(0, size),
            None if *start >= 0 => *start,
            None => return None,
        };
    }
    Some(begins)
}

/// `part`, of dimensions `dims`, with zeros around it up to the shape of the forward value `like`, in which it begins at
/// `begins`.
pub(super) fn pad_to(
    context: &mut Context<'_>,
    part: &Value,
    dims: Option<&[Size]>,
    begins: &[i64],
    like: &Value,
) -> Value {
    let whole = context.shapes.dims(like.name());
    let ends: Option<Vec<i64>> = dims.zip(whole).and_then(|(dims, whole)| {
        let end = |((size, whole), begin): ((&Size, &Size), &i64)| match (size.fixed(), whole.fixed()) {
            (Some(size), Some(whole)) => Some(whole - size - begin),
            _ if size.equals(whole) => Some(0),
            _ => None,
        };
        dims.iter().zip(whole).zip(begins).map(end).collect()
    });
    let pads = match ends {
        Some(ends) => context.graph.list_i64(&[begins, &ends].concat()),
        None => {
            let (whole, size) = (context.shape(like), context.graph.node("Shape", &[part], vec![]));
            let begins = context.graph.list_i64(begins);
            let rest = context.graph.sub(&whole, &size);
            let ends = context.graph.sub(&rest, &begins);
            context.graph.node("Concat", &[&begins, &ends], vec![attribute_int("axis", 0)])
        }
    };
    context.graph.node("Pad", &[part, &pads], vec![])
}

/// The general case, one axis after the other: the places that the slice took are cut out of `0, 1, ...` as it cut its
/// input, and the gradient is put there.
fn scatter_back(context: &mut Context<'_>, dy: Value, x: &Value, axes: &[usize]) -> Result<Value, Error> {
    let rank = context.rank(x)?;
    let mut gradient = dy;
    for (place, axis) in axes.iter().enumerate().rev() {
        let at = context.graph.list_i64(&[place as i64]);
        let mut bounds = vec![];
        for index in [1, 2, 4] {
            if let Some(all) = context.optional(index) {
                let one = context.graph.gather(&all, &at, 0);
                bounds.push(context.graph.cast(&one, DataType::Int64));
            }
        }
        let size = axis_size(context, x, *axis);
        let none = context.graph.list_i64(&[]);
        let scalar = context.graph.node("Reshape", &[&size, &none], vec![]);
        let places = context.graph.range(&scalar);
        let first = context.graph.list_i64(&[0]);
        let mut inputs = vec![&places, &bounds[0], &bounds[1], &first];
        inputs.extend(bounds.get(2));
        let taken = context.graph.node("Slice", &inputs, vec![]);
        let others: Vec<i64> = (0..rank as i64).filter(|other| *other != *axis as i64).collect();
        let taken = if others.is_empty() { taken } else { context.graph.unsqueeze(&taken, &others) };
        let shape = context.graph.node("Shape", &[&gradient], vec![]);
        let taken = context.graph.node("Expand", &[&taken, &shape], vec![]);
        // Zeros as long as the input on this axis, as the gradient on the others.
        let axis_list = context.graph.list_i64(&[*axis as i64]);
        let whole = context.graph.node("ScatterElements", &[&shape, &axis_list, &size], vec![]);
        let zero = context.scalar(0.0, x);
        let zeros = context.graph.node("Expand", &[&zero, &whole], vec![]);
        let attributes = vec![attribute_int("axis", *axis as i64)];
        gradient = context.graph.node("ScatterElements", &[&zeros, &taken, &gradient], attributes);
    }
    Ok(gradient)
}
