//! Every network of pictures that is imported: its vectors, and the gradient of their sum by the pixels, which passes every
//! operator of the network, against `transformers`, timm and PyTorch (`tests/reference/make_vision.py`).

use std::path::{Path, PathBuf};

use ort::session::Session;
use prost::Message;
use serde::Deserialize;

use super::{Tensor, float_input};
use crate::autodiff::gradients;
use crate::inference::fixtures;
use crate::onnx::architectures::{IMAGE_EMBEDDING, PIXELS, Picture, Reads, TEXT_EMBEDDING, build};
use crate::onnx::file;
use crate::onnx::fuse::fuse;
use crate::onnx::graph::{Dim, GraphBuilder, attribute_int};
use crate::onnx::proto::{DataType, ModelProto, TensorProto};
use crate::onnx::weights::Weights;

/// Largest difference of a vector's element, relative to the vector's largest if that is above 1.
const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Expected {
    size: [usize; 2],
    embeddings: Vec<Vec<f32>>,
    norm: f64,
    largest: f32,
    places: Vec<usize>,
    values: Vec<f32>,
}

/// `pixels` of `make_vision.py`.
fn pixels([height, width]: [usize; 2]) -> Tensor {
    let value = |index: i64| ((index * 7919 + index / 97 * 31 + 13) % 255 - 127) as f32 / 64.0;
    let count = 2 * 3 * height * width;
    Tensor { dims: vec![2, 3, height, width], values: (0..count as i64).map(value).collect() }
}

fn references() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/vision");
    let mut folders: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()))
}

#[test]
fn every_network_of_pictures_equals_its_reference_and_so_does_its_gradient() {
    fixtures::runtime();
    let folders = references();
    assert!(folders.len() >= 23, "{folders:?}");
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let expected: Expected = serde_json::from_value(json(&folder.join("expected.json"))).unwrap();
        let weights = Weights::open(&folder).unwrap();
        let [height, width] = expected.size;
        let size = Picture { height, width };
        let built = build(&json(&folder.join("config.json")), &weights, Some(size))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(built.hidden_size, expected.embeddings[0].len(), "{name}");
        let target = tempfile::tempdir().unwrap();
        let path = target.path().join("model.onnx");
        built.write(&weights, &path).unwrap();

        let mut graph = GraphBuilder::from_model(file::read(&path).unwrap());
        let vector = graph.value(IMAGE_EMBEDDING);
        let cosines = (0..expected.embeddings.iter().map(Vec::len).sum()).map(|place| (place as f32).cos());
        let cosines = graph.tensor_f32("cosines", &[2, expected.embeddings[0].len()], &cosines.collect::<Vec<_>>());
        let product = graph.mul(&vector, &cosines);
        let loss = graph.node("ReduceSum", &[&product], vec![attribute_int("keepdims", 0)]);
        // Each parameter of the network is trained: its gradient is computed too.
        let is_parameter = |tensor: &&TensorProto| {
            tensor.data_type() == DataType::Float as i32
                && !tensor.name().contains("scalar")
                && tensor.name() != "cosines"
        };
        let parameters: Vec<_> =
            graph.graph().initializer.iter().filter(is_parameter).map(|tensor| tensor.name().to_owned()).collect();
        let wanted: Vec<_> =
            [PIXELS].into_iter().chain(parameters.iter().map(String::as_str)).map(|name| graph.value(name)).collect();
        let found = gradients(&mut graph, &loss, &wanted).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (gradient, value) in found.iter().zip(&wanted) {
            let gradient = gradient.as_ref().unwrap_or_else(|| panic!("{name}: {} has no gradient", value.name()));
            graph.output(gradient.name(), DataType::Float, &[Dim::Named("any")]);
        }
        let mut model = graph.finish();
        model.graph.as_mut().unwrap().output.iter_mut().for_each(|output| output.r#type = None);
        let mut differentiated = session(&model, target.path());
        let outputs = differentiated.run(vec![(PIXELS, float_input(&pixels(expected.size)))]).unwrap();

        let read = |name: &str| outputs[name].try_extract_tensor::<f32>().unwrap().1;
        assert_close(read(IMAGE_EMBEDDING), &expected.embeddings.concat(), &name);
        let gradient = read(found[0].as_ref().unwrap().name());
        let norm = gradient.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        assert!((norm - expected.norm).abs() <= 1e-3 * expected.norm, "{name}: {norm} instead of {}", expected.norm);
        for (place, expected_value) in expected.places.iter().zip(&expected.values) {
            let found = gradient[*place];
            assert!(
                (found - expected_value).abs() <= 1e-3 * expected.largest,
                "{name}, gradient {place}: {found} instead of {expected_value}"
            );
        }
        for (gradient, name) in found[1..].iter().zip(&parameters) {
            let values = read(gradient.as_ref().unwrap().name());
            assert!(values.iter().all(|value| value.is_finite()), "{name}");
        }

        // As it is scored.
        let mut model = file::read(&path).unwrap();
        fuse(&mut model);
        let mut fused = session(&model, target.path());
        let outputs = fused.run(vec![(PIXELS, float_input(&pixels(expected.size)))]).unwrap();
        let vectors = outputs[IMAGE_EMBEDDING].try_extract_tensor::<f32>().unwrap().1;
        assert_close(vectors, &expected.embeddings.concat(), &name);
    }
}

fn session(model: &ModelProto, folder: &Path) -> Session {
    Session::builder(fixtures::runtime().environment())
        .unwrap()
        .with_config_entry("session.model_external_initializers_file_folder_path", folder.to_string_lossy())
        .unwrap()
        .commit_from_memory(&model.encode_to_vec())
        .unwrap()
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    let scale = largest(expected).max(1.0);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= TOLERANCE * scale, "{what}, {place}: {found} instead of {expected}");
    }
}

#[derive(Deserialize)]
struct Texts {
    ids: Vec<Vec<i64>>,
    mask: Vec<Vec<i64>>,
    embeddings: Vec<Vec<f32>>,
}

/// The towers for texts of CLIP and SigLIP, as they are imported and as they are scored.
#[test]
fn towers_for_texts_equal_transformers() {
    fixtures::runtime();
    let rows = |rows: &[Vec<i64>]| {
        ort::value::Tensor::from_array(([rows.len() as i64, rows[0].len() as i64], rows.concat())).unwrap()
    };
    for (name, end) in [("clip", 23), ("clip", 2), ("siglip", 23)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/vision").join(name);
        let expected: Texts = serde_json::from_value(json(&folder.join("texts.json"))).unwrap();
        let mut config = json(&folder.join("config.json"));
        config["text_config"]["eos_token_id"] = end.into();
        let weights = Weights::open(&folder).unwrap();
        let built = build(&config, &weights, None).unwrap();
        assert_eq!(built.reads, Reads::Tokens { longest: 12 });
        let target = tempfile::tempdir().unwrap();
        let path = target.path().join("model.onnx");
        built.write(&weights, &path).unwrap();
        let mut model = file::read(&path).unwrap();
        for _ in 0..2 {
            let mut session = session(&model, target.path());
            let inputs = vec![("input_ids", rows(&expected.ids)), ("attention_mask", rows(&expected.mask))];
            let outputs = session.run(inputs).unwrap();
            let found = outputs[TEXT_EMBEDDING].try_extract_tensor::<f32>().unwrap().1;
            assert_close(found, &expected.embeddings.concat(), name);
            fuse(&mut model);
        }
    }
}

/// The whole of the default model: fetched, unpickled, folded and run, against PyTorch.
#[test]
fn the_default_model_of_pictures_equals_pytorch() {
    let runtime = fixtures::runtime();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/efficientnet-lite0.json");
    let expected: Vec<Vec<f32>> = serde_json::from_value(json(&path)).unwrap();
    let model = fixtures::default_image_graph();
    let mut session = Session::builder(runtime.environment()).unwrap().commit_from_file(&model).unwrap();
    let mut pixels = pixels([224, 224]);
    pixels.values.iter_mut().for_each(|value| *value /= 2.0);
    let outputs = session.run(vec![(PIXELS, float_input(&pixels))]).unwrap();
    let vectors = outputs[IMAGE_EMBEDDING].try_extract_tensor::<f32>().unwrap().1;
    let expected = expected.concat();
    assert!(expected.len() == 2 * 1280 && largest(&expected) > 1.0);
    assert_close(vectors, &expected, "efficientnet-lite0");
}
