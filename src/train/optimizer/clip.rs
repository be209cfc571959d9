//! The gradient's norm over all parameters, and clipping by it: as `torch.nn.utils.clip_grad_norm_`.
//! <https://arxiv.org/abs/1211.5063>

use crate::onnx::graph::{GraphBuilder, Value, attribute_int};

/// Added to the norm before dividing by it, as in PyTorch.
const EPSILON: f32 = 1e-6;

/// The root of the sum of the squares of all values of all `gradients`, a scalar.
pub(crate) fn norm(graph: &mut GraphBuilder, gradients: &[Value]) -> Value {
    let squares = gradients
        .iter()
        .map(|gradient| graph.node("ReduceSumSquare", &[gradient], vec![attribute_int("keepdims", 0)]))
        .collect::<Vec<_>>();
    let sum = graph.node("Sum", &squares.iter().collect::<Vec<_>>(), vec![]);
    graph.node("Sqrt", &[&sum], vec![])
}

/// What gradients of this norm are multiplied by, so that their norm is at most `limit`: a scalar, at most 1.
pub(crate) fn factor(graph: &mut GraphBuilder, norm: &Value, limit: f32) -> Value {
    let (limit, epsilon, one) = (graph.scalar_f32(limit), graph.scalar_f32(EPSILON), graph.scalar_f32(1.0));
    let divisor = graph.add(norm, &epsilon);
    let factor = graph.div(&limit, &divisor);
    graph.node("Min", &[&factor, &one], vec![])
}
