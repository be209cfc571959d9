//! Summing a gradient back to the shape of an operand that was repeated: the one place that knows about broadcasting.
//!
//! Where the shapes are known before the graph runs, the axes are too and the sum is one `ReduceSum`, or nothing at all.
//! Elsewhere the axes are computed when it runs, as those on which the operand has size 1.

use super::context::Context;
use crate::onnx::graph::{Value, attribute_int};
use crate::onnx::shapes::Size;

/// What to do with the axes of a gradient, the first of them the ones that the operand lacks.
enum Plan {
    /// The operand was not repeated.
    Nothing,
    /// Sum over these axes.
    Sum(Vec<i64>),
    /// It cannot be known yet.
    Dynamic,
}

/// Sums `gradient`, a value of dimensions `dims`, to the shape of `operand`, a value of the forward graph.
pub(super) fn reduce(context: &mut Context<'_>, gradient: &Value, dims: Option<&[Size]>, operand: &Value) -> Value {
    let shape = context.shapes.dims(operand.name());
    match plan(dims, shape) {
        Plan::Nothing => gradient.clone(),
        Plan::Sum(axes) => {
            let missing = dims.map_or(0, <[Size]>::len) - shape.map_or(0, <[Size]>::len);
            if axes.iter().all(|axis| (*axis as usize) < missing) {
                return context.sum(gradient, &axes, false);
            }
            let kept = context.sum(gradient, &axes, true);
            if missing == 0 { kept } else { context.reshape_as(&kept, operand) }
        }
        Plan::Dynamic => dynamic(context, gradient, operand),
    }
}

/// [`reduce`] for a gradient that has the shape of the node's first output.
pub(super) fn reduce_output(context: &mut Context<'_>, gradient: &Value, operand: &Value) -> Value {
    let output = context.output();
    let dims = context.shapes.dims(output.name());
    reduce(context, gradient, dims, operand)
}

fn plan(dims: Option<&[Size]>, operand: Option<&[Size]>) -> Plan {
    let (Some(dims), Some(operand)) = (dims, operand) else { return Plan::Dynamic };
    let Some(missing) = dims.len().checked_sub(operand.len()) else { return Plan::Dynamic };
    let mut axes: Vec<i64> = (0..missing as i64).collect();
    for (axis, size) in operand.iter().enumerate() {
        let whole = &dims[missing + axis];
        match size {
            size if size.equals(whole) => {}
            Size::Fixed(1) => axes.push((missing + axis) as i64),
            // A fixed size other than 1 cannot have been repeated.
            Size::Fixed(_) => {}
            _ => return Plan::Dynamic,
        }
    }
    if axes.is_empty() { Plan::Nothing } else { Plan::Sum(axes) }
}

fn dynamic(context: &mut Context<'_>, gradient: &Value, operand: &Value) -> Value {
    let shape = context.shape(operand);
    let graph = &mut *context.graph;
    // The operand's shape with ones in front, as long as the gradient's.
    let whole = graph.node("Shape", &[gradient], vec![]);
    let (long, short) = (graph.node("Shape", &[&whole], vec![]), graph.node("Shape", &[&shape], vec![]));
    let missing = graph.sub(&long, &short);
    let one = graph.list_i64(&[1]);
    let ones = graph.node("Expand", &[&one, &missing], vec![]);
    let aligned = graph.node("Concat", &[&ones, &shape], vec![attribute_int("axis", 0)]);
    // Where the gradient has size 1 too, the sum changes nothing.
    let repeated = graph.node("Equal", &[&aligned, &one], vec![]);
    let axes = graph.node("NonZero", &[&repeated], vec![]);
    let axes = graph.reshape(&axes, &[-1]);
    let attributes = vec![attribute_int("keepdims", 1), attribute_int("noop_with_empty_axes", 1)];
    let sum = graph.node("ReduceSum", &[gradient, &axes], attributes);
    graph.node("Reshape", &[&sum, &shape], vec![])
}
