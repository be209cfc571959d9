//! `classify` and `predict` through SQL, on reference models that are taken for classifiers.
//!
//! A version that `finetune` publishes is an ONNX graph with logits and a manifest that says so. Here the graph is a
//! reference model's, whose 32 values a text are read as the logits of 32 labels, so that what comes out is known.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Float32Type;
use arrow::util::pretty::pretty_format_batches;
use datafusion::common::Result;
use debut::engine::Session;
use serde_json::{Value, json};

mod support;

async fn rows(session: &Session, sql: &str) -> Result<RecordBatch> {
    let mut last = None;
    for statement in session.statements(sql)? {
        let frame = session.run(statement).await?;
        let schema = frame.schema().inner().clone();
        last = Some(concat_batches(&schema, &frame.collect().await?)?);
    }
    Ok(last.unwrap())
}

async fn message(session: &Session, sql: &str) -> String {
    rows(session, sql).await.unwrap_err().strip_backtrace()
}

/// Imports a reference model and writes another task into its manifest.
async fn import_as(session: &Session, reference: &str, name: &str, task: &str, labels: &[String]) {
    let source = support::repository("tests/reference/models").join(reference);
    rows(session, &format!("DROP MODEL IF EXISTS {name}; CREATE MODEL {name} FROM '{}'", source.display()))
        .await
        .unwrap();
    let version = session.models().registry().resolve(name).unwrap();
    let path = version.path.join("debut.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["task"] = task.into();
    manifest["dimension"] = 0.into();
    manifest["labels"] = json!(labels);
    manifest["output"]["kind"] = "logits".into();
    write(&path, &manifest);
}

fn write(path: &Path, manifest: &Value) {
    std::fs::write(path, serde_json::to_vec_pretty(manifest).unwrap()).unwrap();
}

fn labels() -> Vec<String> {
    (0..32).map(|number| format!("kind {number}")).collect()
}

/// The texts of the reference and, for each, the place and the softmax of its largest value.
fn expected() -> Vec<(String, usize, f32)> {
    let path = support::repository("tests/reference/models/onnx-sentence-embedding/expected.json");
    let json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let texts = json["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_string());
    let rows = json["embeddings"].as_array().unwrap().iter().map(|row| {
        let values: Vec<f64> = row.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        let best = (0..values.len()).max_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap();
        let sum: f64 = values.iter().map(|value| value.exp()).sum();
        (best, (values[best].exp() / sum) as f32)
    });
    texts.zip(rows).map(|(text, (best, probability))| (text, best, probability)).collect()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_their_probabilities() {
    let home = support::home();
    let session = support::session_at(home);
    import_as(&session, "onnx-sentence-embedding", "kinds", "classification", &labels()).await;

    let expected = expected();
    let values: Vec<_> =
        expected.iter().enumerate().map(|(id, (text, ..))| format!("({id}, {})", quoted(text))).collect();
    let table = format!("(VALUES {}) AS t(id, text)", values.join(", "));
    let sql = format!("SELECT id, classify(text, 'kinds') AS c FROM {table} ORDER BY id");
    let batch = rows(&session, &sql).await.unwrap();
    assert_eq!(batch.num_rows(), expected.len());
    let found = batch.column(1).as_struct();
    let (names, probabilities) = (found.column(0).as_string::<i32>(), found.column(1).as_primitive::<Float32Type>());
    for (row, (text, best, probability)) in expected.iter().enumerate() {
        assert_eq!(names.value(row), format!("kind {best}"), "{text}");
        assert!((probabilities.value(row) - probability).abs() < 1e-5, "{text}: {}", probabilities.value(row));
    }

    let batch =
        rows(&session, "SELECT classify(NULL, 'kinds'), classify('a mug', 'kinds')['label'] IS NULL").await.unwrap();
    assert!(batch.column(0).is_null(0) && !batch.column(1).as_boolean().value(0));
    let sql = format!(
        "SELECT classify(arrow_cast(text, 'Dictionary(Int32, Utf8)'), 'kinds') = classify(text, 'kinds') FROM {table}"
    );
    assert_eq!(rows(&session, &sql).await.unwrap().column(0).as_boolean().true_count(), expected.len());

    let plan = rows(&session, &format!("EXPLAIN SELECT classify(text, 'kinds') FROM {table}")).await.unwrap();
    let plan = pretty_format_batches(&[plan]).unwrap().to_string();
    assert!(plan.contains("InferExec: ") && plan.contains("[classify(text@"), "{plan}");
    let shown = rows(&session, "SELECT task, dimension FROM debut.models WHERE name = 'kinds'").await.unwrap();
    assert_eq!(shown.column(0).as_string::<i32>().value(0), "classification");

    for (sql, part) in [
        ("SELECT embed('a', 'kinds')", "is a classification model and makes no vectors; use classify(text, 'kinds')"),
        ("SELECT try_embed('a', 'kinds')", "use classify(text, 'kinds'), or an embedding model"),
        (
            "SELECT score('a', 'b', 'kinds')",
            "is a classification model and scores no pairs; use classify(text, 'kinds')",
        ),
        ("SELECT predict('a', 'kinds')", "predicts no number; use classify(text, 'kinds')"),
        ("SELECT classify('a')", "is an embedding model and has no labels; use embed(text, 'all-MiniLM-L6-v2')"),
        ("SELECT classify()", "classify needs a text: classify(text [, model])"),
        (
            "SELECT classify('a', 'b', 'c')",
            "the second as a picture, not Utf8 and Utf8: classify(text, image [, model])",
        ),
        ("SELECT classify(1, 'kinds')", "classify reads text, not Int64"),
        ("SELECT classify('a', 7)", "classify: the model is a text literal, not Int64"),
        ("SELECT classify('a', NULL)", "classify: the model is NULL"),
        ("SELECT classify('a', 'kind')", "there is no model 'kind': did you mean 'kinds'"),
    ] {
        let message = message(&session, sql).await;
        assert!(message.contains(part), "{sql}: {message}");
    }

    // A manifest that lost its labels is damaged, not a model without answers.
    let path = session.models().registry().resolve("kinds").unwrap().path.join("debut.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["labels"] = json!([]);
    write(&path, &manifest);
    let message = message(&session, "SELECT classify('a', 'kinds')").await;
    assert!(message.contains("classification model without labels") && message.contains("debut.json"), "{message}");
    rows(&session, "DROP MODEL kinds").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers() {
    let session = support::session_at(support::home());
    import_as(&session, "onnx-cross-encoder", "prices", "regression", &[]).await;
    let sql = "SELECT predict(text, 'prices') AS price FROM (VALUES (1, 'a mug'), (2, NULL), (3, 'a lamp'), (4, 'a mug'), (5, '')) \
               AS t(id, text) ORDER BY id";
    let batch = rows(&session, sql).await.unwrap();
    let prices = batch.column(0).as_primitive::<Float32Type>().clone();
    assert!(prices.is_null(1) && prices.null_count() == 1);
    assert_eq!(prices.value(0), prices.value(3));
    assert_ne!(prices.value(0), prices.value(2));
    // Alone, and folded into a constant while planning.
    let alone = rows(&session, "SELECT predict('a lamp', 'prices')").await.unwrap();
    assert!((alone.column(0).as_primitive::<Float32Type>().value(0) - prices.value(2)).abs() < 1e-5);
    let message = message(&session, "SELECT classify('a', 'prices')").await;
    assert!(message.contains("is a regression model and has no labels; use predict(text, 'prices')"), "{message}");
    rows(&session, "DROP MODEL prices").await.unwrap();
}

/// What transformers gives the labels of pictures (`tests/reference/make_zero_shot.py`).
#[derive(serde::Deserialize)]
struct ZeroShot {
    labels: Vec<String>,
    probabilities: BTreeMap<String, Vec<f32>>,
}

/// The label and the probability that `classify` gives a picture.
async fn zero_shot(session: &Session, picture: &str, labels: &[&String], model: &str) -> (String, f32) {
    let path = support::repository("tests/reference/images").join(picture);
    let labels: Vec<_> = labels.iter().map(|label| quoted(label)).collect();
    let sql = format!("SELECT classify(read_file('{}'), ARRAY[{}], '{model}') AS c", path.display(), labels.join(", "));
    let batch = rows(session, &sql).await.unwrap();
    let found = batch.column(0).as_struct();
    (found.column(0).as_string::<i32>().value(0).to_owned(), found.column(1).as_primitive::<Float32Type>().value(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_get_the_labels_that_transformers_gives_them() {
    let session = support::session_at(support::home());
    for name in ["clip", "siglip"] {
        let folder = support::repository("tests/reference/vision").join(name);
        let expected: ZeroShot =
            serde_json::from_slice(&std::fs::read(folder.join("zero_shot.json")).unwrap()).unwrap();
        let model = format!("zero_shot_{name}");
        rows(&session, &format!("DROP MODEL IF EXISTS {model}; CREATE MODEL {model} FROM '{}'", folder.display()))
            .await
            .unwrap();
        for (picture, probabilities) in &expected.probabilities {
            let places: Vec<usize> = (0..expected.labels.len()).collect();
            // All labels, and each pair of them: the other probabilities show there.
            let pairs = places.iter().flat_map(|a| places[a + 1..].iter().map(|b| vec![*a, *b]));
            for some in std::iter::once(places.clone()).chain(pairs) {
                let best = *some.iter().max_by(|a, b| probabilities[**a].total_cmp(&probabilities[**b])).unwrap();
                let all: f32 = some.iter().map(|place| probabilities[*place]).sum();
                // SigLIP judges each label by itself.
                let wanted = if name == "clip" { probabilities[best] / all } else { probabilities[best] };
                let labels: Vec<_> = some.iter().map(|place| &expected.labels[*place]).collect();
                let (label, probability) = zero_shot(&session, picture, &labels, &model).await;
                assert_eq!(label, expected.labels[best], "{name}, {picture}, {labels:?}");
                assert!(
                    (probability - wanted).abs() < 1e-4,
                    "{name}, {picture}, {labels:?}: {probability}, not {wanted}"
                );
            }
        }
        rows(&session, &format!("DROP MODEL {model}")).await.unwrap();
    }
}
