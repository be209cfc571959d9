//! Fusion on our own graphs and on exporters' ones: what is fused, what is left alone.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::fuse;
use crate::onnx::graph::{Dim, GraphBuilder, Value};
use crate::onnx::proto::{DataType, ModelProto};

/// What the tests vary.
struct Shape {
    softmax_axis: i64,
    key_order: [i64; 4],
    mask_factor: f32,
    heads: i64,
    output_probabilities: bool,
}

const USUAL: Shape =
    Shape { softmax_axis: -1, key_order: [0, 2, 3, 1], mask_factor: f32::MIN, heads: 4, output_probabilities: false };

fn linear(graph: &mut GraphBuilder, x: &Value, name: &str) -> Value {
    let weight = graph.tensor_f32(&format!("{name}.weight"), &[8, 8], &[0.5; 64]);
    let bias = graph.tensor_f32(&format!("{name}.bias"), &[8], &[0.5; 8]);
    let product = graph.matmul(x, &weight);
    graph.add(&bias, &product)
}

fn attention(shape: &Shape) -> ModelProto {
    let mut graph = GraphBuilder::new("test");
    let dims = [Dim::Named("batch"), Dim::Named("sequence")];
    let x = graph.input("x", DataType::Float, &[dims[0], dims[1], Dim::Fixed(8)]);
    let mask = graph.input("attention_mask", DataType::Int64, &dims);
    let mask = graph.unsqueeze(&mask, &[1]);
    let mask = graph.unsqueeze(&mask, &[2]);
    let mask = graph.cast(&mask, DataType::Float);
    let (one, factor) = (graph.scalar_f32(1.0), graph.scalar_f32(shape.mask_factor));
    let mask = graph.sub(&one, &mask);
    let mask = graph.mul(&mask, &factor);
    let parts = [("q", [0, 2, 1, 3]), ("k", shape.key_order), ("v", [0, 2, 1, 3])].map(|(name, order)| {
        let part = linear(&mut graph, &x, name);
        let part = graph.reshape(&part, &[0, 0, shape.heads, 8 / shape.heads]);
        graph.transpose(&part, &order)
    });
    let scores = graph.matmul(&parts[0], &parts[1]);
    let half = graph.scalar_f32(0.5);
    let scores = graph.mul(&scores, &half);
    let scores = graph.add(&mask, &scores);
    let attributes = vec![crate::onnx::graph::attribute_int("axis", shape.softmax_axis)];
    let probabilities = graph.node("Softmax", &[&scores], attributes);
    let mixed = graph.matmul(&probabilities, &parts[2]);
    let mixed = graph.transpose(&mixed, &[0, 2, 1, 3]);
    let joined = graph.reshape(&mixed, &[0, 0, 8]);
    let projected = linear(&mut graph, &joined, "o");
    let projected = graph.rename(&projected, "y");
    graph.output(projected.name(), DataType::Float, &[dims[0], dims[1], Dim::Fixed(8)]);
    if shape.output_probabilities {
        graph.output(probabilities.name(), DataType::Float, &[]);
    }
    graph.finish()
}

#[test]
fn attention_becomes_one_operator() {
    let mut model = attention(&USUAL);
    assert_eq!(fuse(&mut model), 1);
    let graph = model.graph.as_ref().unwrap();
    let operators = graph.node.iter().map(|node| node.op_type()).collect::<Vec<_>>();
    let expected = ["Cast", "MatMul", "MatMul", "MatMul", "Concat", "MultiHeadAttention", "MatMul", "Add"];
    assert_eq!(operators, expected);
    let fused = &graph.node[5];
    assert_eq!(fused.domain(), "com.microsoft");
    assert_eq!(fused.input, ["MatMul", "MatMul_1", "MatMul_2", "Reshape_3/bias", "attention_mask/int32"]);
    assert_eq!(graph.node[4].input, ["q.bias", "k.bias", "v.bias"]);
    let attribute = |name: &str| fused.attribute.iter().find(|attribute| attribute.name() == name).unwrap();
    assert_eq!((attribute("num_heads").i(), attribute("scale").f()), (4, 0.5));
    assert!(graph.initializer.iter().all(|tensor| tensor.dims != [4]), "shapes that nothing uses are gone");
    assert!(model.opset_import.iter().any(|set| set.domain() == "com.microsoft" && set.version() == 1));
    assert_eq!(fuse(&mut model), 0, "nothing is left to fuse");
}

#[test]
fn what_differs_stays_as_it_is() {
    let cases = [
        ("softmax over another axis", Shape { softmax_axis: 2, ..USUAL }),
        ("keys in another order", Shape { key_order: [0, 2, 1, 3], ..USUAL }),
        ("a mask that is no mask", Shape { mask_factor: -1.0, ..USUAL }),
        ("probabilities are an output", Shape { output_probabilities: true, ..USUAL }),
    ];
    for (what, shape) in cases {
        let original = attention(&shape);
        let mut model = original.clone();
        assert_eq!(fuse(&mut model), 0, "{what}");
        assert!(model == original, "{what}");
    }
}
