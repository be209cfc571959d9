//! Graphs built from the reference checkpoints, and what is refused, with the message.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::path::PathBuf;

use prost::Message;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value as Json, json};

use super::{ARCHITECTURES, OutputKind, Reads, build};
use crate::onnx::fuse::fuse;
use crate::onnx::weights::Weights;
use crate::onnx::{check_external_data, file};

fn models() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/models")
}

/// Folders of reference models that hold this file.
fn references(file: &str) -> Vec<PathBuf> {
    let mut folders = std::fs::read_dir(models()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    folders.retain(|folder| folder.join(file).is_file());
    folders.sort();
    folders
}

fn config(folder: &std::path::Path) -> Json {
    serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap()
}

#[test]
fn every_reference_model_builds_writes_and_fuses() {
    let folders = references("model.safetensors");
    let mut seen = Vec::new();
    for folder in &folders {
        let (config, weights) = (config(folder), Weights::open(folder).unwrap());
        let built = build(&config, &weights, None).unwrap();
        assert_eq!((built.hidden_size, built.reads), (32, Reads::Tokens { longest: 64 }), "{}", folder.display());
        let is_classifier = config["architectures"][0].as_str().unwrap().ends_with("ForSequenceClassification");
        assert_eq!(built.output == OutputKind::Logits, is_classifier, "{}", folder.display());
        seen.push(built.architecture.clone());

        let (output, inputs) = (built.output_name(), built.model.graph.as_ref().unwrap().input.len());
        assert_eq!(
            inputs == 3,
            config["type_vocab_size"].as_u64().is_some_and(|size| size > 1),
            "{}",
            folder.display()
        );
        let target = tempfile::tempdir().unwrap();
        built.write(&weights, &target.path().join("model.onnx")).unwrap();
        let mut read = file::read(&target.path().join("model.onnx")).unwrap();
        check_external_data(&read, target.path()).unwrap();
        let graph = read.graph.as_ref().unwrap();
        assert_eq!(graph.output[0].name(), output);
        let open =
            graph.initializer.iter().filter(|tensor| tensor.raw_data.is_none() && tensor.external_data.is_empty());
        assert_eq!(open.count(), 0, "{}", folder.display());
        let layers = ["num_hidden_layers", "n_layers"].iter().find_map(|name| config[name].as_u64()).unwrap() as usize;
        assert_eq!(fuse(&mut read), layers, "one per layer: {}", folder.display());
    }
    for (architecture, ..) in ARCHITECTURES {
        assert!(seen.iter().any(|name| name == architecture), "no reference model is a {architecture}");
    }
}

#[test]
fn foreign_models_survive_being_read_and_written() {
    let folders = std::fs::read_dir(models()).unwrap().map(|entry| entry.unwrap().path());
    let files = folders.flat_map(|folder| [folder.join("model.onnx"), folder.join("onnx/model.onnx")]);
    let mut count = 0;
    for path in files.filter(|path| path.is_file()) {
        let original = std::fs::read(&path).unwrap();
        let decoded = file::read(&path).unwrap();
        let encoded = decoded.encode_to_vec();
        assert!(
            encoded.len() == original.len(),
            "{}: {} bytes became {}",
            path.display(),
            original.len(),
            encoded.len()
        );
        assert!(file::decode(encoded.into(), &path).unwrap() == decoded, "{}", path.display());
        count += 1;
    }
    assert!(count >= 4, "the reference models hold ONNX exports");
}

#[test]
fn the_escaping_reference_model_is_refused() {
    let folder = models().join("onnx-escaping");
    let model = file::read(&folder.join("model.onnx")).unwrap();
    let error = check_external_data(&model, &folder).unwrap_err().to_string();
    assert!(error.contains("outside of the model's folder"), "{error}");
}

/// A BERT of one layer and two wide, as tensors of zeros.
fn tiny() -> (Json, HashMap<String, Vec<usize>>) {
    let config = json!({
        "model_type": "bert", "architectures": ["BertModel"], "hidden_size": 2, "num_attention_heads": 1,
        "num_hidden_layers": 1, "intermediate_size": 3, "vocab_size": 5, "max_position_embeddings": 4,
        "type_vocab_size": 2, "hidden_act": "gelu",
    });
    let mut shapes = HashMap::new();
    for (name, rows) in [("word", 5), ("position", 4), ("token_type", 2)] {
        shapes.insert(format!("embeddings.{name}_embeddings.weight"), vec![rows, 2]);
    }
    let layer = "encoder.layer.0";
    for name in ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"] {
        shapes.insert(format!("{layer}.{name}.weight"), vec![2, 2]);
        shapes.insert(format!("{layer}.{name}.bias"), vec![2]);
    }
    for (name, to, from) in [("intermediate.dense", 3, 2), ("output.dense", 2, 3)] {
        shapes.insert(format!("{layer}.{name}.weight"), vec![to, from]);
        shapes.insert(format!("{layer}.{name}.bias"), vec![to]);
    }
    for name in ["embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output"] {
        shapes.insert(format!("{name}.LayerNorm.weight"), vec![2]);
        shapes.insert(format!("{name}.LayerNorm.bias"), vec![2]);
    }
    (config, shapes)
}

fn save(folder: &std::path::Path, name: &str, shapes: &HashMap<String, Vec<usize>>, dtype: Dtype) {
    let zeros = vec![0u8; 1024];
    let views = shapes.iter().map(|(name, shape)| {
        let length = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (name, TensorView::new(dtype, shape.clone(), &zeros[..length]).unwrap())
    });
    std::fs::write(folder.join(name), safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The error of building `config` with `shapes`.
fn error_of(config: &Json, shapes: &HashMap<String, Vec<usize>>, dtype: Dtype) -> String {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), "model.safetensors", shapes, dtype);
    build(config, &Weights::open(folder.path()).unwrap(), None).unwrap_err().to_string()
}

fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "'{part}' is not in: {error}");
    }
}

#[test]
fn missing_misshapen_foreign_and_left_over_tensors_are_named() {
    let (config, shapes) = tiny();
    let query = "encoder.layer.0.attention.self.query.weight";
    let mut missing = shapes.clone();
    missing.remove(query);
    assert_says(&error_of(&config, &missing, Dtype::F32), &[query, "[2, 2]", "missing"]);
    let mut misshapen = shapes.clone();
    misshapen.insert(query.into(), vec![2, 3]);
    assert_says(&error_of(&config, &misshapen, Dtype::F32), &[query, "[2, 3]", "[2, 2]"]);
    assert_says(&error_of(&config, &shapes, Dtype::I64), &["I64", "F32, F16 and BF16"]);
    let mut more = shapes.clone();
    more.insert("encoder.layer.1.output.dense.bias".into(), vec![2]);
    assert_says(&error_of(&config, &more, Dtype::F32), &["encoder.layer.1.output.dense.bias", "no place"]);
    let mut two = shapes.clone();
    two.insert("other.embeddings.word_embeddings.weight".into(), vec![5, 2]);
    assert_says(&error_of(&config, &two, Dtype::F32), &["cannot tell", "other."]);
}

#[test]
fn settings_that_are_not_followed_are_refused() {
    let (config, shapes) = tiny();
    let cases = [
        ("model_type", json!("electra"), vec!["electra", "bert, distilbert, mpnet, roberta, xlm-roberta"]),
        ("model_type", json!(null), vec!["model_type", "missing"]),
        ("position_embedding_type", json!("relative_key"), vec!["relative_key", "not supported"]),
        ("is_decoder", json!(true), vec!["is_decoder", "not supported"]),
        ("hidden_act", json!("mish"), vec!["mish", "gelu_new"]),
        ("hidden_size", json!(-2), vec!["hidden_size", "-2"]),
        ("num_attention_heads", json!(3), vec!["num_attention_heads", "does not divide"]),
        ("intermediate_size", json!(null), vec!["intermediate_size", "missing"]),
        ("quantization_config", json!({"bits": 4}), vec!["quantization_config"]),
    ];
    for (key, value, expected) in cases {
        let mut config = config.clone();
        config[key] = value;
        assert_says(&error_of(&config, &shapes, Dtype::F32), &expected);
    }
    let mut classifier = config.clone();
    classifier["architectures"] = json!(["BertForSequenceClassification"]);
    classifier["id2label"] = json!({"0": "no", "1": "yes"});
    assert_says(&error_of(&classifier, &shapes, Dtype::F32), &["number of labels", "2"]);
    assert_says(&error_of(&json!([]), &shapes, Dtype::F32), &["not a JSON object"]);
}

#[test]
fn a_truncated_file_names_the_tensor_it_ends_in() {
    let (_, shapes) = tiny();
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), "model.safetensors", &shapes, Dtype::F32);
    let path = folder.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_says(
        &Weights::open(folder.path()).unwrap_err().to_string(),
        &["model.safetensors", "truncated", "tensor '"],
    );
    for bytes in [&whole[..20], &whole[..4], b"{\"not\": \"safetensors\"}", b""] {
        std::fs::write(&path, bytes).unwrap();
        assert_says(&Weights::open(folder.path()).unwrap_err().to_string(), &["model.safetensors", "safetensors file"]);
    }
}

#[test]
fn shards_are_read_as_one_and_their_index_may_not_leave_the_folder() {
    let (config, shapes) = tiny();
    let folder = tempfile::tempdir().unwrap();
    let (first, second): (HashMap<_, _>, HashMap<_, _>) =
        shapes.into_iter().partition(|(name, _)| name.starts_with("embeddings."));
    save(folder.path(), "model-00001-of-00002.safetensors", &first, Dtype::BF16);
    save(folder.path(), "model-00002-of-00002.safetensors", &second, Dtype::F16);
    let index = |second: &str| {
        let map = json!({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": second}});
        std::fs::write(folder.path().join("model.safetensors.index.json"), map.to_string()).unwrap();
        Weights::open(folder.path())
    };
    let weights = index("model-00002-of-00002.safetensors").unwrap();
    assert_eq!(weights.files().len(), 2);
    build(&config, &weights, None).unwrap();
    assert_says(
        &index("../other.safetensors").unwrap_err().to_string(),
        &["../other.safetensors", "not in the folder"],
    );
    assert_says(&index("model-00003.safetensors").unwrap_err().to_string(), &["model-00003.safetensors"]);
    let empty = tempfile::tempdir().unwrap();
    std::fs::write(empty.path().join("pytorch_model.bin"), b"x").unwrap();
    assert_says(&Weights::open(empty.path()).unwrap_err().to_string(), &["pytorch_model.bin", "not a state dict"]);
}

#[test]
fn matrices_are_transposed_and_half_precision_is_widened() {
    use half::{bf16, f16};
    let folder = tempfile::tempdir().unwrap();
    let values = [1.0f32, 2.0, 3.0, -4.0, 0.5, 6.0]; // [2, 3]
    let f32s = values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let f16s = values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect::<Vec<_>>();
    let bf16s = values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect::<Vec<_>>();
    let views = [("f32", Dtype::F32, &f32s), ("f16", Dtype::F16, &f16s), ("bf16", Dtype::BF16, &bf16s)]
        .map(|(name, dtype, data)| (name, TensorView::new(dtype, vec![2, 3], data).unwrap()));
    std::fs::write(folder.path().join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    let weights = Weights::open(folder.path()).unwrap();
    for name in ["f32", "f16", "bf16"] {
        let read = |transpose| {
            let mut bytes = Vec::new();
            weights.write_f32(name, transpose, &mut bytes).unwrap();
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<_>>()
        };
        assert_eq!(read(false), values, "{name}");
        assert_eq!(read(true), [1.0, -4.0, 2.0, 0.5, 3.0, 6.0], "{name}");
    }
}
