//! Encoders and batches for tests: the small reference models, MiniLM, and the formulas of
//! `tests/reference/make_training.py`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use debut_udfs::model::{Modality, Task};
use ort::environment::Environment;
use tempfile::TempDir;

use crate::inference::fixtures;
use crate::inference::runtime::Target;
use crate::onnx::architectures::build;
use crate::onnx::file::read;
use crate::onnx::graph::{GraphBuilder, Value};
use crate::onnx::weights::Weights;
use crate::registry::manifest::{GraphOutput, Manifest, OutputKind, Pooling};
use crate::train::encoder::{Encoder, normalize};
use crate::train::method::{self, Method};
use crate::train::optimizer::Optimizer;
use crate::train::parameter::Parameter;
use crate::train::step::{EvalSession, Feed, Precision, Settings, StepSession, TrainGraph};

pub(super) const PAIRS: usize = 32;
pub(super) const TOKENS: usize = 16;
const SCALE: f32 = 20.0;

pub(super) fn environment() -> &'static Environment {
    fixtures::runtime().environment()
}

/// A model version in a folder.
pub(super) struct Version {
    folder: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) vocabulary: usize,
    _temporary: Option<TempDir>,
}

impl Version {
    pub(super) fn open(&self) -> Encoder {
        let path = self.folder.join(&self.manifest.graph);
        Encoder::open(read(&path).unwrap(), path.parent().unwrap(), &self.manifest).unwrap()
    }
}

fn manifest(graph: &str, dimension: usize) -> Manifest {
    Manifest {
        task: Task::Embedding,
        modality: Modality::Text,
        text_tower: None,
        dimension,
        labels: Vec::new(),
        recommender: None,
        trained_until: None,
        image_model: None,
        training: None,
        architecture: "bert".into(),
        graph: graph.into(),
        output: GraphOutput { name: "last_hidden_state".into(), kind: OutputKind::TokenEmbeddings },
        pooling: Pooling::Mean,
        normalize: true,
        needs_vnni: false,
        max_tokens: 48,
        picture: None,
        prompts: BTreeMap::new(),
        source: "test".into(),
        weights_sha256: String::new(),
        fingerprint: "0".repeat(16),
        created_at: 0,
    }
}

/// The small model of that name, imported from safetensors.
pub(super) fn small(name: &str) -> Version {
    let source = fixtures::reference_folder(name);
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(source.join("config.json")).unwrap()).unwrap();
    let weights = Weights::open(&source).unwrap();
    let folder = tempfile::tempdir().unwrap();
    build(&config, &weights, None).unwrap().write(&weights, &folder.path().join("model.onnx")).unwrap();
    Version {
        folder: folder.path().to_owned(),
        manifest: manifest("model.onnx", 32),
        vocabulary: config["vocab_size"].as_u64().unwrap() as usize,
        _temporary: Some(folder),
    }
}

/// A small model that an exporter wrote.
pub(super) fn exported(name: &str, graph: &str) -> Version {
    let folder = fixtures::reference_folder(name);
    Version { folder, manifest: manifest(graph, 32), vocabulary: 300, _temporary: None }
}

/// MiniLM, the default model.
pub(super) fn minilm() -> Version {
    let graph = fixtures::default_graph();
    let name = graph.file_name().unwrap().to_string_lossy().into_owned();
    let folder = graph.parent().unwrap().to_owned();
    Version { folder, manifest: manifest(&name, 384), vocabulary: 30522, _temporary: None }
}

/// The batch of `make_training.py`.
pub(super) fn batch(vocabulary: usize, number: usize) -> Vec<Feed> {
    let first = (vocabulary / 10).min(1000);
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    for row in 0..2 * PAIRS {
        let length = 8 + (row * 5 + number) % 9;
        for place in 0..TOKENS {
            let id = first + (row * 7919 + place * 104_729 + row * place * 31 + number * 613) % (vocabulary - first);
            let token = i64::from(place < length);
            ids.push(id as i64 * token);
            mask.push(token);
        }
    }
    feeds(ids, mask, 2 * PAIRS, TOKENS)
}

pub(super) fn feeds(ids: Vec<i64>, mask: Vec<i64>, texts: usize, tokens: usize) -> Vec<Feed> {
    let types = vec![0; ids.len()];
    [("input_ids", ids), ("attention_mask", mask), ("token_type_ids", types)]
        .map(|(name, values)| Feed::i64(name, &[texts, tokens], values))
        .into()
}

/// In-batch contrastive loss: the first half of the texts against the second.
pub(super) fn contrastive(graph: &mut GraphBuilder, embeddings: &Value, pairs: usize) -> Value {
    graph.scope("contrastive");
    let unit = normalize(graph, embeddings);
    let mut half = |start: i64, end: i64| {
        let (start, end, axis) = (graph.list_i64(&[start]), graph.list_i64(&[end]), graph.list_i64(&[0]));
        graph.node("Slice", &[&unit, &start, &end, &axis], vec![])
    };
    let (left, right) = (half(0, pairs as i64), half(pairs as i64, 2 * pairs as i64));
    let right = graph.transpose(&right, &[1, 0]);
    let cosines = graph.matmul(&left, &right);
    let scale = graph.scalar_f32(SCALE);
    let scores = graph.mul(&cosines, &scale);
    let log = graph.node("LogSoftmax", &[&scores], vec![crate::onnx::graph::attribute_int("axis", -1)]);
    let own = (0..pairs * pairs).map(|place| if place % (pairs + 1) == 0 { -1.0 / pairs as f32 } else { 0.0 });
    let own = graph.tensor_f32("contrastive/own", &[pairs, pairs], &own.collect::<Vec<_>>());
    let chosen = graph.mul(&log, &own);
    graph.node("ReduceSum", &[&chosen], vec![crate::onnx::graph::attribute_int("keepdims", 0)])
}

/// A training of `method` with the contrastive loss.
pub(super) struct Training {
    pub(super) graph: TrainGraph,
    pub(super) session: StepSession,
}

pub(super) fn settings(optimizer: Optimizer) -> Settings {
    Settings { optimizer, clip: None, accumulate: false, seed: 7 }
}

pub(super) fn adamw(weight_decay: f64) -> Optimizer {
    Optimizer::AdamW { weight_decay }
}

pub(super) fn graph(
    version: &Version,
    method: &Method,
    settings: Settings,
    pairs: usize,
    change: impl FnOnce(&mut [Parameter]),
) -> TrainGraph {
    let mut encoder = version.open();
    let mut parameters = method::apply(method, &mut encoder, 7).unwrap();
    change(&mut parameters);
    let pooled = encoder.embeddings.clone();
    let loss = contrastive(&mut encoder.graph, &pooled, pairs);
    TrainGraph::build(encoder, parameters, &loss, &[pooled], settings).unwrap()
}

impl Training {
    pub(super) fn new(
        version: &Version,
        method: &Method,
        settings: Settings,
        change: impl FnOnce(&mut [Parameter]),
    ) -> Self {
        let graph = graph(version, method, settings, PAIRS, change);
        let session = StepSession::open(&graph, environment(), &Target::Cpu, Precision::Full).unwrap();
        Self { graph, session }
    }

    pub(super) fn evaluation(&self) -> EvalSession {
        EvalSession::open(&self.graph, environment(), &Target::Cpu, Precision::Full).unwrap()
    }

    pub(super) fn losses(&mut self, feeds: &[Feed], rate: f32, steps: usize) -> Vec<f32> {
        (0..steps).map(|_| self.session.step(feeds, rate, true).unwrap().loss).collect()
    }
}
