//! Operators of several operands, in every way that they are broadcast.

use super::{apart, check, signed, tensor, uniform};
use crate::onnx::proto::DataType;

/// Shapes of two operands.
const SHAPES: [[&[usize]; 2]; 8] = [
    [&[2, 3], &[2, 3]],
    [&[2, 3], &[3]],
    [&[3], &[2, 3]],
    [&[2, 3], &[2, 1]],
    [&[2, 1, 3], &[4, 1]],
    [&[1, 3], &[2, 1]],
    [&[2, 3], &[]],
    [&[1, 1], &[3, 1, 1]],
];

#[test]
fn two_operands() {
    for [a, b] in SHAPES {
        let inputs = [signed(1, a), signed(2, b)];
        for operator in ["Add", "Sub", "Mul"] {
            check(&inputs, |graph, x| graph.node(operator, &[&x[0], &x[1]], vec![]));
        }
        let positive = [uniform(3, a, 0.7, 1.5), uniform(4, b, 0.7, 1.5)];
        for operator in ["Div", "Pow"] {
            check(&positive, |graph, x| graph.node(operator, &[&x[0], &x[1]], vec![]));
        }
    }
}

#[test]
fn the_same_operand_twice() {
    let x = [uniform(5, &[2, 2], 0.7, 1.5)];
    for operator in ["Add", "Sub", "Mul", "Div", "Pow"] {
        check(&x, |graph, x| graph.node(operator, &[&x[0], &x[0]], vec![]));
    }
}

#[test]
fn powers_that_are_constant() {
    let x = [signed(6, &[4])];
    check(&x, |graph, x| {
        let two = graph.scalar_f32(2.0);
        graph.node("Pow", &[&x[0], &two], vec![])
    });
    check(&x, |graph, x| {
        let three = graph.scalar_i64(3);
        graph.node("Pow", &[&x[0], &three], vec![])
    });
}

#[test]
fn the_largest_and_the_smallest() {
    let all = apart(7, &[2, 6]);
    let (a, b) = (tensor(&[2, 3], &all.values[..6]), tensor(&[2, 3], &all.values[6..]));
    for operator in ["Max", "Min"] {
        check(&[a.clone(), b.clone()], |graph, x| graph.node(operator, &[&x[0], &x[1]], vec![]));
        check(std::slice::from_ref(&a), |graph, x| {
            let bound = graph.scalar_f32(-0.13);
            graph.node(operator, &[&x[0], &bound], vec![])
        });
        let three =
            [tensor(&[2, 3], &all.values[..6]), tensor(&[3], &all.values[6..9]), tensor(&[1], &all.values[9..10])];
        check(&three, |graph, x| graph.node(operator, &[&x[0], &x[1], &x[2]], vec![]));
    }
}

#[test]
fn many_operands() {
    let inputs = [signed(8, &[2, 3]), signed(9, &[3]), signed(10, &[2, 1])];
    for operator in ["Sum", "Mean"] {
        check(&inputs, |graph, x| graph.node(operator, &[&x[0], &x[1], &x[2]], vec![]));
    }
}

#[test]
fn a_choice() {
    for [a, b] in SHAPES {
        check(&[signed(11, a), signed(12, b)], |graph, x| {
            let zero = graph.scalar_f32(0.0);
            let condition = graph.node("Greater", &[&x[0], &zero], vec![]);
            graph.node("Where", &[&condition, &x[0], &x[1]], vec![])
        });
    }
}

#[test]
fn what_is_not_differentiable_stops_the_gradient() {
    check(&[signed(13, &[2, 3])], |graph, x| {
        let (shape, size) = (graph.node("Shape", &[&x[0]], vec![]), graph.node("Size", &[&x[0]], vec![]));
        let ones = graph.cast(&shape, DataType::Float);
        let count = graph.cast(&size, DataType::Float);
        let sign = graph.node("Sign", &[&x[0]], vec![]);
        let sum = graph.node("ReduceSum", &[&ones], vec![]);
        let scaled = graph.mul(&x[0], &sum);
        let scaled = graph.div(&scaled, &count);
        graph.mul(&scaled, &sign)
    });
}
