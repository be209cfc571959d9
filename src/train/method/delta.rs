//! Versions that are kept as a delta, written: takes a linear layer and its trained factors, gives nodes that add their product
//! to the weights, which stay as they are. [`crate::train::delta`] reads them.

use super::modules::Linear;
use crate::onnx::graph::{GraphBuilder, Value};
use crate::train::delta::{SCOPE, factor};

/// Makes the readers of a layer's weight read `W + A B * scale`.
pub(super) fn beside(graph: &mut GraphBuilder, linear: &Linear, a: &[f32], b: &[f32], scale: f32) {
    let rank = a.len() / linear.from;
    let before = graph.scope(format!("{SCOPE}{}", linear.name));
    let scaled = a.iter().map(|value| value * scale).collect::<Vec<_>>();
    let a = graph.tensor_f32(&factor(&linear.name, "A"), &[linear.from, rank], &scaled);
    let b = graph.tensor_f32(&factor(&linear.name, "B"), &[rank, linear.to], b);
    let mut product = graph.matmul(&a, &b);
    if linear.transposed {
        product = graph.transpose(&product, &[1, 0]);
    }
    let weight = graph.value(&linear.weight);
    let sum: Value = graph.add(&weight, &product);
    graph.redirect(&weight, &sum, &[sum.name()]);
    graph.scope(before);
}
