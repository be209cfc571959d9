//! Random small graphs: values with several readers, broadcast in every direction, in any order.

use proptest::prelude::*;

use super::{Check, NAMED, Sizes, Tensor, signed};
use crate::onnx::graph::{GraphBuilder, Value, attribute_int};

/// An operator and which of the values so far it takes.
type Gene = (u8, prop::sample::Index, prop::sample::Index);

/// Adds the operators of `genes`, all smooth and bounded, so that finite differences are exact enough. Every value fits
/// every other: their axes are 1 or the same size.
fn grow(graph: &mut GraphBuilder, inputs: &[Value], genes: &[Gene]) -> Value {
    let mut values = inputs.to_vec();
    for (operator, a, b) in genes {
        let (a, b) = (a.get(&values).clone(), b.get(&values).clone());
        let value = match operator % 12 {
            0 => graph.add(&a, &b),
            1 => graph.sub(&a, &b),
            2 => graph.mul(&a, &b),
            3 => {
                let square = graph.mul(&b, &b);
                let two = graph.scalar_f32(2.0);
                let positive = graph.add(&square, &two);
                graph.div(&a, &positive)
            }
            4 => graph.softmax(&a),
            5 => graph.node("Sigmoid", &[&a], vec![]),
            6 => graph.node("Erf", &[&a], vec![]),
            7 => {
                let weight = graph.tensor_f32(&format!("w{}", values.len()), &[1, 3], &[0.5, -0.7, 0.3]);
                let wide = graph.add(&a, &weight);
                let square = graph.tensor_f32(&format!("s{}", values.len()), &[3, 3], &[0.2; 9]);
                graph.matmul(&wide, &square)
            }
            8 => graph.node("ReduceLogSumExp", &[&a], vec![attribute_int("keepdims", 1)]),
            9 => {
                let shape = graph.node("Shape", &[&b], vec![]);
                graph.node("Expand", &[&a, &shape], vec![])
            }
            10 => {
                let zero = graph.scalar_f32(0.0);
                let condition = graph.node("Less", &[&inputs[0], &zero], vec![]);
                graph.node("Where", &[&condition, &a, &b], vec![])
            }
            _ => {
                let sum = graph.add(&a, &b);
                let both = graph.node("Concat", &[&sum, &sum], vec![attribute_int("axis", 0)]);
                graph.node("ReduceMean", &[&both], vec![attribute_int("keepdims", 1)])
            }
        };
        values.push(graph.tanh(&value));
    }
    // Every input counts.
    values.into_iter().reduce(|sum, value| graph.add(&sum, &value)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn gradients_of_random_graphs(
        genes in prop::collection::vec(any::<Gene>(), 1..10),
        shapes in prop::collection::vec(prop::sample::select(vec![vec![2, 3, 3], vec![3, 3], vec![3, 1], vec![1, 3], vec![3]]), 1..4),
        seed in any::<u64>(),
    ) {
        let inputs: Vec<Tensor> =
            shapes.iter().enumerate().map(|(index, shape)| signed(seed.wrapping_add(index as u64), shape)).collect();
        for sizes in [Sizes::Fixed, NAMED] {
            // Where picks by the sign of the first input, which must not change within a step: `signed` keeps away from 0.
            Check { inputs: &inputs, opsets: &[17], sizes: &[sizes] }.run(|graph, x| grow(graph, x, &genes));
        }
    }
}
