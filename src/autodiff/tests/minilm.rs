//! A whole encoder: every gradient of all-MiniLM-L6-v2 under an in-batch contrastive loss, against PyTorch's autograd
//! (`tests/reference/make_gradients.py`).

use std::collections::BTreeMap;
use std::path::Path;

use ort::session::{Session, SessionInputValue};
use prost::Message;
use serde::Deserialize;

use crate::autodiff::gradients;
use crate::inference::fixtures;
use crate::onnx::file;
use crate::onnx::graph::{Dim, GraphBuilder, Value, attribute_int};
use crate::onnx::proto::DataType;

/// Largest difference relative to the largest element of a tensor's gradient: `f32` through six layers and back.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Reference {
    ids: Vec<Vec<i64>>,
    mask: Vec<Vec<i64>>,
    loss: f64,
    tensors: BTreeMap<String, Gradient>,
}

#[derive(Deserialize)]
struct Gradient {
    norm: f64,
    largest: f64,
    places: Vec<usize>,
    values: Vec<f64>,
}

/// The loss of `make_gradients.py` on the encoder's token embeddings.
fn contrastive(graph: &mut GraphBuilder, hidden: &Value, pairs: usize) -> Value {
    let mask = graph.value("attention_mask");
    let mask = graph.cast(&mask, DataType::Float);
    let mask = graph.unsqueeze(&mask, &[-1]);
    let masked = graph.mul(hidden, &mask);
    let axis = graph.list_i64(&[1]);
    let drop_axis = || vec![attribute_int("keepdims", 0)];
    let sum = graph.node("ReduceSum", &[&masked, &axis], drop_axis());
    let count = graph.node("ReduceSum", &[&mask, &axis], drop_axis());
    let mean = graph.div(&sum, &count);
    let square = graph.mul(&mean, &mean);
    let last = graph.list_i64(&[-1]);
    let norm = graph.node("ReduceSum", &[&square, &last], vec![]);
    let norm = graph.node("Sqrt", &[&norm], vec![]);
    let embeddings = graph.div(&mean, &norm);
    let halves = graph.list_i64(&[pairs as i64, pairs as i64]);
    let halves = graph.node_with("", "Split", &[Some(&embeddings), Some(&halves)], 2, vec![attribute_int("axis", 0)]);
    let other = graph.transpose(&halves[1], &[1, 0]);
    let cosines = graph.matmul(&halves[0], &other);
    let scale = graph.scalar_f32(20.0);
    let logits = graph.mul(&cosines, &scale);
    let log = graph.node("LogSoftmax", &[&logits], vec![attribute_int("axis", -1)]);
    let targets: Vec<i64> = (0..pairs as i64).collect();
    let targets = graph.tensor_i64("targets", &[pairs, 1], &targets);
    let chosen = graph.node("GatherElements", &[&log, &targets], vec![attribute_int("axis", 1)]);
    let mean = graph.node("ReduceMean", &[&chosen], drop_axis());
    graph.node("Neg", &[&mean], vec![])
}

fn rows(rows: &[Vec<i64>]) -> SessionInputValue<'static> {
    let shape = [rows.len() as i64, rows[0].len() as i64];
    ort::value::Tensor::from_array((shape, rows.concat())).unwrap().into()
}

fn open(graph: GraphBuilder, folder: &Path) -> Session {
    let mut builder = Session::builder(fixtures::runtime().environment())
        .unwrap()
        .with_config_entry("session.model_external_initializers_file_folder_path", folder.to_string_lossy())
        .unwrap();
    builder.commit_from_memory(&graph.finish().encode_to_vec()).unwrap()
}

#[test]
fn every_gradient_of_minilm_equals_pytorch() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/gradients.json");
    let reference: Reference = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let model = fixtures::default_graph();
    let mut graph = GraphBuilder::from_model(file::read(&model).unwrap());
    let hidden = graph.value("last_hidden_state");
    let loss = contrastive(&mut graph, &hidden, reference.ids.len() / 2);
    let names: Vec<&String> = reference.tensors.keys().collect();
    let parameters: Vec<_> = names.iter().map(|name| graph.value(name)).collect();
    let found = gradients(&mut graph, &loss, &parameters).unwrap();
    graph.take_output("last_hidden_state").unwrap();
    graph.output(loss.name(), DataType::Float, &[]);
    for (gradient, name) in found.iter().zip(&names) {
        let dims = graph.graph().initializer.iter().find(|tensor| tensor.name() == **name).unwrap().dims.len();
        graph.output(gradient.as_ref().unwrap().name(), DataType::Float, &vec![Dim::Named("any"); dims]);
    }

    let mut session = open(graph, model.parent().unwrap());
    let types = vec![vec![0; reference.ids[0].len()]; reference.ids.len()];
    let inputs = vec![
        ("input_ids", rows(&reference.ids)),
        ("attention_mask", rows(&reference.mask)),
        ("token_type_ids", rows(&types)),
    ];
    let outputs = session.run(inputs).unwrap();
    let read = |value: &Value| outputs[value.name()].try_extract_tensor::<f32>().unwrap().1;
    assert!((f64::from(read(&loss)[0]) - reference.loss).abs() < 1e-5, "{}", read(&loss)[0]);
    for (name, gradient) in names.into_iter().zip(&found) {
        let values = read(gradient.as_ref().unwrap());
        let expected = &reference.tensors[name];
        // Softmax does not change when a number is added to all keys: this gradient is 0 but for rounding.
        let scale = match name.strip_suffix("key.bias") {
            Some(layer) => reference.tensors[&format!("{layer}query.bias")].largest,
            None => expected.largest,
        };
        let norm = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        assert!(
            (norm - expected.norm).abs() <= TOLERANCE * expected.norm.max(scale),
            "{name}: {norm} for {}",
            expected.norm
        );
        for (place, expected) in expected.places.iter().zip(&expected.values) {
            let found = f64::from(values[*place]);
            assert!((found - expected).abs() <= TOLERANCE * scale, "{name}, {place}: {found} instead of {expected}");
        }
    }
}
