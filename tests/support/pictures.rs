//! Models of pictures for tests: networks with random weights, and `color`, which gives the mean red, green and blue of a picture
//! as its vector.

use std::fs;
use std::path::Path;

use debut::home::Home;
use debut::inference::Models;
use debut::onnx::graph::{Dim, GraphBuilder, attribute_int, attribute_ints};
use debut::onnx::proto::DataType;
use prost::Message;
use serde_json::json;
use tempfile::TempDir;

/// A home with a small encoder of texts, `small`, and the networks of `tests/reference/vision` that are named.
pub fn home_with_networks(networks: &[&str]) -> TempDir {
    let home = super::small_home();
    for network in networks {
        let source = super::repository("tests/reference/vision").join(network);
        Models::new(Home::at(home.path())).import(network, source.to_str().unwrap(), &[], true).unwrap();
    }
    home
}

/// Puts `color` into a home. Pictures are resized to 8 x 8.
pub fn add_color_model(home: &Path) {
    let mut graph = GraphBuilder::new("color");
    let pixels = graph.input(
        "pixel_values",
        DataType::Float,
        &[Dim::Named("batch"), Dim::Fixed(3), Dim::Fixed(8), Dim::Fixed(8)],
    );
    let attributes = vec![attribute_ints("axes", &[2, 3]), attribute_int("keepdims", 0)];
    let mean = graph.node("ReduceMean", &[&pixels], attributes);
    let weights = graph.tensor_f32("weights", &[3, 3], &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    let vector = graph.matmul(&mean, &weights);
    graph.rename(&vector, "image_embeds");
    graph.output("image_embeds", DataType::Float, &[Dim::Named("batch"), Dim::Fixed(3)]);
    let model = Home::at(home).models().join("models--color");
    let version = model.join("snapshots/1");
    fs::create_dir_all(version.join("onnx")).unwrap();
    fs::create_dir_all(model.join("refs")).unwrap();
    fs::write(model.join("refs/main"), "1").unwrap();
    fs::write(version.join("onnx/model.onnx"), graph.finish().encode_to_vec()).unwrap();
    let write = |name: &str, content: serde_json::Value| fs::write(version.join(name), content.to_string()).unwrap();
    write(
        "preprocessor_config.json",
        json!({
            "image_processor_type": "ViTImageProcessor", "do_normalize": false, "do_resize": true, "resample": 2,
            "size": {"height": 8, "width": 8},
        }),
    );
    // Nobody reads it; the registry looks whether it is there.
    write("tokenizer.json", json!({}));
    write(
        "debut.json",
        json!({
            "task": "embedding", "modality": "bytes", "dimension": 3, "architecture": "onnx", "graph": "onnx/model.onnx",
            "output": {"name": "image_embeds", "kind": "sentence_embedding"}, "pooling": "mean", "normalize": true,
            "max_tokens": 0, "prompts": {}, "source": "tests", "weights_sha256": "", "fingerprint": "c0105c0105c01050",
            "created_at": 0,
        }),
    );
}
