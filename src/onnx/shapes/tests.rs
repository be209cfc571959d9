//! Shapes as exporters compute them, and what stays unknown.

#![allow(clippy::unwrap_used)]

use super::{Shapes, Size, broadcast};
use crate::onnx::graph::{Dim, GraphBuilder, Value, attribute_int, attribute_ints};
use crate::onnx::proto::DataType;

fn named(symbol: &str) -> Size {
    Size::Named(symbol.into())
}

/// A graph with tokens `[batch, sequence]`, hidden states `[batch, sequence, 12]` and an image `[batch, 3, 9, 8]`.
fn start() -> (GraphBuilder, Value, Value, Value) {
    let mut graph = GraphBuilder::new("test");
    let (batch, sequence) = (Dim::Named("batch"), Dim::Named("sequence"));
    let ids = graph.input("ids", DataType::Int64, &[batch, sequence]);
    let hidden = graph.input("hidden", DataType::Float, &[batch, sequence, Dim::Fixed(12)]);
    let image = graph.input("image", DataType::Float, &[batch, Dim::Fixed(3), Dim::Fixed(9), Dim::Fixed(8)]);
    (graph, ids, hidden, image)
}

fn dims(graph: &GraphBuilder, value: &Value) -> Vec<Size> {
    Shapes::infer(graph.graph()).dims(value.name()).unwrap().to_vec()
}

#[test]
fn heads_are_split_by_constants_and_by_computed_shapes() {
    let (mut graph, _, hidden, _) = start();
    let heads = [named("batch"), named("sequence"), Size::Fixed(4), Size::Fixed(3)];
    let constant = graph.reshape(&hidden, &[0, 0, 4, -1]);
    assert_eq!(dims(&graph, &constant), heads);
    let (batch, sequence) = (graph.size(&hidden, 0), graph.size(&hidden, 1));
    let (batch, sequence) = (graph.unsqueeze(&batch, &[0]), graph.unsqueeze(&sequence, &[0]));
    let rest = graph.list_i64(&[-1, 3]);
    let shape = graph.node("Concat", &[&batch, &sequence, &rest], vec![attribute_int("axis", 0)]);
    let computed = graph.node("Reshape", &[&hidden, &shape], vec![]);
    assert_eq!(dims(&graph, &computed), heads);
    let scores = graph.transpose(&computed, &[0, 2, 1, 3]);
    let keys = graph.transpose(&constant, &[0, 2, 3, 1]);
    let scores = graph.matmul(&scores, &keys);
    assert_eq!(dims(&graph, &scores), [named("batch"), Size::Fixed(4), named("sequence"), named("sequence")]);
    let back = graph.transpose(&constant, &[0, 2, 1, 3]);
    let merged = graph.reshape(&back, &[0, 0, -1]);
    assert_eq!(dims(&graph, &merged)[..2], [named("batch"), Size::Fixed(4)]);
}

#[test]
fn positions_are_as_many_as_tokens() {
    let (mut graph, ids, hidden, _) = start();
    let length = graph.size(&ids, 1);
    let range = graph.range(&length);
    assert_eq!(dims(&graph, &range), [named("sequence")]);
    let buffer = graph.tensor_i64("positions", &[1, 64], &[0; 64]);
    let (zero, axis) = (graph.list_i64(&[0]), graph.list_i64(&[1]));
    let end = graph.unsqueeze(&length, &[0]);
    let cut = graph.node("Slice", &[&buffer, &zero, &end, &axis], vec![]);
    let table = graph.tensor_f32("table", &[64, 12], &[0.0; 768]);
    let positions = graph.gather(&table, &cut, 0);
    let sum = graph.add(&hidden, &positions);
    assert_eq!(dims(&graph, &sum), [named("batch"), named("sequence"), Size::Fixed(12)]);
}

#[test]
fn slices_that_go_backwards_and_pads() {
    let (mut graph, ..) = start();
    let weights = graph.tensor_f32("kernels", &[2, 3, 5, 4], &[0.0; 120]);
    let lists = [[-1, 3], [i64::MIN, -4], [2, 3], [-1, -2]].map(|list| graph.list_i64(&list));
    let [from, to, axes, steps] = &lists;
    let back = graph.node("Slice", &[&weights, from, to, axes, steps], vec![]);
    assert_eq!(dims(&graph, &back), [2, 3, 5, 2].map(Size::Fixed));
    let pads = graph.list_i64(&[0, 0, 1, 0, 0, 2, 1, -1]);
    let padded = graph.node("Pad", &[&weights, &pads], vec![]);
    assert_eq!(dims(&graph, &padded), [2, 5, 7, 3].map(Size::Fixed));
}

#[test]
fn masks_are_expanded_by_computed_shapes() {
    let (mut graph, ids, _, _) = start();
    let shape = graph.node("Shape", &[&ids], vec![]);
    let minus = graph.list_i64(&[-1]);
    let unknown = graph.node("Equal", &[&shape, &minus], vec![]);
    let one = graph.list_i64(&[1]);
    let shape = graph.node("Where", &[&unknown, &one, &shape], vec![]);
    let value = graph.scalar_f32(0.5);
    let mask = graph.node("Expand", &[&value, &shape], vec![]);
    assert_eq!(dims(&graph, &mask), [named("batch"), named("sequence")]);
    let shapes = Shapes::infer(graph.graph());
    assert_eq!(shapes.element(mask.name()), Some(DataType::Float));
    assert_eq!(shapes.element(unknown.name()), Some(DataType::Bool));
}

#[test]
fn windows_have_as_many_places_as_fit() {
    let (mut graph, _, _, image) = start();
    let weights = graph.tensor_f32("weights", &[5, 3, 3, 3], &[0.0; 135]);
    let attributes = vec![attribute_ints("strides", &[2, 2]), attribute_ints("pads", &[1, 1, 1, 1])];
    let y = graph.node("Conv", &[&image, &weights], attributes);
    assert_eq!(dims(&graph, &y), [named("batch"), Size::Fixed(5), Size::Fixed(5), Size::Fixed(4)]);
    let pooled = graph.node("MaxPool", &[&y], vec![attribute_ints("kernel_shape", &[2, 2])]);
    assert_eq!(dims(&graph, &pooled)[2..], [Size::Fixed(4), Size::Fixed(3)]);
    let mean = graph.node("GlobalAveragePool", &[&pooled], vec![]);
    let flat = graph.node("Flatten", &[&mean], vec![]);
    assert_eq!(dims(&graph, &flat), [named("batch"), Size::Fixed(5)]);
}

#[test]
fn what_is_not_known_is_equal_to_itself_only() {
    let (mut graph, ids, hidden, _) = start();
    let places = graph.node("NonZero", &[&ids], vec![]);
    let rows = graph.transpose(&places, &[1, 0]);
    let picked = graph.node("GatherND", &[&hidden, &rows], vec![]);
    let (a, b) = (graph.tanh(&picked), graph.relu(&picked));
    let found = dims(&graph, &a);
    assert_eq!(found, dims(&graph, &b));
    assert_eq!(found[1], Size::Fixed(12));
    assert!(found[0].equals(&found[0]) && !found[0].equals(&named("batch")) && !Size::Unknown.equals(&Size::Unknown));
    let secret = graph.node_with("com.example", "Secret", &[Some(&hidden)], 1, vec![]).remove(0);
    let shapes = Shapes::infer(graph.graph());
    assert!(shapes.contains(secret.name()) && shapes.rank(secret.name()).is_none());
    assert!(!shapes.contains("nothing"));
}

#[test]
fn sizes_are_broadcast_at_the_last_axis() {
    let (one, three, n, m) = (Size::Fixed(1), Size::Fixed(3), named("n"), named("m"));
    let found = broadcast(&[n.clone(), one.clone(), n.clone(), n.clone()], &[three.clone(), n.clone(), m]);
    assert_eq!(found, [n.clone(), three, n, Size::Unknown]);
    assert_eq!(broadcast(&[], std::slice::from_ref(&one)), [one]);
}
