//! Convolutions and pooling.

use super::{Check, Sizes, apart, check, signed, uniform};
use crate::onnx::graph::{GraphBuilder, Value, attribute_int, attribute_ints, attribute_string};
use crate::onnx::proto::AttributeProto;

const SIZES: [Sizes; 2] = [Sizes::Fixed, Sizes::Named { weight: true }];

fn conv(x: &[usize], weights: &[usize], attributes: &[AttributeProto]) {
    let inputs = [signed(1, x), signed(2, weights), signed(3, &weights[..1])];
    Check { inputs: &inputs, opsets: &[13, 18], sizes: &SIZES }
        .run(|graph, x| graph.node("Conv", &[&x[0], &x[1], &x[2]], attributes.to_vec()));
}

#[test]
fn convolutions_of_kernels_strides_and_pads() {
    for (size, kernel) in [(5, 1), (6, 3), (7, 3), (8, 4)] {
        for stride in [1, 2, 3] {
            for pad in [0, 1].into_iter().filter(|pad| *pad < kernel) {
                let attributes =
                    [attribute_ints("strides", &[stride, stride]), attribute_ints("pads", &[pad as i64; 4])];
                conv(&[1, 2, size, 5], &[2, 2, kernel, kernel.min(3)], &attributes);
            }
        }
    }
}

#[test]
fn convolutions_of_one_axis_dilated_grouped_and_padded_unevenly() {
    conv(&[2, 2, 6], &[3, 2, 3], &[]);
    conv(&[2, 2, 9], &[3, 2, 3], &[attribute_ints("dilations", &[2]), attribute_ints("strides", &[2])]);
    conv(&[1, 2, 6, 5], &[2, 2, 3, 2], &[attribute_ints("pads", &[2, 0, 1, 1]), attribute_ints("strides", &[2, 1])]);
    conv(&[2, 4, 6], &[6, 2, 3], &[attribute_int("group", 2), attribute_ints("strides", &[2])]);
    conv(&[2, 3, 4, 4], &[3, 1, 3, 3], &[attribute_int("group", 3), attribute_ints("pads", &[1, 1, 1, 1])]);
}

#[test]
fn convolutions_padded_to_the_same_size() {
    for mode in ["SAME_UPPER", "SAME_LOWER"] {
        let inputs = [signed(4, &[1, 2, 7, 6]), signed(5, &[2, 2, 3, 4])];
        Check { inputs: &inputs, opsets: &[17], sizes: &[Sizes::Fixed] }.run(|graph, x| {
            let attributes = vec![attribute_string("auto_pad", mode), attribute_ints("strides", &[2, 2])];
            graph.node("Conv", &[&x[0], &x[1]], attributes)
        });
    }
}

#[test]
fn pooling_by_the_largest() {
    for (stride, pad) in [(1, 0), (2, 0), (2, 1), (3, 0)] {
        check(&[apart(6, &[1, 2, 6, 5])], |graph, x| {
            let attributes = vec![
                attribute_ints("kernel_shape", &[3, 3]),
                attribute_ints("strides", &[stride, stride]),
                attribute_ints("pads", &[pad; 4]),
            ];
            graph.node("MaxPool", &[&x[0]], attributes)
        });
    }
}

#[test]
fn pooling_by_the_mean() {
    for (stride, pad, counted) in [(1, 0, 0), (2, 0, 0), (2, 1, 0), (2, 1, 1), (3, 1, 0)] {
        check(&[signed(7, &[2, 2, 6, 5])], |graph, x| {
            let attributes = vec![
                attribute_ints("kernel_shape", &[3, 2]),
                attribute_ints("strides", &[stride, stride]),
                attribute_ints("pads", &[pad; 4]),
                attribute_int("count_include_pad", counted),
            ];
            let y = graph.node("AveragePool", &[&x[0]], attributes);
            graph.mul(&y, &y)
        });
    }
    for shape in [&[2, 3, 4][..], &[2, 3, 2, 3]] {
        check(&[signed(8, shape)], |graph, x| {
            let y = graph.node("GlobalAveragePool", &[&x[0]], vec![]);
            graph.mul(&y, &y)
        });
    }
}

#[test]
fn a_residual_block() {
    let inputs =
        [signed(9, &[2, 2, 6, 5]), signed(10, &[3, 2, 3, 3]), signed(11, &[3, 3, 3, 3]), signed(12, &[3, 2, 1, 1])];
    let inputs = [&inputs[..], &[uniform(13, &[3], 0.5, 1.5), signed(14, &[3]), signed(15, &[2, 3])]].concat();
    Check { inputs: &inputs, opsets: &[13], sizes: &SIZES }.run(|graph, x| {
        let same = || vec![attribute_ints("pads", &[1, 1, 1, 1])];
        let strided = |mut attributes: Vec<AttributeProto>| {
            attributes.push(attribute_ints("strides", &[2, 2]));
            attributes
        };
        let normal = |graph: &mut GraphBuilder, value: &Value| {
            let (mean, variance) = (graph.list_f32(&[0.1, 0.0, -0.1]), graph.list_f32(&[1.0, 2.0, 3.0]));
            graph.node("BatchNormalization", &[value, &x[4], &x[5], &mean, &variance], vec![])
        };
        let y = graph.node("Conv", &[&x[0], &x[1]], strided(same()));
        let y = normal(graph, &y);
        let y = graph.node("Softplus", &[&y], vec![]);
        let y = graph.node("Conv", &[&y, &x[2]], same());
        let y = normal(graph, &y);
        let shortcut = graph.node("Conv", &[&x[0], &x[3]], strided(vec![]));
        let y = graph.add(&y, &shortcut);
        let y = graph.tanh(&y);
        let y = graph.node("GlobalAveragePool", &[&y], vec![]);
        let y = graph.node("Flatten", &[&y], vec![]);
        graph.node("Gemm", &[&y, &x[6]], vec![attribute_int("transB", 1)])
    });
}

/// Enough channels for the gradient of the weights to be a matrix product.
#[test]
fn convolutions_of_many_channels() {
    for (kernel, stride, pads, dilation) in [
        ([1, 1], [1, 1], [0, 0, 0, 0], 1),
        ([1, 1], [2, 2], [0, 0, 0, 0], 1),
        ([3, 3], [1, 1], [1, 1, 1, 1], 1),
        ([3, 2], [2, 1], [1, 0, 0, 1], 1),
        ([3, 3], [2, 2], [0, 1, 1, 0], 1),
        ([2, 3], [1, 1], [2, 2, 1, 1], 2),
        ([4, 1], [3, 1], [0, 0, 0, 0], 1),
    ] {
        let attributes = [
            attribute_ints("strides", &stride),
            attribute_ints("pads", &pads),
            attribute_ints("dilations", &[dilation; 2]),
        ];
        conv(&[2, 8, 6, 7], &[3, 8, kernel[0], kernel[1]], &attributes);
    }
}

#[test]
fn convolutions_of_each_channel_by_itself() {
    for (kernel, stride, pads, dilation) in [
        ([3, 3], [1, 1], [1, 1, 1, 1], 1),
        ([3, 3], [2, 2], [0, 1, 1, 0], 1),
        ([5, 3], [1, 2], [2, 2, 1, 1], 1),
        ([2, 3], [1, 1], [0, 2, 1, 1], 2),
        ([1, 1], [1, 1], [0, 0, 0, 0], 1),
    ] {
        let attributes = [
            attribute_int("group", 3),
            attribute_ints("strides", &stride),
            attribute_ints("pads", &pads),
            attribute_ints("dilations", &[dilation; 2]),
        ];
        conv(&[2, 3, 6, 7], &[3, 1, kernel[0], kernel[1]], &attributes);
    }
}
