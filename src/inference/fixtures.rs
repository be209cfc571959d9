//! Models for tests: the reference folders, opened without a registry around them.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use debut_udfs::config::Device;
use debut_udfs::model::{Modality, ModelInfo, Task};
use tempfile::TempDir;

use super::runtime::{Runtime, Target};
use super::{Error, LoadedModel};
use crate::home::Home;
use crate::registry::Registry;
use crate::registry::manifest::{GraphOutput, Manifest, OutputKind, Pooling};

/// A folder under `tests/reference/models`.
pub(crate) fn reference_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/models").join(name)
}

/// What an import would write beside a reference model that is ONNX already.
pub(crate) fn manifest(name: &str) -> Manifest {
    let (graph, output, kind, max_tokens) = match name {
        "onnx-last-hidden" => ("onnx/model.onnx", "last_hidden_state", OutputKind::TokenEmbeddings, 48),
        "onnx-no-token-types" => ("model.onnx", "last_hidden_state", OutputKind::TokenEmbeddings, 48),
        "onnx-sentence-embedding" => ("model.onnx", "sentence_embedding", OutputKind::SentenceEmbedding, 48),
        "onnx-external" => ("model.onnx", "last_hidden_state", OutputKind::TokenEmbeddings, 48),
        "onnx-cross-encoder" => ("model.onnx", "logits", OutputKind::Logits, 64),
        _ => panic!("no reference model '{name}'"),
    };
    let task = if kind == OutputKind::Logits { Task::CrossEncoder } else { Task::Embedding };
    Manifest {
        task,
        modality: Modality::Text,
        text_tower: None,
        dimension: if task == Task::CrossEncoder { 0 } else { 32 },
        labels: Vec::new(),
        recommender: None,
        trained_until: None,
        image_model: None,
        training: None,
        architecture: "onnx".into(),
        graph: graph.into(),
        output: GraphOutput { name: output.into(), kind },
        pooling: Pooling::Mean,
        normalize: true,
        needs_vnni: false,
        max_tokens,
        picture: None,
        prompts: BTreeMap::new(),
        source: name.into(),
        weights_sha256: String::new(),
        fingerprint: "0".repeat(16),
        created_at: 0,
    }
}

/// Opens the reference model `name`.
pub(crate) fn open(name: &str) -> LoadedModel {
    open_at(&reference_folder(name), name).unwrap()
}

/// Opens `folder` as what `name` is.
pub(crate) fn open_at(folder: &Path, name: &str) -> Result<LoadedModel, Error> {
    open_as(folder, name, &manifest(name))
}

/// Opens `folder` as what `manifest` says.
pub(crate) fn open_as(folder: &Path, name: &str, manifest: &Manifest) -> Result<LoadedModel, Error> {
    let info = ModelInfo {
        name: name.into(),
        version: "1".into(),
        task: manifest.task,
        modality: manifest.modality,
        text_tower: None,
        dimension: manifest.dimension,
        labels: manifest.labels.clone(),
        ids: None,
        trained_until: None,
        image_model: None,
        max_tokens: manifest.max_tokens,
        fingerprint: manifest.fingerprint.clone(),
        prompts: BTreeMap::new(),
    };
    LoadedModel::open(folder, info, manifest, runtime().environment(), &Target::Cpu)
}

/// The runtime, for tests that make their own sessions.
pub(crate) fn runtime() -> &'static Runtime {
    Runtime::load(&home(), Device::Cpu, false, &crate::fetch::silent).unwrap()
}

/// The graph of the default model, all-MiniLM-L6-v2.
pub(crate) fn default_graph() -> PathBuf {
    let registry = Registry::open(&home());
    registry.resolve_or_install("all-MiniLM-L6-v2", false, &crate::fetch::silent).unwrap().graph()
}

/// The graph of the default model of pictures, efficientnet-lite0.
pub(crate) fn default_image_graph() -> PathBuf {
    let registry = Registry::open(&home());
    registry.resolve_or_install("efficientnet-lite0", false, &crate::fetch::silent).unwrap().graph()
}

/// The home of the integration tests, with the runtime in it.
pub(crate) fn runtime_home() -> Home {
    runtime();
    home()
}

/// The home of the integration tests, so that the runtime and the model are fetched once.
fn home() -> Home {
    match std::env::var_os("DEBUT_HOME") {
        Some(home) if !home.is_empty() => Home::at(home),
        _ => Home::at(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp/debut-home")),
    }
}

/// A copy of a reference model to damage.
pub(crate) fn copy(name: &str) -> TempDir {
    let target = tempfile::tempdir().unwrap();
    copy_folder(&reference_folder(name), target.path());
    target
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
