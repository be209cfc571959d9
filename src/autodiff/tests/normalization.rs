//! Softmax, normalisations and reductions.

use super::{Check, NAMED, Sizes, Tensor, apart, check, signed, uniform};
use crate::onnx::graph::{GraphBuilder, Value, attribute_float, attribute_int, attribute_ints};

#[test]
fn softmax_over_every_axis() {
    for axis in [-1, 0, 1] {
        for operator in ["Softmax", "LogSoftmax"] {
            check(&[signed(1, &[2, 3, 2])], |graph, x| {
                graph.node(operator, &[&x[0]], vec![attribute_int("axis", axis)])
            });
        }
    }
    check(&[signed(2, &[2, 4])], |graph, x| graph.node("Softmax", &[&x[0]], vec![]));
}

#[test]
fn layer_normalization_over_trailing_axes() {
    let cases: [(i64, &[usize]); 4] = [(-1, &[4]), (2, &[4]), (-2, &[3, 4]), (0, &[2, 3, 4])];
    for (axis, scale) in cases {
        let inputs = [signed(3, &[2, 3, 4]), uniform(4, scale, 0.5, 1.5), signed(5, scale)];
        Check { inputs: &inputs, opsets: &[17, 18, 21], sizes: &[Sizes::Fixed, NAMED] }.run(|graph, x| {
            let attributes = vec![attribute_int("axis", axis), attribute_float("epsilon", 0.1)];
            graph.node("LayerNormalization", &[&x[0], &x[1], &x[2]], attributes)
        });
    }
    let inputs = [signed(6, &[3, 4]), uniform(7, &[4], 0.5, 1.5)];
    Check { inputs: &inputs, opsets: &[17], sizes: &[Sizes::Fixed] }
        .run(|graph, x| graph.node("LayerNormalization", &[&x[0], &x[1]], vec![attribute_float("epsilon", 0.1)]));
}

#[test]
fn layer_normalization_taken_apart() {
    check(&[signed(8, &[2, 4]), uniform(9, &[4], 0.5, 1.5), signed(10, &[4])], |graph, x| {
        let mean = reduce(graph, "ReduceMean", &x[0], &[-1], 1);
        let centred = graph.sub(&x[0], &mean);
        let two = graph.scalar_f32(2.0);
        let square = graph.node("Pow", &[&centred, &two], vec![]);
        let variance = reduce(graph, "ReduceMean", &square, &[-1], 1);
        let epsilon = graph.scalar_f32(0.1);
        let shifted = graph.add(&variance, &epsilon);
        let deviation = graph.node("Sqrt", &[&shifted], vec![]);
        let normal = graph.div(&centred, &deviation);
        let scaled = graph.mul(&normal, &x[1]);
        graph.add(&scaled, &x[2])
    });
}

#[test]
fn batch_normalization_with_constant_statistics() {
    for shape in [&[2, 3, 2, 2][..], &[2, 3, 4], &[2, 3]] {
        check(&[signed(11, shape), uniform(12, &[3], 0.5, 1.5), signed(13, &[3])], |graph, x| {
            let mean = graph.list_f32(&[0.1, -0.2, 0.3]);
            let variance = graph.list_f32(&[0.5, 1.0, 2.0]);
            graph.node("BatchNormalization", &[&x[0], &x[1], &x[2], &mean, &variance], vec![])
        });
    }
}

/// A reduction as this version of the operators writes it.
fn reduce(graph: &mut GraphBuilder, operator: &str, x: &Value, axes: &[i64], keep: i64) -> Value {
    let keep = attribute_int("keepdims", keep);
    if graph.opset() >= 18 || (operator == "ReduceSum") {
        let axes = graph.list_i64(axes);
        return graph.node(operator, &[x, &axes], vec![keep]);
    }
    graph.node(operator, &[x], vec![attribute_ints("axes", axes), keep])
}

#[test]
fn reductions_over_every_axis() {
    let cases: [(&str, Tensor); 8] = [
        ("ReduceSum", signed(14, &[2, 3, 2])),
        ("ReduceMean", signed(15, &[2, 3, 2])),
        ("ReduceMax", apart(16, &[2, 3, 2])),
        ("ReduceMin", apart(17, &[2, 3, 2])),
        ("ReduceL1", signed(18, &[2, 3, 2])),
        ("ReduceL2", signed(19, &[2, 3, 2])),
        ("ReduceSumSquare", signed(20, &[2, 3, 2])),
        ("ReduceLogSumExp", signed(21, &[2, 3, 2])),
    ];
    for (operator, x) in cases {
        for axes in [&[-1][..], &[0], &[0, 2], &[0, 1, 2]] {
            for keep in [0, 1] {
                Check { inputs: std::slice::from_ref(&x), opsets: &[13, 18], sizes: &[Sizes::Fixed, NAMED] }
                    .run(|graph, x| reduce(graph, operator, &x[0], axes, keep));
            }
        }
        check(&[x], |graph, x| graph.node(operator, &[&x[0]], vec![attribute_int("keepdims", 0)]));
    }
}

#[test]
fn a_norm_of_zeros_has_no_infinite_slope() {
    let mut graph = super::graph_in(17);
    let x = graph.input("x0", crate::onnx::proto::DataType::Float, &[crate::onnx::graph::Dim::Fixed(3)]);
    let norm = graph.node("ReduceL2", &[&x], vec![attribute_int("keepdims", 0)]);
    let gradient = crate::autodiff::gradients(&mut graph, &norm, &[x]).unwrap().remove(0).unwrap();
    graph.output(gradient.name(), crate::onnx::proto::DataType::Float, &[crate::onnx::graph::Dim::Fixed(3)]);
    let zeros = super::tensor(&[3], &[0.0; 3]);
    let found = super::run(&mut super::session(graph), vec![("x0".into(), super::float_input(&zeros))]);
    assert_eq!(found[0].values, [0.0; 3]);
}
