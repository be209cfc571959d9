//! Matrix products. Part of [`super`].
//!
//! With `y = alpha A B`: `dA = alpha dy B^T`, `dB = alpha A^T dy`. The transposed products are `FusedMatMul` of the runtime,
//! which reads its operands transposed instead of moving them; so is a `Gemm`, which a weight's gradient becomes: all
//! rows of the batch in one two-dimensional product.
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#commicrosoftfusedmatmul>

use super::Gradients;
use crate::autodiff::Error;
use crate::autodiff::broadcast::reduce;
use crate::autodiff::context::Context;
use crate::onnx::graph::{Value, attribute_float, attribute_int};
use crate::onnx::shapes::{Size, broadcast, float, int};

/// One factor of a product.
struct Factor {
    value: Value,
    dims: Vec<Size>,
    transposed: bool,
}

/// <https://onnx.ai/onnx/operators/onnx__MatMul.html>
pub(super) fn matmul(context: &mut Context<'_>) -> Gradients {
    product(context, [false; 2], 1.0)
}

/// A `MatMul` with transposed factors and a number in front.
pub(super) fn fused_matmul(context: &mut Context<'_>) -> Gradients {
    if int(context.node, "transBatchA", 0) != 0 || int(context.node, "transBatchB", 0) != 0 {
        return Err(context.unsupported("it transposes batches (transBatchA, transBatchB)"));
    }
    let transposed = [int(context.node, "transA", 0) != 0, int(context.node, "transB", 0) != 0];
    product(context, transposed, float(context.node, "alpha", 1.0))
}

fn product(context: &mut Context<'_>, transposed: [bool; 2], alpha: f32) -> Gradients {
    let mut dy = context.gradient()?;
    let (a, b) = (context.input(0)?, context.input(1)?);
    let (row, column) = (context.rank(&a)? == 1, context.rank(&b)? == 1);
    // A list counts as a matrix of one row on the left, of one column on the right.
    if column {
        dy = context.graph.unsqueeze(&dy, &[-1]);
    }
    if row {
        dy = context.graph.unsqueeze(&dy, &[-2]);
    }
    let a = factor(context, a, row.then_some(0), transposed[0])?;
    let b = factor(context, b, column.then_some(1), transposed[1])?;
    let da = if context.wants(0) {
        let da = if a.transposed {
            fused(context, &b.value, &dy, b.transposed, true, alpha)
        } else {
            fused(context, &dy, &b.value, false, !b.transposed, alpha)
        };
        Some(finish(context, &da, &a, &b, row.then_some(0))?)
    } else {
        None
    };
    let db = if !context.wants(1) {
        None
    } else if b.dims.len() == 2 && a.dims.len() > 2 && !a.transposed && !column {
        Some(weight_gradient(context, &a.value, &dy, b.transposed, alpha))
    } else {
        let db = if b.transposed {
            fused(context, &dy, &a.value, true, a.transposed, alpha)
        } else {
            fused(context, &a.value, &dy, !a.transposed, false, alpha)
        };
        Some(finish(context, &db, &b, &a, column.then_some(1))?)
    };
    Ok(vec![da, db])
}

/// A factor as a matrix: with an axis of 1 at `missing` where it is a list.
fn factor(context: &mut Context<'_>, value: Value, missing: Option<usize>, transposed: bool) -> Result<Factor, Error> {
    let mut dims = context.dims(&value)?.to_vec();
    let Some(axis) = missing else { return Ok(Factor { value, dims, transposed }) };
    dims.insert(axis, Size::Fixed(1));
    Ok(Factor { value: context.graph.unsqueeze(&value, &[axis as i64]), dims, transposed: false })
}

/// The product over the last two axes with factors read transposed.
fn fused(context: &mut Context<'_>, a: &Value, b: &Value, trans_a: bool, trans_b: bool, alpha: f32) -> Value {
    if !trans_a && !trans_b && alpha == 1.0 {
        return context.graph.matmul(a, b);
    }
    let mut attributes = vec![attribute_int("transA", i64::from(trans_a)), attribute_int("transB", i64::from(trans_b))];
    if alpha != 1.0 {
        attributes.push(attribute_float("alpha", alpha));
    }
    let outputs = context.graph.node_with("com.microsoft", "FusedMatMul", &[Some(a), Some(b)], 1, attributes);
    outputs[0].clone()
}

/// The gradient of a two-dimensional right factor: `A^T dy`, or `dy^T A`, over all rows of the batch at once.
fn weight_gradient(context: &mut Context<'_>, a: &Value, dy: &Value, transposed: bool, alpha: f32) -> Value {
    // All axes but the last as one; nothing is moved.
    let rows =
        |context: &mut Context<'_>, x: &Value| context.graph.node("Flatten", &[x], vec![attribute_int("axis", -1)]);
    let (a, dy) = (rows(context, a), rows(context, dy));
    let factors = if transposed { [&dy, &a] } else { [&a, &dy] };
    let mut attributes = vec![attribute_int("transA", 1)];
    if alpha != 1.0 {
        attributes.push(attribute_float("alpha", alpha));
    }
    context.graph.node("Gemm", &factors, attributes)
}

/// Sums `gradient` over the batch axes on which the factor `of` was repeated to match `other`, and takes the axis out that
/// a list was given.
fn finish(
    context: &mut Context<'_>,
    gradient: &Value,
    of: &Factor,
    other: &Factor,
    added: Option<usize>,
) -> Result<Value, Error> {
    let (rows, matrix) = of.dims.split_at(of.dims.len() - 2);
    let mut dims = broadcast(rows, &other.dims[..other.dims.len() - 2]);
    dims.extend(matrix.iter().cloned());
    match added {
        None => Ok(reduce(context, gradient, Some(&dims), &of.value)),
        Some(axis) => {
            let batch: Vec<i64> = (0..dims.len() as i64 - 2).collect();
            let summed = if batch.is_empty() { gradient.clone() } else { context.sum(gradient, &batch, false) };
            let axes = context.graph.list_i64(&[axis as i64]);
            Ok(context.graph.node("Squeeze", &[&summed, &axes], vec![]))
        }
    }
}

/// `y = alpha A' B' + beta C`. <https://onnx.ai/onnx/operators/onnx__Gemm.html>
pub(super) fn gemm(context: &mut Context<'_>) -> Gradients {
    let dy = context.gradient()?;
    let (a, b, c) = (context.input(0)?, context.input(1)?, context.optional(2));
    let (trans_a, trans_b) = (int(context.node, "transA", 0), int(context.node, "transB", 0));
    let (alpha, beta) = (float(context.node, "alpha", 1.0), float(context.node, "beta", 1.0));
    let product = |context: &mut Context<'_>, left: (&Value, i64), right: (&Value, i64)| {
        let attributes =
            vec![attribute_int("transA", left.1), attribute_int("transB", right.1), attribute_float("alpha", alpha)];
        context.graph.node("Gemm", &[left.0, right.0], attributes)
    };
    let da = context.wants(0).then(|| match trans_a {
        0 => product(context, (&dy, 0), (&b, 1 - trans_b)),
        _ => product(context, (&b, trans_b), (&dy, 1)),
    });
    let db = context.wants(1).then(|| match trans_b {
        0 => product(context, (&a, 1 - trans_a), (&dy, 0)),
        _ => product(context, (&dy, 1), (&a, trans_a)),
    });
    let dc = match c.filter(|_| context.wants(2)) {
        Some(c) => {
            let y = context.output();
            let sum = reduce(context, &dy, context.shapes.dims(y.name()), &c);
            Some(if beta == 1.0 { sum } else { context.times(&sum, beta, &c) })
        }
        None => None,
    };
    Ok(vec![da, db, dc])
}
