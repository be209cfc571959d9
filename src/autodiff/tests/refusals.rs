//! What cannot be differentiated says so, and leaves the graph as it was.

use super::graph_in;
use crate::autodiff::{Error, gradients};
use crate::onnx::graph::{Dim, GraphBuilder, Value, attribute_int};
use crate::onnx::proto::DataType;

fn start(opset: i64) -> (GraphBuilder, Value) {
    let mut graph = graph_in(opset);
    let x = graph.input("x", DataType::Float, &[Dim::Fixed(2), Dim::Fixed(3)]);
    (graph, x)
}

fn total(graph: &mut GraphBuilder, x: &Value) -> Value {
    graph.node("ReduceSum", &[x], vec![attribute_int("keepdims", 0)])
}

/// The error for the loss `build(x)` summed; nothing may have changed.
fn refused(opset: i64, build: impl Fn(&mut GraphBuilder, &Value) -> Value) -> String {
    let (mut graph, x) = start(opset);
    let y = build(&mut graph, &x);
    let loss = total(&mut graph, &y);
    let before = graph.graph().clone();
    let error = gradients(&mut graph, &loss, &[x]).unwrap_err();
    assert_eq!(*graph.graph(), before);
    assert_eq!(graph.opset(), opset);
    error.to_string()
}

#[test]
fn an_operator_without_a_rule_is_named() {
    let message = refused(17, |graph, x| {
        let exp = graph.node("Exp", &[x], vec![]);
        graph.scope("encoder.layer.3");
        graph.node("Hardmax", &[&exp], vec![])
    });
    assert!(message.contains("Hardmax") && message.contains("'encoder.layer.3/Hardmax'"), "{message}");
    let message = refused(17, |graph, x| graph.node_with("com.example", "Secret", &[Some(x)], 1, vec![]).remove(0));
    assert!(message.contains("com.example.Secret"), "{message}");
}

#[test]
fn a_rule_that_fails_half_way_takes_its_nodes_back() {
    // The rule of Exp comes first and has added nodes by then.
    let message = refused(17, |graph, x| {
        let mean = graph.node("ReduceMean", &[x], vec![]);
        let clipped = graph.node("Clip", &[x, &mean], vec![]);
        graph.node("Exp", &[&clipped], vec![])
    });
    assert!(message.contains("Clip") && message.contains("bounds"), "{message}");
}

#[test]
fn old_operators_are_refused() {
    let message = refused(11, |graph, x| graph.tanh(x));
    assert!(message.contains("version 11") && message.contains("13"), "{message}");
}

#[test]
fn a_loss_is_one_float_in_the_graph() {
    let (mut graph, x) = start(17);
    let missing = graph.value("nothing");
    let error = gradients(&mut graph, &missing, std::slice::from_ref(&x)).unwrap_err();
    assert!(matches!(error, Error::Loss { .. }) && error.to_string().contains("no such value"), "{error}");
    let error = gradients(&mut graph, &x, std::slice::from_ref(&x)).unwrap_err();
    assert!(error.to_string().contains("not one number"), "{error}");
    let loss = total(&mut graph, &x);
    let error = gradients(&mut graph, &loss, &[missing]).unwrap_err();
    assert_eq!(error.to_string(), "the graph has no value 'nothing' to compute a gradient for");
    let shape = graph.size(&x, 0);
    let error = gradients(&mut graph, &shape, &[x]).unwrap_err();
    assert!(error.to_string().contains("not floats"), "{error}");
}

#[test]
fn what_the_loss_does_not_depend_on_has_no_gradient() {
    let (mut graph, x) = start(17);
    let other = graph.input("other", DataType::Float, &[Dim::Fixed(3)]);
    let unused = graph.node("Hardmax", &[&other], vec![]);
    let loss = total(&mut graph, &x);
    let nodes = graph.graph().node.len();
    let found = gradients(&mut graph, &loss, &[other.clone(), x.clone(), unused]).unwrap();
    assert!(found[0].is_none() && found[1].is_some() && found[2].is_none());
    assert!(graph.graph().node.len() > nodes);
    // Only through integers.
    let whole = graph.cast(&other, DataType::Int64);
    let back = graph.cast(&whole, DataType::Float);
    let loss = total(&mut graph, &back);
    assert!(gradients(&mut graph, &loss, &[other]).unwrap()[0].is_none());
}

#[test]
fn values_in_between_are_parameters_too() {
    let (mut graph, x) = start(17);
    let hidden = graph.tanh(&x);
    let y = graph.mul(&hidden, &hidden);
    let loss = total(&mut graph, &y);
    let found = gradients(&mut graph, &loss, std::slice::from_ref(&hidden)).unwrap();
    assert!(found[0].is_some());
    // Only what was asked for is computed: nothing passes Tanh.
    let added = graph.graph().node.iter().filter(|node| node.name().starts_with("gradient/"));
    assert!(!added.clone().any(|node| node.input.iter().any(|name| name == x.name())));
}
