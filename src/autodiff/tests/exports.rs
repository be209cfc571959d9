//! Encoders as an exporter writes them (shapes computed in the graph, masks by `Where` and `Expand`, weights without their
//! names): the gradient of every tensor, embedding tables too, against finite differences along it.

use ort::session::SessionInputValue;

use super::{Tensor, float_input, run, session};
use crate::autodiff::gradients;
use crate::inference::fixtures;
use crate::onnx::graph::{Dim, GraphBuilder, Value, attribute_int};
use crate::onnx::proto::{DataType, ModelProto, TensorProto};
use crate::onnx::{external, file};

/// How far each tensor moves, all elements together; half of it for the extrapolation. The loss is computed in `f64` from
/// outputs with a relative error of about 1e-6, which makes 2e-5 in the difference; of the rest, the error is of the fourth
/// order.
const STEP: f32 = 0.04;

fn values(tensor: &TensorProto, folder: &std::path::Path) -> Vec<f32> {
    let bytes = match tensor.external_data.is_empty() {
        true => tensor.raw_data.clone().unwrap(),
        false => {
            let of = |key: &str| tensor.external_data.iter().find(|pair| pair.key() == key).map(|pair| pair.value());
            let number = |key: &str| of(key).and_then(|value| value.parse::<usize>().ok());
            let all = std::fs::read(folder.join(of("location").unwrap())).unwrap();
            let start = number("offset").unwrap_or(0);
            let length = 4 * tensor.dims.iter().product::<i64>() as usize;
            all[start..start + length].to_vec().into()
        }
    };
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The model with all its weights as inputs, and what they are.
fn open(name: &str, graph: &str) -> (GraphBuilder, Vec<(Value, Tensor)>) {
    // The library is loaded before the first tensor is made.
    fixtures::runtime();
    let path = fixtures::reference_folder(name).join(graph);
    let model: ModelProto = file::read(&path).unwrap();
    let folder = path.parent().unwrap();
    external::check_external_data(&model, folder).unwrap();
    let mut graph = GraphBuilder::from_model(model);
    let is_weight = |tensor: &&TensorProto| tensor.data_type() == DataType::Float as i32 && !tensor.dims.is_empty();
    let names: Vec<_> =
        graph.graph().initializer.iter().filter(is_weight).map(|tensor| tensor.name().to_owned()).collect();
    let mut weights = vec![];
    for name in names {
        let tensor = graph.take_initializer(&name).unwrap();
        let dims: Vec<usize> = tensor.dims.iter().map(|dim| *dim as usize).collect();
        let sizes: Vec<_> = dims.iter().map(|dim| Dim::Fixed(*dim)).collect();
        let input = graph.input(&name, DataType::Float, &sizes);
        weights.push((input, Tensor { dims, values: values(&tensor, folder) }));
    }
    (graph, weights)
}

type Feeds = Vec<(std::borrow::Cow<'static, str>, SessionInputValue<'static>)>;

fn feeds(graph: &GraphBuilder, weights: &[(Value, Tensor)]) -> Feeds {
    let mut feeds: Feeds = vec![];
    for info in graph.graph().input.iter().filter(|info| !weights.iter().any(|(name, _)| name.name() == info.name())) {
        let values: Vec<i64> = match info.name() {
            "input_ids" => vec![2, 9, 7, 11, 3, 2, 5, 3, 0, 0],
            "attention_mask" => vec![1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
            _ => vec![0; 10],
        };
        let value = ort::value::Tensor::from_array(([2_i64, 5], values)).unwrap();
        feeds.push((info.name().to_owned().into(), value.into()));
    }
    feeds.extend(weights.iter().map(|(name, tensor)| (name.name().to_owned().into(), float_input(tensor))));
    feeds
}

fn log_sum_exp(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).exp()).sum::<f64>().ln()
}

fn differentiate(name: &str, path: &str, output: &str) {
    let (mut graph, mut weights) = open(name, path);
    let others: Vec<_> = graph.graph().output.iter().map(|info| info.name().to_owned()).collect();
    for other in others.iter().filter(|other| *other != output) {
        graph.take_output(other);
    }
    let y = graph.value(output);
    let loss = graph.node("ReduceLogSumExp", &[&y], vec![attribute_int("keepdims", 0)]);
    let parameters: Vec<_> = weights.iter().map(|(name, _)| name.clone()).collect();
    let found = gradients(&mut graph, &loss, &parameters).unwrap();
    // The shapes that the graph computes are followed, so that all axes are known.
    let dynamic = graph.graph().node.iter().filter(|node| node.name().starts_with("gradient/NonZero")).count();
    assert_eq!(dynamic, 0, "{name}: sums whose axes are computed when the graph runs");
    let kept: Vec<_> = found.iter().enumerate().filter_map(|(index, value)| Some((index, value.clone()?))).collect();
    for (index, value) in &kept {
        graph.output(value.name(), DataType::Float, &vec![Dim::Named("any"); weights[*index].1.dims.len()]);
    }
    let feed = feeds(&graph, &weights);
    let inputs = graph.graph().clone();
    let mut session = session(graph);
    let gradients: Vec<_> = run(&mut session, feed).into_iter().skip(1).collect();
    let inputs = GraphBuilder::from_model(ModelProto { graph: Some(inputs), ..ModelProto::default() });
    for ((index, _), gradient) in kept.iter().zip(gradients) {
        let before = weights[*index].1.clone();
        assert_eq!(gradient.dims, before.dims, "{name}, {}", parameters[*index].name());
        let norm = gradient.values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let mut central = |step: f32| {
            let mut side = |step: f32| {
                let moved = before.values.iter().zip(&gradient.values);
                let moved = moved.map(|(value, slope)| value + step * slope / norm.max(1e-12) as f32);
                weights[*index].1.values = moved.collect();
                log_sum_exp(&run(&mut session, feeds(&inputs, &weights))[0].values)
            };
            (side(step) - side(-step)) / (2.0 * f64::from(step))
        };
        let difference = (4.0 * central(STEP / 2.0) - central(STEP)) / 3.0;
        weights[*index].1 = before;
        assert!(
            (difference - norm).abs() <= 3e-3 * norm + 5e-5,
            "{name}, {}: slope {difference} along a gradient of length {norm}",
            parameters[*index].name()
        );
    }
}

#[test]
fn exported_encoders() {
    differentiate("onnx-last-hidden", "onnx/model.onnx", "last_hidden_state");
    differentiate("onnx-no-token-types", "model.onnx", "last_hidden_state");
    differentiate("onnx-sentence-embedding", "model.onnx", "sentence_embedding");
    differentiate("onnx-external", "model.onnx", "last_hidden_state");
    differentiate("onnx-cross-encoder", "model.onnx", "logits");
}
