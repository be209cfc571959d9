//! Look-ups: the gradient of what was looked up is added to where it came from. Part of [`super`].

use super::Gradients;
use super::slices::pad_to;
use crate::autodiff::Error;
use crate::autodiff::context::Context;
use crate::onnx::graph::{Value, attribute_int, attribute_string};
use crate::onnx::shapes::{Size, axis_of, int};

/// First version whose `ScatterND` and `ScatterElements` can add.
const ADDING_SCATTER: i64 = 16;

/// Makes sure that scattered values can be added up.
pub(super) fn need_adding_scatter(context: &mut Context<'_>) -> Result<(), Error> {
    let found = context.graph.opset();
    if context.graph.raise_opset(ADDING_SCATTER) {
        return Ok(());
    }
    Err(Error::Opset { found, needed: ADDING_SCATTER })
}

/// `y` has the axes of the indices in the place of `axis`. <https://onnx.ai/onnx/operators/onnx__Gather.html>
pub(super) fn gather(context: &mut Context<'_>) -> Gradients {
    let (dy, x, indices) = (context.gradient()?, context.input(0)?, context.input(1)?);
    let (rank, depth) = (context.rank(&x)?, context.rank(&indices)?);
    let Some(axis) = axis_of(int(context.node, "axis", 0), rank) else {
        return Err(context.unsupported("its axis is outside of its data"));
    };
    if let (0, Some([index])) = (depth, context.shapes.integers(indices.name()).as_deref())
        && let Some(begin) = begin_of(*index, &context.dims(&x)?[axis])
    {
        return Ok(vec![Some(single(context, &dy, &x, axis, begin)?)]);
    }
    need_adding_scatter(context)?;
    // ScatterND adds along the first axis: the axes of the indices are brought there, and those of the data.
    let looked_up = axis..axis + depth;
    let order: Vec<i64> = (looked_up.clone().chain((0..rank + depth - 1).filter(|at| !looked_up.contains(at))))
        .map(|at| at as i64)
        .collect();
    let rows = if axis == 0 { dy } else { context.graph.transpose(&dy, &order) };
    let places = context.graph.unsqueeze(&indices, &[-1]);
    let zero = context.scalar(0.0, &x);
    let mut shape = context.shape(&x);
    if axis != 0 {
        let first = context.graph.list_i64(&first_order(axis, rank));
        shape = context.graph.gather(&shape, &first, 0);
    }
    let zeros = context.graph.node("Expand", &[&zero, &shape], vec![]);
    let scattered =
        context.graph.node("ScatterND", &[&zeros, &places, &rows], vec![attribute_string("reduction", "add")]);
    if axis == 0 {
        return Ok(vec![Some(scattered)]);
    }
    let mut back = vec![0; rank];
    first_order(axis, rank).iter().enumerate().for_each(|(to, from)| back[*from as usize] = to as i64);
    Ok(vec![Some(context.graph.transpose(&scattered, &back))])
}

/// The axes of a tensor with `axis` first.
fn first_order(axis: usize, rank: usize) -> Vec<i64> {
    std::iter::once(axis).chain((0..rank).filter(|at| *at != axis)).map(|at| at as i64).collect()
}

/// The index counted from the front, where that can be known.
fn begin_of(index: i64, size: &Size) -> Option<i64> {
    match size.fixed() {
        Some(size) if index < 0 => Some(index + size),
        _ => Some(index).filter(|index| *index >= 0),
    }
}

/// One slice of the data, the first token for example: zeros on both sides of it.
fn single(context: &mut Context<'_>, dy: &Value, x: &Value, axis: usize, begin: i64) -> Result<Value, Error> {
    let part = context.graph.unsqueeze(dy, &[axis as i64]);
    let mut dims = context.dims(x)?.to_vec();
    dims[axis] = Size::Fixed(1);
    let mut begins = vec![0; dims.len()];
    begins[axis] = begin;
    Ok(pad_to(context, &part, Some(&dims), &begins, x))
}

/// <https://onnx.ai/onnx/operators/onnx__GatherElements.html>
pub(super) fn gather_elements(context: &mut Context<'_>) -> Gradients {
    let (dy, x, indices) = (context.gradient()?, context.input(0)?, context.input(1)?);
    need_adding_scatter(context)?;
    let zeros = context.zeros(&x);
    let attributes = vec![attribute_int("axis", int(context.node, "axis", 0)), attribute_string("reduction", "add")];
    Ok(vec![Some(context.graph.node("ScatterElements", &[&zeros, &indices, &dy], attributes))])
}

/// <https://onnx.ai/onnx/operators/onnx__GatherND.html>
pub(super) fn gather_nd(context: &mut Context<'_>) -> Gradients {
    let (dy, x, indices) = (context.gradient()?, context.input(0)?, context.input(1)?);
    let indices = match int(context.node, "batch_dims", 0) {
        0 => indices,
        1 => with_rows(context, &indices)?,
        _ => return Err(context.unsupported("batch_dims is more than 1")),
    };
    need_adding_scatter(context)?;
    let zeros = context.zeros(&x);
    let attributes = vec![attribute_string("reduction", "add")];
    Ok(vec![Some(context.graph.node("ScatterND", &[&zeros, &indices, &dy], attributes))])
}

/// Indices `[batch, ..., k]` within each row of a batch as indices `[batch, ..., 1 + k]` within all of it.
fn with_rows(context: &mut Context<'_>, indices: &Value) -> Result<Value, Error> {
    let depth = context.rank(indices)? as i64;
    let graph = &mut *context.graph;
    let size = graph.size(indices, 0);
    let rows = graph.range(&size);
    let rows = graph.unsqueeze(&rows, &(1..depth).collect::<Vec<_>>());
    // As many as there are indices: the first number of each, times nothing.
    let (first, nothing) = (graph.list_i64(&[0]), graph.scalar_i64(0));
    let first = graph.gather(indices, &first, -1);
    let zeros = graph.mul(&first, &nothing);
    let rows = graph.add(&rows, &zeros);
    Ok(graph.node("Concat", &[&rows, indices], vec![attribute_int("axis", -1)]))
}
