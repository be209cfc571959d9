//! What each method trains, that the loss falls, and that the exported graph gives what the training graph gave.

use std::collections::BTreeSet;

use ort::session::Session;
use ort::value::Tensor;

use super::fixtures::{PAIRS, TOKENS, Training, Version, adamw, batch, environment, exported, settings, small};
use crate::onnx::file::{read, write};
use crate::train::encoder::Encoder;
use crate::train::method::{self, Method};
use crate::train::step::FeedValues;

fn methods() -> Vec<Method> {
    let targets = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    vec![
        Method::BitFit,
        Method::Lora { rank: 4, alpha: 8.0, dropout: 0.0, targets: vec![] },
        Method::Lora { rank: 4, alpha: 4.0, dropout: 0.1, targets: targets(&["all"]) },
        Method::Adapter { width: 4 },
        Method::Prefix { length: 3 },
        Method::AdaLora { rank: 3, alpha: 4.0, targets: vec![] },
        Method::TopLayers { layers: 1 },
        Method::Full,
    ]
}

fn versions() -> Vec<(&'static str, Version)> {
    vec![
        ("bert", small("bert-mean-normalize")),
        ("distilbert", small("distilbert-mean")),
        ("mpnet", small("mpnet-mean")),
        ("roberta", small("roberta-mean")),
        ("five layers", small("bert-five-layers")),
        ("exported bert", exported("onnx-last-hidden", "onnx/model.onnx")),
        ("exported roberta", exported("onnx-no-token-types", "model.onnx")),
    ]
}

/// Vectors of the batch as the model written by `encoder` gives them, pooled by the graph itself.
fn score(encoder: Encoder, version: &Version) -> Vec<f32> {
    let width = encoder.dimension;
    let pooled = encoder.embeddings.clone();
    let (model, weights) = encoder.score_head(&pooled, "vectors", width).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    write(model, &path, &weights).unwrap();
    // What is written must be whole: no weight stays in the base version's folder.
    let written = read(&path).unwrap();
    crate::onnx::check_external_data(&written, folder.path()).unwrap();
    let mut session = Session::builder(environment()).unwrap().commit_from_file(&path).unwrap();
    let names = session.inputs().iter().map(|input| input.name().to_owned()).collect::<Vec<_>>();
    let inputs = batch(version.vocabulary, 0).into_iter().filter(|feed| names.contains(&feed.name)).map(|feed| {
        let FeedValues::I64(values) = feed.values else {
            return (feed.name, Tensor::<i64>::from_array(([0usize], vec![])).unwrap());
        };
        (feed.name, Tensor::from_array(([2 * PAIRS, TOKENS], values)).unwrap())
    });
    let outputs = session.run(inputs.collect::<Vec<_>>()).unwrap();
    outputs["vectors"].try_extract_tensor::<f32>().unwrap().1.to_vec()
}

#[test]
fn the_loss_falls_and_the_exported_graph_gives_the_same() {
    for (name, version) in versions() {
        let base = score(version.open(), &version);
        let of_layers = Some(Method::Layers).filter(|_| name == "five layers");
        for method in methods().into_iter().chain(of_layers) {
            let mut training = Training::new(&version, &method, settings(adamw(0.0)), |_| {});
            let feeds = batch(version.vocabulary, 0);
            let losses = training.losses(&feeds, 5e-3, 8);
            assert!(losses[7] < losses[0], "{name} {method}: {losses:?}");

            let mut evaluation = training.evaluation();
            let found = evaluation.run(&mut training.session, &feeds).unwrap();
            let trained = training.session.parameters().unwrap();
            let trained = trained.into_iter().map(|(name, _, values)| (name, values));
            let exported = score(method::export(&method, version.open(), trained).unwrap(), &version);
            let vectors = &found.outputs[0].2;
            let largest = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            assert_eq!(vectors.len(), exported.len());
            assert!(largest(vectors, &exported) < 2e-5, "{name} {method}: {}", largest(vectors, &exported));
            assert!(largest(&base, &exported) > 1e-3, "{name} {method} changed nothing");
        }
    }
}

#[test]
fn without_a_step_nothing_changes() {
    let version = small("bert-mean-normalize");
    let base = score(version.open(), &version);
    // Prefixes take a share of the attention from the first step on; all others begin at the model as it was.
    for method in methods().into_iter().filter(|method| !matches!(method, Method::Prefix { .. })) {
        let parameters = method::apply(&method, &mut version.open(), 1).unwrap();
        let first = parameters.into_iter().map(|parameter| (parameter.name, parameter.values));
        assert_eq!(score(method::export(&method, version.open(), first).unwrap(), &version), base, "{method}");
    }
}

#[test]
fn the_scoring_graph_keeps_its_output() {
    let version = small("bert-mean-normalize");
    for method in methods() {
        let parameters = method::apply(&method, &mut version.open(), 1).unwrap();
        let values = parameters.into_iter().map(|parameter| (parameter.name, parameter.values));
        let (model, _) = method::export(&method, version.open(), values).unwrap().score().unwrap();
        let graph = model.graph.unwrap();
        assert_eq!(graph.output.iter().map(|output| output.name()).collect::<Vec<_>>(), ["last_hidden_state"]);
        let inputs = graph.input.iter().map(|input| input.name()).collect::<BTreeSet<_>>();
        assert_eq!(inputs, BTreeSet::from(["input_ids", "attention_mask", "token_type_ids"]), "{method}");
    }
}

#[test]
fn methods_train_what_they_say() {
    let version = small("bert-mean-normalize");
    let names = |method: Method| {
        let parameters = method::apply(&method, &mut version.open(), 1).unwrap();
        parameters.into_iter().map(|parameter| parameter.name).collect::<Vec<_>>()
    };
    assert!(names(Method::Head).is_empty());
    let full = names(Method::Full);
    assert_eq!(full.len(), 2 * 16 + 2);
    assert!(full.iter().all(|name| !name.contains("_embeddings")));
    let biases = names(Method::BitFit);
    assert_eq!(biases.len(), 2 * 8 + 1);
    assert!(biases.iter().all(|name| name.ends_with(".bias")), "{biases:?}");
    let top = names(Method::TopLayers { layers: 1 });
    assert!(top.len() == 16 && top.iter().all(|name| name.starts_with("encoder.layer.1.")), "{top:?}");
    let lora = names(Method::Lora { rank: 2, alpha: 2.0, dropout: 0.0, targets: vec![] });
    assert_eq!(lora.len(), 2 * 2 * 2);
    assert_eq!(lora[0], "encoder.layer.0.attention.self.query.lora_A");
    let five = small("bert-five-layers");
    let kept = method::apply(&Method::Layers, &mut five.open(), 1).unwrap();
    let kept = kept.into_iter().map(|parameter| parameter.name).collect::<Vec<_>>();
    assert_eq!(kept.len(), 3 * 16 + 2);
    assert!(
        ["encoder.layer.1.", "encoder.layer.3."].iter().all(|gone| kept.iter().all(|name| !name.starts_with(gone)))
    );
    // Exporters hide the names of matrices; the nodes still have them.
    let foreign = exported("onnx-last-hidden", "onnx/model.onnx");
    let method = Method::Lora { rank: 2, alpha: 2.0, dropout: 0.0, targets: vec![] };
    let parameters = method::apply(&method, &mut foreign.open(), 1).unwrap();
    assert_eq!(parameters[0].name, "model.encoder.layer.0.attention.self.query.lora_A");
    let top = method::apply(&Method::TopLayers { layers: 1 }, &mut foreign.open(), 1).unwrap();
    assert_eq!(top.len(), 16);
}

#[test]
fn what_cannot_be_is_refused() {
    let version = small("bert-mean-normalize");
    let error = |method: Method| method::apply(&method, &mut version.open(), 1).unwrap_err().to_string();
    let lora = |rank, targets: &[&str]| {
        let targets = targets.iter().map(|target| (*target).to_owned()).collect();
        error(Method::Lora { rank, alpha: 1.0, dropout: 0.0, targets })
    };
    assert!(lora(33, &[]).contains("rank is 33, but must be from 1 to 32"), "{}", lora(33, &[]));
    let unknown = lora(2, &["gate"]);
    assert!(unknown.contains("target 'gate'") && unknown.contains("attention.self.query"), "{unknown}");
    assert!(error(Method::TopLayers { layers: 3 }).contains("from 1 to 2"));
    let few = error(Method::Layers);
    assert!(few.contains("'static', or for a base of more than 3 layers; this one's weights name 2"), "{few}");
    assert!(error(Method::Adapter { width: 0 }).contains("width is 0"));
    assert!(error(Method::Prefix { length: 0 }).contains("length is 0"));
}

#[test]
fn a_delta_gives_what_the_merged_version_gives() {
    let largest = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    for (name, version) in versions() {
        let method = Method::Lora { rank: 2, alpha: 4.0, dropout: 0.0, targets: vec!["all".into()] };
        let parameters = method::apply(&method, &mut version.open(), 1).unwrap();
        let count = parameters.len();
        // `B` begins with zeros, which would make no difference.
        let values = parameters.into_iter().map(|parameter| {
            let some = (0..parameter.values.len()).map(|place| (place % 7) as f32 * 0.02 - 0.05);
            (parameter.name, some.collect::<Vec<_>>())
        });
        let values = values.collect::<Vec<_>>();
        let merged = score(method::export(&method, version.open(), values.clone()).unwrap(), &version);
        assert!(largest(&score(version.open(), &version), &merged) > 1e-3, "{name}");
        let apart = score(method::export_delta(&method, version.open(), values.clone()).unwrap(), &version);
        assert!(largest(&merged, &apart) < 2e-5, "{name}: {}", largest(&merged, &apart));

        // Written beside links to the base's weights, and opened to be trained again, it is as if it had been merged.
        let (mut graph, weights) = method::export_delta(&method, version.open(), values).unwrap().score().unwrap();
        let folder = tempfile::tempdir().unwrap();
        weights.link(&mut graph, folder.path()).unwrap();
        let path = folder.path().join("model.onnx");
        write(graph, &path, &weights).unwrap();
        let open = || Encoder::open(read(&path).unwrap(), folder.path(), &version.manifest).unwrap();
        assert!(largest(&merged, &score(open(), &version)) < 2e-5, "{name}");
        assert_eq!(
            method::apply(&method, &mut open(), 1).unwrap().len(),
            count,
            "{name}: no product is taken for a layer"
        );
    }
}
