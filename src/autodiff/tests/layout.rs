//! Operators that move elements: their gradients are tested through a square, so that each element has its own.

use super::{check, signed};
use crate::onnx::graph::{Dim, attribute_int};
use crate::onnx::proto::DataType;

#[test]
fn transposes() {
    check(&[signed(1, &[2, 3, 4])], |graph, x| {
        let y = graph.transpose(&x[0], &[1, 2, 0]);
        graph.mul(&y, &y)
    });
    check(&[signed(2, &[2, 3])], |graph, x| {
        let y = graph.node("Transpose", &[&x[0]], vec![]);
        graph.mul(&y, &y)
    });
}

#[test]
fn shapes() {
    let x = [signed(3, &[2, 1, 6])];
    check(&x, |graph, x| graph.reshape(&x[0], &[0, 3, -1]));
    check(&x, |graph, x| graph.reshape(&x[0], &[-1]));
    check(&x, |graph, x| graph.node("Flatten", &[&x[0]], vec![attribute_int("axis", 2)]));
    check(&x, |graph, x| {
        let axes = graph.list_i64(&[1]);
        graph.node("Squeeze", &[&x[0], &axes], vec![])
    });
    check(&x, |graph, x| graph.unsqueeze(&x[0], &[0, -1]));
    check(&x, |graph, x| {
        // As exporters write it: the shape put together from sizes.
        let batch = graph.size(&x[0], 0);
        let batch = graph.unsqueeze(&batch, &[0]);
        let rest = graph.list_i64(&[2, 3]);
        let shape = graph.node("Concat", &[&batch, &rest], vec![attribute_int("axis", 0)]);
        let y = graph.node("Reshape", &[&x[0], &shape], vec![]);
        let weights = graph.tensor_f32("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        graph.mul(&y, &weights)
    });
}

#[test]
fn repeats() {
    check(&[signed(4, &[2, 1, 3])], |graph, x| {
        let shape = graph.list_i64(&[2, 4, 3]);
        graph.node("Expand", &[&x[0], &shape], vec![])
    });
    check(&[signed(5, &[2, 1]), signed(6, &[4])], |graph, x| {
        let shape = graph.node("Shape", &[&x[1]], vec![]);
        let y = graph.node("Expand", &[&x[0], &shape], vec![]);
        graph.mul(&y, &x[1])
    });
}

#[test]
fn parts() {
    check(&[signed(7, &[2, 3]), signed(8, &[2, 1]), signed(9, &[2, 2])], |graph, x| {
        let y = graph.node("Concat", &[&x[0], &x[1], &x[2]], vec![attribute_int("axis", -1)]);
        graph.mul(&y, &y)
    });
    check(&[signed(10, &[2, 6])], |graph, x| {
        let sizes = graph.list_i64(&[1, 2, 3]);
        let parts = graph.node_with("", "Split", &[Some(&x[0]), Some(&sizes)], 3, vec![attribute_int("axis", 1)]);
        // The loss does not depend on the first.
        let first = graph.node("ReduceSum", &[&parts[1]], vec![]);
        graph.mul(&parts[2], &first)
    });
}

#[test]
fn slices() {
    // Starts, ends, axes, steps.
    let cases: [[&[i64]; 4]; 7] = [
        [&[1], &[3], &[0], &[1]],
        [&[0, 1], &[2, i64::MAX], &[0, 1], &[1, 1]],
        [&[-2], &[i64::MAX], &[1], &[1]],
        [&[0], &[-1], &[-1], &[1]],
        [&[0], &[5], &[1], &[2]],
        [&[-1, 0], &[i64::MIN, 3], &[1, 0], &[-1, 2]],
        [&[1, 1], &[2, 4], &[1, 0], &[1, 2]],
    ];
    for [starts, ends, axes, steps] in cases {
        check(&[signed(11, &[4, 5])], |graph, x| {
            let [starts, ends, axes, steps] = [starts, ends, axes, steps].map(|list| graph.list_i64(list));
            let y = graph.node("Slice", &[&x[0], &starts, &ends, &axes, &steps], vec![]);
            graph.mul(&y, &y)
        });
    }
    check(&[signed(12, &[4, 5])], |graph, x| {
        // A start that is only known when the graph runs.
        let size = graph.size(&x[0], 0);
        let (two, one) = (graph.scalar_i64(2), graph.list_i64(&[1]));
        let start = graph.sub(&size, &two);
        let start = graph.unsqueeze(&start, &[0]);
        let end = graph.add(&start, &one);
        let axis = graph.list_i64(&[0]);
        graph.node("Slice", &[&x[0], &start, &end, &axis], vec![])
    });
}

#[test]
fn look_ups() {
    let indices: [(&[usize], &[i64]); 4] =
        [(&[], &[1]), (&[], &[-1]), (&[4], &[0, 2, 0, -1]), (&[2, 2], &[1, 1, 1, 0])];
    for (dims, values) in indices {
        for axis in [0, 1, -1] {
            check(&[signed(13, &[3, 4, 3])], |graph, x| {
                let indices = graph.tensor_i64("indices", dims, values);
                let y = graph.gather(&x[0], &indices, axis);
                graph.mul(&y, &y)
            });
        }
    }
    for axis in [0, 1] {
        check(&[signed(14, &[2, 3])], |graph, x| {
            let indices = graph.tensor_i64("indices", &[2, 2], &[0, 1, 1, 1]);
            let y = graph.node("GatherElements", &[&x[0], &indices], vec![attribute_int("axis", axis)]);
            graph.mul(&y, &y)
        });
    }
    for (dims, values) in [(&[2, 2][..], &[0, 1, 0, 1][..]), (&[3, 1], &[1, 0, 1])] {
        check(&[signed(15, &[2, 3])], |graph, x| {
            let indices = graph.tensor_i64("indices", dims, values);
            let y = graph.node("GatherND", &[&x[0], &indices], vec![]);
            graph.mul(&y, &y)
        });
    }
    // Within each row of a batch.
    for (dims, values) in [(&[2, 1][..], &[2, 0][..]), (&[2, 2, 1], &[1, 1, 0, 2]), (&[2, 2], &[2, 1, 0, -1])] {
        check(&[signed(15, &[2, 3, 2])], |graph, x| {
            let indices = graph.tensor_i64("indices", dims, values);
            let y = graph.node("GatherND", &[&x[0], &indices], vec![attribute_int("batch_dims", 1)]);
            graph.mul(&y, &y)
        });
    }
}

#[test]
fn a_look_up_of_many_rows_adds_each_of_them() {
    // 3,000 rows of the same few: were they added by threads that do not wait for each other, some would be lost.
    let mut graph = super::graph_in(17);
    let table = graph.input("x0", DataType::Float, &[Dim::Fixed(3), Dim::Fixed(8)]);
    let indices: Vec<i64> = (0..3000).map(|index| index % 3).collect();
    let indices = graph.tensor_i64("indices", &[3000], &indices);
    let rows = graph.gather(&table, &indices, 0);
    let loss = graph.node("ReduceSum", &[&rows], vec![attribute_int("keepdims", 0)]);
    let gradient = crate::autodiff::gradients(&mut graph, &loss, &[table]).unwrap().remove(0).unwrap();
    let dims = [Dim::Fixed(3), Dim::Fixed(8)];
    graph.output(gradient.name(), DataType::Float, &dims);
    let mut session = super::session(graph);
    for _ in 0..20 {
        let found = super::run(&mut session, vec![("x0".into(), super::float_input(&signed(16, &[3, 8])))]);
        assert_eq!(found[0].values, [1000.0; 24]);
    }
}

#[test]
fn masks_as_exporters_expand_them() {
    check(&[signed(17, &[2, 1, 3, 3])], |graph, x| {
        let mask = graph.tensor_i64("mask", &[2, 3], &[1, 1, 0, 1, 1, 1]);
        let mask = graph.unsqueeze(&mask, &[1, 2]);
        let mask = graph.cast(&mask, DataType::Bool);
        let low = graph.scalar_f32(-1e4);
        let scores = graph.node("Where", &[&mask, &x[0], &low], vec![]);
        graph.softmax(&scores)
    });
}
