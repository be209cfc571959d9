//! Going on with a graph that is there already.

#![allow(clippy::unwrap_used)]

use super::{Dim, GraphBuilder, IR_VERSION, Value, attribute_int, reads};
use crate::onnx::proto::{
    DataType, DimensionValue, ModelProto, OperatorSetIdProto, StringStringEntryProto, type_proto,
};

/// `y = tanh(x w)`, with names as [`GraphBuilder`] gives them.
fn model() -> ModelProto {
    let mut graph = GraphBuilder::new("test");
    let x = graph.input("x", DataType::Float, &[Dim::Named("rows"), Dim::Fixed(2)]);
    let w = graph.tensor_f32("w", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let product = graph.matmul(&x, &w);
    let y = graph.tanh(&product);
    let one = graph.scalar_f32(1.0);
    let y = graph.add(&y, &one);
    let y = graph.rename(&y, "y");
    graph.output(y.name(), DataType::Float, &[Dim::Named("rows"), Dim::Fixed(2)]);
    graph.finish()
}

fn operators(graph: &GraphBuilder) -> Vec<&str> {
    graph.graph().node.iter().map(|node| node.op_type()).collect()
}

#[test]
fn a_model_comes_back_as_it_was() {
    let mut before = model();
    before.metadata_props.push(StringStringEntryProto { key: Some("author".into()), value: Some("somebody".into()) });
    before.opset_import = vec![
        OperatorSetIdProto { domain: Some("com.microsoft".into()), version: Some(1) },
        OperatorSetIdProto { domain: None, version: Some(14) },
    ];
    let graph = GraphBuilder::from_model(before.clone());
    assert_eq!(graph.opset(), 14);
    assert_eq!(graph.finish(), before);
}

#[test]
fn new_names_do_not_collide_with_old_ones() {
    let mut graph = GraphBuilder::from_model(model());
    let y = graph.value("y");
    let added = [graph.tanh(&y), graph.tanh(&y), graph.scalar_f32(1.0)];
    assert_eq!(added.each_ref().map(Value::name), ["Tanh_1", "Tanh_2", "scalar/1.0_1"]);
    let parts = graph.node_with("", "Split", &[Some(&y)], 2, vec![attribute_int("axis", 1)]);
    assert_eq!(parts.iter().map(Value::name).collect::<Vec<_>>(), ["Split", "Split:1"]);
}

#[test]
fn other_domains_are_imported_once() {
    let mut graph = GraphBuilder::from_model(model());
    let x = graph.value("x");
    for _ in 0..2 {
        let made = graph.node_with("com.microsoft", "FusedMatMul", &[Some(&x), None, Some(&x)], 1, vec![]).remove(0);
        let node = graph.graph().node.iter().find(|node| node.name() == made.name()).unwrap();
        assert_eq!(node.input, ["x", "", "x"]);
        assert_eq!(reads(node), ["x", "x"]);
    }
    let imports = graph.finish().opset_import;
    assert_eq!(imports.iter().map(|set| set.domain()).collect::<Vec<_>>(), ["", "com.microsoft"]);
}

#[test]
fn an_initializer_becomes_an_input_and_again_an_initializer() {
    let mut graph = GraphBuilder::from_model(model());
    let tensor = graph.take_initializer("w").unwrap();
    assert!(graph.take_initializer("w").is_none());
    graph.input("w", DataType::Float, &[Dim::Fixed(2), Dim::Fixed(2)]);
    assert!(graph.take_input("w").is_some() && graph.take_input("w").is_none());
    graph.add_initializer(tensor);
    let mut found = graph.finish();
    found.graph.as_mut().unwrap().initializer.sort_by_key(|tensor| tensor.name().to_owned());
    let mut expected = model();
    expected.graph.as_mut().unwrap().initializer.sort_by_key(|tensor| tensor.name().to_owned());
    assert_eq!(found, expected);
}

#[test]
fn readers_are_redirected_and_the_order_is_put_right() {
    let mut graph = GraphBuilder::from_model(model());
    let product = graph.value("MatMul");
    let doubled = graph.add(&product, &product);
    graph.redirect(&product, &doubled, &[doubled.name()]);
    assert_eq!(operators(&graph), ["MatMul", "Tanh", "Add", "Add"]);
    let y = graph.value("y");
    let output = graph.relu(&y);
    graph.redirect(&y, &output, &[output.name()]);
    let model = graph.finish();
    let graph = model.graph.unwrap();
    let found: Vec<_> = graph.node.iter().map(|node| (node.op_type(), node.input[0].as_str())).collect();
    let expected = [("MatMul", "x"), ("Add", "MatMul"), ("Tanh", doubled.name()), ("Add", "Tanh"), ("Relu", "y")];
    assert_eq!(found, expected);
    assert_eq!(graph.output[0].name(), output.name());
}

#[test]
fn a_node_gives_further_outputs_when_they_are_asked_for() {
    let mut graph = GraphBuilder::from_model(model());
    let y = graph.value("y");
    let third = graph.output_of(&y, 2).unwrap();
    assert_eq!(graph.output_of(&y, 2).unwrap(), third);
    assert_eq!(graph.graph().node[2].output, ["y", "", third.name()]);
    let x = graph.value("x");
    assert!(graph.output_of(&x, 1).is_none());
}

#[test]
fn a_copy_has_inputs_of_its_own_and_shares_the_weights() {
    let mut graph = GraphBuilder::from_model(model());
    let y = graph.value("y");
    let other = graph.copy(&["x".to_owned()], "/1", &y);
    assert_eq!(other.name(), "y/1");
    let one = graph.scalar_f32(1.0);
    assert_eq!(graph.copy(&["x".to_owned()], "/2", &one), one);
    let found: Vec<_> =
        graph.graph().node[3..6].iter().map(|node| node.input.join(" ") + " " + &node.output[0]).collect();
    assert_eq!(found, ["x/1 w MatMul/1", "MatMul/1 Tanh/1", "Tanh/1 scalar/1.0 y/1"]);
    let dims = |index: usize| match &graph.graph().input[index].r#type.as_ref().unwrap().value {
        Some(type_proto::Value::TensorType(tensor)) => tensor.shape.clone().unwrap().dim[0].value.clone(),
        _ => None,
    };
    assert_eq!(dims(1), Some(DimensionValue::DimParam("rows/1".into())));
    assert_eq!(dims(0), Some(DimensionValue::DimParam("rows".into())));
}

#[test]
fn a_mark_takes_everything_back() {
    let mut graph = GraphBuilder::from_model(model());
    graph.scope("before");
    let mark = graph.mark();
    assert_eq!(graph.scope("after"), "before");
    let x = graph.value("x");
    let two = graph.scalar_f32(2.0);
    graph.node_with("com.microsoft", "FusedMatMul", &[Some(&x), Some(&two)], 1, vec![]);
    let y = graph.value("y");
    graph.output_of(&y, 1);
    graph.reset(mark);
    assert_eq!(graph.scope(""), "before");
    assert_eq!(graph.scalar_f32(2.0).name(), "scalar/2.0");
    graph.take_initializer("scalar/2.0").unwrap();
    assert_eq!(graph.finish(), model());
}

#[test]
fn older_operators_are_raised_where_nothing_changes() {
    let mut old = model();
    old.opset_import[0].version = Some(13);
    old.ir_version = Some(7);
    let mut graph = GraphBuilder::from_model(old.clone());
    assert!(!graph.raise_opset(18) && graph.raise_opset(16) && graph.raise_opset(13));
    assert_eq!(graph.opset(), 16);
    assert_eq!(graph.finish().ir_version, Some(IR_VERSION));
    old.opset_import[0].version = Some(11);
    assert!(!GraphBuilder::from_model(old).raise_opset(16));
}
