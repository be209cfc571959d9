//! Convolutions in blocks of channels against the runtime's plain ones.

use ort::session::Session;
use ort::value::Tensor;
use prost::Message;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::blocked::{block, block_size};
use super::fixtures::environment;
use crate::onnx::graph::{Dim, GraphBuilder, attribute_int, attribute_ints};
use crate::onnx::proto::{DataType, ModelProto};

const INPUTS: [&str; 3] = ["x", "weights", "bias"];

/// Channels, those that the kernel sees, outputs; kernel, stride and dilation; whether a Relu follows.
type Case = ([usize; 3], [usize; 3], bool);

fn model(([channels, seen, outputs], [kernel, stride, dilation], relu): Case) -> (ModelProto, [Vec<usize>; 3]) {
    let shapes = [vec![3, channels, 11, 9], vec![outputs, seen, kernel, kernel], vec![outputs]];
    let mut graph = GraphBuilder::new("test");
    let [x, weights, bias] = [0, 1, 2].map(|place| {
        let dims = shapes[place].iter().map(|size| Dim::Fixed(*size)).collect::<Vec<_>>();
        graph.input(INPUTS[place], DataType::Float, &dims)
    });
    let attributes = vec![
        attribute_int("group", (channels / seen) as i64),
        attribute_ints("strides", &[stride as i64; 2]),
        attribute_ints("dilations", &[dilation as i64; 2]),
        attribute_ints("pads", &[1, 0, 2, 1]),
    ];
    let mut y = graph.node("Conv", &[&x, &weights, &bias], attributes);
    if relu {
        y = graph.node("Relu", &[&y], vec![]);
    }
    let y = graph.node("Neg", &[&y], vec![]);
    graph.rename(&y, "y");
    graph.output("y", DataType::Float, &[Dim::Named("batch"), Dim::Named("c"), Dim::Named("h"), Dim::Named("w")]);
    (graph.finish(), shapes)
}

fn run(model: &ModelProto, shapes: &[Vec<usize>; 3]) -> (Vec<i64>, Vec<f32>) {
    let mut random = StdRng::seed_from_u64(7);
    let mut session = Session::builder(environment()).unwrap().commit_from_memory(&model.encode_to_vec()).unwrap();
    let inputs = INPUTS.iter().zip(shapes).map(|(name, shape)| {
        let values =
            (0..shape.iter().product::<usize>()).map(|_| random.random_range(-1.0..1.0f32)).collect::<Vec<_>>();
        (*name, Tensor::from_array((shape.clone(), values)).unwrap())
    });
    let outputs = session.run(inputs.collect::<Vec<_>>()).unwrap();
    let (shape, values) = outputs["y"].try_extract_tensor::<f32>().unwrap();
    (shape.to_vec(), values.to_vec())
}

#[test]
fn convolutions_in_blocks_give_the_values_of_plain_ones() {
    let has_blocks = block_size(environment()).unwrap() > 4;
    for (case, gains) in [
        (([32, 32, 48], [3, 1, 1], false), true),
        (([16, 16, 32], [3, 2, 1], true), true),
        (([32, 32, 16], [2, 1, 2], true), true),
        // Each channel by itself, which need not fill blocks.
        (([32, 1, 32], [3, 1, 1], true), true),
        (([24, 1, 24], [5, 2, 1], false), true),
        (([20, 1, 20], [3, 1, 2], true), true),
        // Single places; channels that fill no block; groups of several; several outputs a channel.
        (([32, 32, 32], [1, 1, 1], true), false),
        (([24, 24, 40], [3, 1, 1], true), false),
        (([32, 16, 32], [3, 1, 1], true), false),
        (([16, 1, 32], [3, 1, 1], true), false),
        (([18, 1, 18], [3, 1, 1], true), false),
    ] {
        let (plain, shapes) = model(case);
        let blocked = block(&plain, environment()).unwrap();
        let nodes = &blocked.graph.as_ref().unwrap().node;
        let is_blocked = nodes.iter().any(|node| node.domain() == "com.microsoft.nchwc" && node.op_type() == "Conv");
        assert_eq!(is_blocked, gains && has_blocks, "{case:?}");
        let ((expected_shape, expected), (shape, values)) = (run(&plain, &shapes), run(&blocked, &shapes));
        assert_eq!(shape, expected_shape, "{case:?}");
        for (value, expected) in values.iter().zip(&expected) {
            assert!((value - expected).abs() < 1e-4, "{case:?}: {value} instead of {expected}");
        }
    }
}
