//! Operators that move elements and leave their values. Part of [`super`].

use super::Gradients;
use crate::autodiff::broadcast::reduce_output;
use crate::autodiff::context::Context;
use crate::onnx::graph::{Value, attribute_int};
use crate::onnx::shapes::{axis_of, int, ints};

/// The inverse order.
pub(super) fn transpose(context: &mut Context<'_>) -> Gradients {
    let dy = context.gradient()?;
    let order = match ints(context.node, "perm") {
        Some(order) => {
            let mut inverse = vec![0; order.len()];
            for (to, from) in order.iter().enumerate() {
                match inverse.get_mut(*from as usize) {
                    Some(place) => *place = to as i64,
                    None => return Err(context.unsupported("its perm names an axis that is not there")),
                }
            }
            inverse
        }
        None => {
            let x = context.input(0)?;
            (0..context.rank(&x)? as i64).rev().collect()
        }
    };
    Ok(vec![Some(context.graph.transpose(&dy, &order))])
}

/// Back to the input's shape: for all operators that keep the order of the elements.
pub(super) fn reshape(context: &mut Context<'_>) -> Gradients {
    let (dy, x) = (context.gradient()?, context.input(0)?);
    Ok(vec![Some(context.reshape_as(&dy, &x))])
}

/// The sum over what was repeated.
pub(super) fn expand(context: &mut Context<'_>) -> Gradients {
    let (dy, x) = (context.gradient()?, context.input(0)?);
    Ok(vec![Some(reduce_output(context, &dy, &x))])
}

/// Split again into the inputs.
pub(super) fn concat(context: &mut Context<'_>) -> Gradients {
    let dy = context.gradient()?;
    let count = context.node.input.len();
    if count == 1 {
        return Ok(vec![Some(dy)]);
    }
    let inputs = (0..count).map(|index| context.input(index)).collect::<Result<Vec<_>, _>>()?;
    let rank = context.rank(&context.output())?;
    let Some(axis) = axis_of(int(context.node, "axis", 0), rank) else {
        return Err(context.unsupported("its axis is outside of its inputs"));
    };
    let known: Option<Vec<i64>> =
        inputs.iter().map(|x| context.shapes.dims(x.name()).and_then(|dims| dims.get(axis)?.fixed())).collect();
    let sizes = match known {
        Some(sizes) => context.graph.list_i64(&sizes),
        None => {
            let sizes: Vec<_> = inputs.iter().map(|x| axis_size(context, x, axis)).collect();
            context.graph.node("Concat", &sizes.iter().collect::<Vec<_>>(), vec![attribute_int("axis", 0)])
        }
    };
    let attributes = vec![attribute_int("axis", axis as i64)];
    let parts = context.graph.node_with("", "Split", &[Some(&dy), Some(&sizes)], count, attributes);
    Ok(parts.into_iter().map(Some).collect())
}

/// The size of one axis of a value, as a list of one.
pub(super) fn axis_size(context: &mut Context<'_>, value: &Value, axis: usize) -> Value {
    let shape = context.shape(value);
    let axis = context.graph.list_i64(&[axis as i64]);
    context.graph.gather(&shape, &axis, 0)
}

/// Put together again, with zeros for parts that the loss does not depend on.
pub(super) fn split(context: &mut Context<'_>) -> Gradients {
    let mut parts = vec![];
    for (index, name) in context.node.output.iter().enumerate() {
        parts.push(match context.gradient_of(index) {
            Some(gradient) => gradient,
            None if name.is_empty() => return Err(context.unsupported(&format!("its output {index} has no name"))),
            None => {
                let part = context.graph.value(name);
                context.zeros(&part)
            }
        });
    }
    let attributes = vec![attribute_int("axis", int(context.node, "axis", 0))];
    Ok(vec![Some(context.graph.node("Concat", &parts.iter().collect::<Vec<_>>(), attributes))])
}
