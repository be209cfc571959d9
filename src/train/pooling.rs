//! Pooling and normalising inside a graph: the differentiable twins of `inference::pooling`.

use crate::onnx::graph::{GraphBuilder, Value, attribute_int};
use crate::onnx::proto::DataType;
use crate::registry::manifest::Pooling;

/// The square of the smallest norm that is divided by, as in `torch.nn.functional.normalize`.
const SMALLEST_SQUARE: f32 = 1e-24;
/// What padding counts as when the largest value is looked for, as in sentence-transformers.
const LOWEST: f32 = -1e9;

/// One vector a text, `[texts, dimension]`, from `tokens`, `[texts, tokens, dimension]`, and `mask`, `[texts, tokens]`,
/// which is 1 at tokens and 0 at padding. The definitions are those of sentence-transformers' `Pooling`.
pub(crate) fn pool(
    graph: &mut GraphBuilder,
    tokens: &Value,
    mask: &Value,
    pooling: Pooling,
    dimension: usize,
) -> Value {
    let width = i64::try_from(dimension).unwrap_or(-1);
    let mask = graph.cast(mask, DataType::Float);
    let pooled = match pooling {
        Pooling::Max => {
            let zero = graph.scalar_f32(0.0);
            let is_token = graph.node("Greater", &[&mask, &zero], vec![]);
            let is_token = graph.unsqueeze(&is_token, &[2]);
            let lowest = graph.scalar_f32(LOWEST);
            let tokens = graph.node("Where", &[&is_token, tokens, &lowest], vec![]);
            graph.reduce_extreme("ReduceMax", &tokens, 1, true)
        }
        // All others are sums of the token vectors with weights that no gradient flows into.
        _ => {
            let weights = weights(graph, &mask, pooling);
            let weights = graph.unsqueeze(&weights, &[1]);
            graph.matmul(&weights, tokens)
        }
    };
    graph.reshape(&pooled, &[-1, width])
}

/// What each token counts, `[texts, tokens]`.
fn weights(graph: &mut GraphBuilder, mask: &Value, pooling: Pooling) -> Value {
    let axes = graph.list_i64(&[1]);
    let count = graph.node("ReduceSum", &[mask, &axes], vec![attribute_int("keepdims", 1)]);
    let one = graph.scalar_f32(1.0);
    let at = |graph: &mut GraphBuilder, place: &Value| {
        let length = graph.size(mask, 1);
        let places = graph.range(&length);
        let places = graph.cast(&places, DataType::Float);
        let places = graph.unsqueeze(&places, &[0]);
        let equal = graph.node("Equal", &[&places, place], vec![]);
        let equal = graph.cast(&equal, DataType::Float);
        graph.mul(&equal, mask)
    };
    match pooling {
        Pooling::Cls => {
            let first = graph.scalar_f32(0.0);
            at(graph, &first)
        }
        Pooling::LastToken => {
            let last = graph.sub(&count, &one);
            at(graph, &last)
        }
        Pooling::MeanSqrtLen => {
            let count = graph.node("Max", &[&count, &one], vec![]);
            let root = graph.node("Sqrt", &[&count], vec![]);
            graph.div(mask, &root)
        }
        Pooling::Mean | Pooling::Max => {
            let count = graph.node("Max", &[&count, &one], vec![]);
            graph.div(mask, &count)
        }
    }
}

/// `x / max(|x|, 1e-12)` over the last axis. A vector of zeros stays zeros, and so does its gradient.
pub fn normalize(graph: &mut GraphBuilder, x: &Value) -> Value {
    let square = graph.mul(x, x);
    let axes = graph.list_i64(&[-1]);
    let sum = graph.node("ReduceSum", &[&square, &axes], vec![attribute_int("keepdims", 1)]);
    // Before the root, whose gradient at zero is infinite.
    let smallest = graph.scalar_f32(SMALLEST_SQUARE);
    let sum = graph.node("Max", &[&sum, &smallest], vec![]);
    let norm = graph.node("Sqrt", &[&sum], vec![]);
    graph.div(x, &norm)
}
