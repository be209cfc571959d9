//! Matrix products.

use super::{Check, NAMED, Sizes, check, signed};
use crate::onnx::graph::{attribute_float, attribute_int};

#[test]
fn products_of_every_rank() {
    let shapes: [[&[usize]; 2]; 11] = [
        [&[2, 3], &[3, 4]],
        [&[2, 5, 3], &[3, 4]],
        [&[2, 2, 2, 3], &[3, 2]],
        [&[2, 5, 3], &[2, 3, 4]],
        [&[2, 1, 2, 3], &[4, 3, 2]],
        [&[1, 2, 3], &[4, 3, 2]],
        [&[5, 3], &[2, 3, 4]],
        [&[3], &[3, 4]],
        [&[2, 3], &[3]],
        [&[3], &[3]],
        [&[2, 5, 3], &[3]],
    ];
    for [a, b] in shapes {
        check(&[signed(1, a), signed(2, b)], |graph, x| graph.matmul(&x[0], &x[1]));
    }
    check(&[signed(1, &[3]), signed(2, &[2, 3, 4])], |graph, x| graph.matmul(&x[0], &x[1]));
}

#[test]
fn a_weight_of_known_size() {
    let inputs = [signed(3, &[2, 5, 3]), signed(4, &[3, 4])];
    Check { inputs: &inputs, opsets: &[17], sizes: &[Sizes::Named { weight: true }] }
        .run(|graph, x| graph.matmul(&x[0], &x[1]));
}

#[test]
fn products_with_transposed_factors() {
    for (trans_a, trans_b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let a: &[usize] = if trans_a == 1 { &[2, 3, 5] } else { &[2, 5, 3] };
        let b: &[usize] = if trans_b == 1 { &[2, 4, 3] } else { &[2, 3, 4] };
        for b in [b, &b[1..]] {
            let inputs = [signed(5, a), signed(6, b)];
            check(&inputs, |graph, x| {
                let attributes = vec![
                    attribute_int("transA", trans_a),
                    attribute_int("transB", trans_b),
                    attribute_float("alpha", 0.5),
                ];
                graph.node_with("com.microsoft", "FusedMatMul", &[Some(&x[0]), Some(&x[1])], 1, attributes).remove(0)
            });
        }
    }
}

#[test]
fn gemm_in_every_form() {
    for (trans_a, trans_b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let a: &[usize] = if trans_a == 1 { &[3, 5] } else { &[5, 3] };
        let b: &[usize] = if trans_b == 1 { &[4, 3] } else { &[3, 4] };
        let c: [&[usize]; 5] = [&[4], &[5, 1], &[1, 4], &[5, 4], &[]];
        for c in c {
            let inputs = [signed(7, a), signed(8, b), signed(9, c)];
            let attributes = vec![
                attribute_int("transA", trans_a),
                attribute_int("transB", trans_b),
                attribute_float("alpha", 0.5),
                attribute_float("beta", 2.0),
            ];
            Check { inputs: &inputs, opsets: &[13, 18], sizes: &[Sizes::Fixed, NAMED] }
                .run(|graph, x| graph.node("Gemm", &[&x[0], &x[1], &x[2]], attributes.clone()));
        }
    }
    check(&[signed(10, &[2, 3]), signed(11, &[3, 2])], |graph, x| graph.node("Gemm", &[&x[0], &x[1]], vec![]));
}
