//! Sums, means, norms and extremes over axes. Part of [`super`].

use super::Gradients;
use crate::autodiff::Error;
use crate::autodiff::context::Context;
use crate::onnx::graph::Value;
use crate::onnx::shapes::{Size, axes, axis_of, int};

/// A reduction in the form in which its output can be broadcast against its input.
struct Reduced {
    x: Value,
    /// The output and its gradient, with the reduced axes as 1 or all of them gone.
    y: Value,
    dy: Value,
    /// The reduced axes; `None` is all of them.
    axes: Option<Vec<i64>>,
    /// Nothing is reduced.
    nothing: bool,
}

fn reduced(context: &mut Context<'_>) -> Result<Reduced, Error> {
    let (dy, x, y) = (context.gradient()?, context.input(0)?, context.output());
    let given = context.optional(1).is_some();
    let axes = axes(context.shapes, context.node, 1).filter(|axes| !axes.is_empty());
    if given && context.shapes.integers(&context.node.input[1]).is_none() {
        return Err(context.unsupported("its axes are not constant"));
    }
    let nothing = axes.is_none() && int(context.node, "noop_with_empty_axes", 0) != 0;
    let mut reduced = Reduced { x, y, dy, axes, nothing };
    if let Some(axes) = reduced.axes.as_ref().filter(|_| int(context.node, "keepdims", 1) == 0) {
        reduced.dy = context.graph.unsqueeze(&reduced.dy, axes);
        reduced.y = context.graph.unsqueeze(&reduced.y, axes);
    }
    Ok(reduced)
}

/// `dx = dy` for every element that was summed.
pub(super) fn sum(context: &mut Context<'_>) -> Gradients {
    let Reduced { x, dy, nothing, .. } = reduced(context)?;
    Ok(vec![Some(if nothing { dy } else { context.expand_as(&dy, &x) })])
}

/// `dx = dy / n` for each of the `n` elements.
pub(super) fn mean(context: &mut Context<'_>) -> Gradients {
    let Reduced { x, dy, axes, nothing, .. } = reduced(context)?;
    if nothing {
        return Ok(vec![Some(dy)]);
    }
    let part = match count(context, &x, axes.as_deref()) {
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

/// Number of elements on `axes`, where it is known before the graph runs.
pub(super) fn count(context: &Context<'_>, x: &Value, axes: Option<&[i64]>) -> Option<i64> {
    let dims = context.shapes.dims(x.name())?;
    match axes {
        None => dims.iter().map(Size::fixed).product(),
        Some(axes) => axes.iter().map(|axis| dims[axis_of(*axis, dims.len())?].fixed()).product(),
    }
}

/// Number of elements of `value`, when the graph runs, with the element type of `like`.
pub(super) fn size(context: &mut Context<'_>, value: &Value, like: &Value) -> Value {
    let size = context.graph.node("Size", &[value], vec![]);
    let element = context.shapes.element(like.name()).unwrap_or(crate::onnx::proto::DataType::Float);
    context.graph.cast(&size, element)
}

/// `y = sum |x|`
pub(super) fn l1(context: &mut Context<'_>) -> Gradients {
    let Reduced { x, dy, .. } = reduced(context)?;
    let sign = context.graph.node("Sign", &[&x], vec![]);
    Ok(vec![Some(context.graph.mul(&sign, &dy))])
}

/// `y = sqrt(sum x^2)`: `dx = x dy / y`, and 0 where all of `x` is.
pub(super) fn l2(context: &mut Context<'_>) -> Gradients {
    let Reduced { x, y, dy, .. } = reduced(context)?;
    let tiny = context.scalar(1e-12, &x);
    let norm = context.graph.node("Max", &[&y, &tiny], vec![]);
    let share = context.graph.div(&dy, &norm);
    Ok(vec![Some(context.graph.mul(&x, &share))])
}

/// `y = sum x^2`
pub(super) fn sum_square(context: &mut Context<'_>) -> Gradients {
    let Reduced { x, dy, .. } = reduced(context)?;
    let double = context.graph.add(&dy, &dy);
    Ok(vec![Some(context.graph.mul(&x, &double))])
}

/// `y = ln sum e^x`: `dx = e^(x - y) dy`
pub(super) fn log_sum_exp(context: &mut Context<'_>) -> Gradients {
    let Reduced { x, y, dy, .. } = reduced(context)?;
    let less = context.graph.sub(&x, &y);
    let share = context.graph.node("Exp", &[&less], vec![]);
    Ok(vec![Some(context.graph.mul(&share, &dy))])
}

/// The largest or smallest element takes the gradient; equal ones take equal parts.
pub(super) fn extreme(context: &mut Context<'_>) -> Gradients {
    let Reduced { x, y, dy, axes, nothing } = reduced(context)?;
    if nothing {
        return Ok(vec![Some(dy)]);
    }
    let equal = context.graph.node("Equal", &[&x, &y], vec![]);
    let one = context.scalar(1.0, &x);
    let ones = context.only_where(&equal, &one, &x);
    let ties = match axes {
        Some(axes) => context.sum(&ones, &axes, true),
        None => context.graph.node("ReduceSum", &[&ones], vec![crate::onnx::graph::attribute_int("keepdims", 0)]),
    };
    let share = context.graph.div(&dy, &ties);
    Ok(vec![Some(context.only_where(&equal, &share, &x))])
}
