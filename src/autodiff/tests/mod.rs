//! Every rule against finite differences, on the runtime itself; what cannot be differentiated; a whole encoder against
//! PyTorch.

#![allow(clippy::unwrap_used, clippy::panic)]

mod arithmetic;
mod elementwise;
mod exports;
mod layout;
mod matrix;
mod minilm;
mod normalization;
mod random;
mod refusals;
mod vision;
mod windows;

use std::borrow::Cow;

use ort::session::{Session, SessionInputValue};
use prost::Message;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::gradients;
use crate::inference::fixtures;
use crate::onnx::graph::{Dim, GraphBuilder, Value, attribute_int};
use crate::onnx::proto::{DataType, GraphProto, ModelProto, OperatorSetIdProto};

/// How far a gradient may be from its finite difference, relative to the larger of it and 1. Central differences with
/// steps `h` and `h/2` extrapolated have an error of about `h^4 = 1.5e-5` times a fifth derivative of order 1 to 10, and
/// that of `f32` outputs of order 1, `6e-8 / h`, is below it.
const TOLERANCE: f64 = 1e-3;
const STEP: f32 = 1.0 / 16.0;

/// A tensor of `f32`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<f32>,
}

pub(super) fn tensor(dims: &[usize], values: &[f32]) -> Tensor {
    assert_eq!(dims.iter().product::<usize>(), values.len());
    Tensor { dims: dims.to_vec(), values: values.to_vec() }
}

/// Seeded, between `low` and `high`.
pub(super) fn uniform(seed: u64, dims: &[usize], low: f32, high: f32) -> Tensor {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let values = (0..dims.iter().product()).map(|_| random.random_range(low..high)).collect();
    Tensor { dims: dims.to_vec(), values }
}

/// Seeded, of either sign, away from 0 by more than a step.
pub(super) fn signed(seed: u64, dims: &[usize]) -> Tensor {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut value = || random.random_range(0.2..1.2) * if random.random_bool(0.5) { 1.0 } else { -1.0 };
    let values = (0..dims.iter().product()).map(|_| value()).collect();
    Tensor { dims: dims.to_vec(), values }
}

/// Seeded, all elements apart from each other by more than two steps.
pub(super) fn apart(seed: u64, dims: &[usize]) -> Tensor {
    use rand::seq::SliceRandom;
    let count: usize = dims.iter().product();
    let mut values: Vec<f32> = (0..count).map(|index| index as f32 * 0.2 - 1.0).collect();
    values.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    Tensor { dims: dims.to_vec(), values }
}

/// An empty graph in a version of the operators.
pub(super) fn graph_in(opset: i64) -> GraphBuilder {
    GraphBuilder::from_model(ModelProto {
        ir_version: Some(10),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(opset) }],
        graph: Some(GraphProto { name: Some("test".into()), ..GraphProto::default() }),
        ..ModelProto::default()
    })
}

pub(super) fn session(graph: GraphBuilder) -> Session {
    let model = graph.finish();
    let mut builder = Session::builder(fixtures::runtime().environment()).unwrap();
    builder.commit_from_memory(&model.encode_to_vec()).unwrap()
}

pub(super) fn float_input(tensor: &Tensor) -> SessionInputValue<'static> {
    let shape: Vec<i64> = tensor.dims.iter().map(|dim| *dim as i64).collect();
    ort::value::Tensor::from_array((shape, tensor.values.clone())).unwrap().into()
}

pub(super) fn run(session: &mut Session, inputs: Vec<(Cow<'static, str>, SessionInputValue<'static>)>) -> Vec<Tensor> {
    let names: Vec<String> = session.outputs().iter().map(|output| output.name().to_owned()).collect();
    let outputs = session.run(inputs).unwrap();
    let read = |name: &String| {
        let (shape, values) = outputs[name.as_str()].try_extract_tensor::<f32>().unwrap();
        Tensor { dims: shape.iter().map(|dim| *dim as usize).collect(), values: values.to_vec() }
    };
    names.iter().map(read).collect()
}

/// What is known of the inputs' sizes before the graph runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sizes {
    Fixed,
    /// Only which are equal. The last input stays fixed if it is a weight, whose size is always known.
    Named {
        weight: bool,
    },
}

/// A function of some tensors, checked against finite differences.
pub(super) struct Check<'a> {
    pub(super) inputs: &'a [Tensor],
    pub(super) opsets: &'a [i64],
    pub(super) sizes: &'a [Sizes],
}

const NAMED: Sizes = Sizes::Named { weight: false };

/// Checks `build` with all that is known of sizes and all versions of the operators that rules branch on.
pub(super) fn check(inputs: &[Tensor], build: impl Fn(&mut GraphBuilder, &[Value]) -> Value) {
    Check { inputs, opsets: &[13, 18, 24], sizes: &[Sizes::Fixed, NAMED] }.run(build);
}

impl Check<'_> {
    pub(super) fn run(&self, build: impl Fn(&mut GraphBuilder, &[Value]) -> Value) {
        for opset in self.opsets {
            for sizes in self.sizes {
                let found = self.gradients(*opset, *sizes, &build);
                let expected = self.differences(*opset, *sizes, &build);
                for (input, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    assert_eq!(
                        found.dims, self.inputs[input].dims,
                        "shape of gradient {input}, {sizes:?}, opset {opset}"
                    );
                    for (at, (found, expected)) in found.values.iter().zip(expected).enumerate() {
                        let scale = expected.abs().max(1.0);
                        assert!(
                            (f64::from(*found) - expected).abs() <= TOLERANCE * scale,
                            "gradient {input}, element {at}: {found} instead of {expected}, {sizes:?}, opset {opset}"
                        );
                    }
                }
            }
        }
    }

    fn declare(&self, graph: &mut GraphBuilder, sizes: Sizes) -> Vec<Value> {
        // Equal sizes have equal names.
        const NAMES: [&str; 13] = ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10", "n11", "n12"];
        let declared = |(index, tensor): (usize, &Tensor)| {
            let dim = |size: &usize| match sizes {
                Sizes::Named { weight } if !weight || index == 0 => Dim::Named(NAMES[*size]),
                _ => Dim::Fixed(*size),
            };
            let dims: Vec<_> = tensor.dims.iter().map(dim).collect();
            graph.input(&format!("x{index}"), DataType::Float, &dims)
        };
        self.inputs.iter().enumerate().map(declared).collect()
    }

    fn feed(inputs: &[Tensor]) -> Vec<(Cow<'static, str>, SessionInputValue<'static>)> {
        inputs.iter().enumerate().map(|(index, x)| (format!("x{index}").into(), float_input(x))).collect()
    }

    /// The function alone.
    fn forward(&self, opset: i64, sizes: Sizes, build: impl Fn(&mut GraphBuilder, &[Value]) -> Value) -> Session {
        let mut graph = graph_in(opset);
        let inputs = self.declare(&mut graph, sizes);
        let y = build(&mut graph, &inputs);
        let y = graph.node("Identity", &[&y], vec![]);
        graph.output(y.name(), DataType::Float, &[]);
        let mut model = graph.finish();
        model.graph.as_mut().unwrap().output[0].r#type = None;
        session(GraphBuilder::from_model(model))
    }

    /// Weights of the function's elements in the loss.
    fn weights(y: &Tensor) -> Tensor {
        uniform(99, &y.dims, 0.5, 1.5)
    }

    fn gradients(&self, opset: i64, sizes: Sizes, build: impl Fn(&mut GraphBuilder, &[Value]) -> Value) -> Vec<Tensor> {
        let y = run(&mut self.forward(opset, sizes, &build), Self::feed(self.inputs)).remove(0);
        let mut graph = graph_in(opset);
        let inputs = self.declare(&mut graph, sizes);
        let value = build(&mut graph, &inputs);
        let weights = Self::weights(&y);
        let weights = graph.tensor_f32("weights", &weights.dims, &weights.values);
        let product = graph.mul(&value, &weights);
        let loss = graph.node("ReduceSum", &[&product], vec![attribute_int("keepdims", 0)]);
        let gradients = gradients(&mut graph, &loss, &inputs).unwrap();
        for (gradient, input) in gradients.iter().zip(self.inputs) {
            let gradient = graph.node("Identity", &[gradient.as_ref().unwrap()], vec![]);
            graph.output(gradient.name(), DataType::Float, &vec![Dim::Named("any"); input.dims.len()]);
        }
        let mut model = graph.finish();
        model.graph.as_mut().unwrap().output.iter_mut().for_each(|output| output.r#type = None);
        run(&mut session(GraphBuilder::from_model(model)), Self::feed(self.inputs))
    }

    fn differences(
        &self,
        opset: i64,
        sizes: Sizes,
        build: impl Fn(&mut GraphBuilder, &[Value]) -> Value,
    ) -> Vec<Vec<f64>> {
        let mut session = self.forward(opset, sizes, build);
        let mut loss = |inputs: &[Tensor]| {
            let y = run(&mut session, Self::feed(inputs)).remove(0);
            let weights = Self::weights(&y);
            y.values.iter().zip(&weights.values).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum::<f64>()
        };
        let mut inputs = self.inputs.to_vec();
        let mut differences = vec![];
        for index in 0..inputs.len() {
            let mut each = vec![];
            for at in 0..inputs[index].values.len() {
                let x = inputs[index].values[at];
                let mut central = |step: f32| {
                    inputs[index].values[at] = x + step;
                    let above = loss(&inputs);
                    inputs[index].values[at] = x - step;
                    let below = loss(&inputs);
                    inputs[index].values[at] = x;
                    // The steps that were really taken.
                    (above - below) / (f64::from(x + step) - f64::from(x - step))
                };
                // Richardson: the error of second order cancels.
                each.push((4.0 * central(STEP / 2.0) - central(STEP)) / 3.0);
            }
            differences.push(each);
        }
        differences
    }
}
