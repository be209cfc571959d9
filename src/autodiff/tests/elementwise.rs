//! Functions of one element, and dropout.

use super::{Check, Sizes, check, graph_in, run, session, signed, uniform};
use crate::autodiff::gradients;
use crate::onnx::graph::{Dim, attribute_float, attribute_int, attribute_string};
use crate::onnx::proto::DataType;

#[test]
fn functions_of_any_number() {
    let x = [signed(1, &[2, 3])];
    for operator in [
        "Abs",
        "Cos",
        "Elu",
        "Erf",
        "Exp",
        "Identity",
        "LeakyRelu",
        "Neg",
        "Reciprocal",
        "Relu",
        "Sigmoid",
        "Sin",
        "Softplus",
        "Tanh",
    ] {
        check(&x, |graph, x| graph.node(operator, &[&x[0]], vec![]));
    }
    check(&x, |graph, x| graph.node("Elu", &[&x[0]], vec![attribute_float("alpha", 0.3)]));
    check(&x, |graph, x| graph.node("LeakyRelu", &[&x[0]], vec![attribute_float("alpha", 0.3)]));
}

#[test]
fn functions_of_positive_numbers() {
    let x = [uniform(2, &[5], 0.8, 2.0)];
    for operator in ["Log", "Sqrt"] {
        check(&x, |graph, x| graph.node(operator, &[&x[0]], vec![]));
    }
}

#[test]
fn gelu_in_every_form() {
    let x = [signed(3, &[2, 4])];
    check(&x, |graph, x| graph.gelu(&x[0]));
    check(&x, |graph, x| graph.gelu_tanh(&x[0]));
    check(&x, |graph, x| graph.silu(&x[0]));
    check(&x, |graph, x| graph.node_with("com.microsoft", "Gelu", &[Some(&x[0])], 1, vec![]).remove(0));
    let newer = Check { inputs: &x, opsets: &[20, 22], sizes: &[Sizes::Fixed] };
    newer.run(|graph, x| graph.node("Gelu", &[&x[0]], vec![]));
    newer.run(|graph, x| graph.node("Gelu", &[&x[0]], vec![attribute_string("approximate", "tanh")]));
}

#[test]
fn clip_passes_within_its_bounds() {
    let x = [super::tensor(&[5], &[-1.0, -0.3, 0.1, 0.45, 0.9])];
    check(&x, |graph, x| {
        let (low, high) = (graph.scalar_f32(-0.6), graph.scalar_f32(0.6));
        graph.node("Clip", &[&x[0], &low, &high], vec![])
    });
    check(&x, |graph, x| {
        let high = graph.scalar_f32(0.6);
        graph.node_with("", "Clip", &[Some(&x[0]), None, Some(&high)], 1, vec![]).remove(0)
    });
}

#[test]
fn casts_between_floats() {
    let x = [signed(4, &[3])];
    check(&x, |graph, x| {
        let double = graph.cast(&x[0], DataType::Double);
        let squared = graph.mul(&double, &double);
        let root = graph.node("Sigmoid", &[&squared], vec![]);
        graph.cast(&root, DataType::Float)
    });
}

#[test]
fn dropout_without_training_is_nothing() {
    let x = [signed(5, &[2, 3])];
    check(&x, |graph, x| graph.node("Dropout", &[&x[0]], vec![]));
}

#[test]
fn dropout_passes_what_it_kept() {
    let mut graph = graph_in(17);
    let x = graph.input("x0", DataType::Float, &[Dim::Fixed(200)]);
    let ratio = graph.scalar_f32(0.25);
    let training = graph.scalar_i64(1);
    let training = graph.cast(&training, DataType::Bool);
    let y = graph.node("Dropout", &[&x, &ratio, &training], vec![attribute_int("seed", 7)]);
    let loss = graph.node("ReduceSum", &[&y], vec![attribute_int("keepdims", 0)]);
    let gradient = gradients(&mut graph, &loss, &[x]).unwrap().remove(0).unwrap();
    graph.output(y.name(), DataType::Float, &[Dim::Fixed(200)]);
    graph.output(gradient.name(), DataType::Float, &[Dim::Fixed(200)]);
    let ones = super::tensor(&[200], &[1.0; 200]);
    let found = run(&mut session(graph), vec![("x0".into(), super::float_input(&ones))]);
    // Of ones, the output is the mask over the share that is kept, and so is the gradient.
    assert_eq!(found[0], found[1]);
    let kept = found[0].values.iter().filter(|value| **value > 0.0).count();
    assert!((120..180).contains(&kept), "{kept}");
    assert!(found[0].values.iter().all(|value| *value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6));
}
