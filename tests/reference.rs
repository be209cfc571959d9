//! Numbers against trusted implementations, through SQL.
//!
//! - 200 vectors of sentence-transformers for all-MiniLM-L6-v2, to 1e-5 (`tests/reference/make_minilm.py`);
//! - small random models of every architecture that is imported, against `transformers` and sentence-transformers
//!   (`tests/reference/make_models.py`).

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Field, Float32Type, Schema};
use debut::engine::Session;
use debut::home::Home;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use sha2::{Digest, Sha256};

mod support;

/// Largest difference of any value that is still equal: rounding in another order, over the layers of a model.
const TOLERANCE: f32 = 1e-5;

async fn run(session: &Session, sql: &str) -> Vec<RecordBatch> {
    let mut last = Vec::new();
    for statement in session.statements(sql).unwrap() {
        last = session.run(statement).await.unwrap_or_else(|error| panic!("{sql}: {error}")).collect().await.unwrap();
    }
    last
}

fn register(session: &Session, table: &str, columns: Vec<(&str, Vec<Option<String>>)>) {
    let fields = columns.iter().map(|(name, _)| Field::new(*name, arrow::datatypes::DataType::Utf8, true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = columns.into_iter().map(|(_, texts)| Arc::new(StringArray::from(texts)) as ArrayRef).collect();
    session.context().register_batch(table, RecordBatch::try_new(schema, columns).unwrap()).unwrap();
}

/// The rows of a column of vectors, in order.
fn vectors(batches: &[RecordBatch], column: usize) -> Vec<Vec<f32>> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in batch.column(column).as_fixed_size_list().iter() {
            rows.push(row.expect("no NULL vectors").as_primitive::<Float32Type>().values().to_vec());
        }
    }
    rows
}

fn largest_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn normalised(vector: &[f32]) -> Vec<f32> {
    let norm = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    vector.iter().map(|value| (f64::from(*value) / norm) as f32).collect()
}

/// Texts and vectors of `minilm.parquet`; texts that are not ours to copy are found by their hash in the shared data.
fn minilm_reference(known: &HashMap<String, String>) -> Vec<(String, Vec<f32>)> {
    let file = File::open(support::repository("tests/reference/minilm.parquet")).unwrap();
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let texts = batch.column_by_name("text").unwrap().as_string::<i32>().clone();
        let hashes = batch.column_by_name("sha256").unwrap().as_string::<i32>().clone();
        let embeddings = vectors(&[batch.project(&[batch.schema().index_of("embedding").unwrap()]).unwrap()], 0);
        for (row, embedding) in embeddings.into_iter().enumerate() {
            let text = if texts.is_valid(row) {
                Some(texts.value(row).to_string())
            } else {
                known.get(hashes.value(row)).cloned()
            };
            if let Some(text) = text {
                rows.push((text, embedding));
            }
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn minilm_equals_sentence_transformers() {
    let session = support::session();
    let mut known = HashMap::new();
    if let Some(retail) = support::shared_data("online_retail.parquet") {
        let sql = format!("SELECT DISTINCT description FROM '{}' WHERE description IS NOT NULL", retail.display());
        for batch in run(&session, &sql).await {
            let texts = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
            for text in texts.as_string::<i32>().iter().flatten() {
                let hash = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                known.insert(hash, text.to_string());
            }
        }
    }
    let reference = minilm_reference(&known);
    assert_eq!(reference.len(), if known.is_empty() { 100 } else { 200 });

    register(&session, "texts", vec![("t", reference.iter().map(|(text, _)| Some(text.clone())).collect())]);
    let made = vectors(&run(&session, "SELECT embed(t) FROM texts").await, 0);
    assert_eq!(made.len(), reference.len());
    for ((text, expected), vector) in reference.iter().zip(&made) {
        let difference = largest_difference(vector, expected);
        assert!(difference < TOLERANCE, "{text:?} differs by {difference}");
    }
}

fn expected(model: &str) -> Value {
    let path = support::repository("tests/reference/models").join(model).join("expected.json");
    serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap()
}

fn texts_of(value: &Value) -> Vec<Option<String>> {
    value.as_array().unwrap().iter().map(|text| Some(text.as_str().unwrap().to_string())).collect()
}

fn rows_of(value: &Value) -> Vec<Vec<f32>> {
    let row = |row: &Value| row.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect();
    value.as_array().unwrap().iter().map(row).collect()
}

/// A session in a home of its own, with the runtime of the shared one, and a model imported as `m`.
async fn session_with(model: &str, home: &tempfile::TempDir) -> Session {
    let shared = support::home();
    fs::create_dir_all(shared.runtimes()).unwrap();
    let own = Home::at(home.path());
    fs::create_dir_all(own.root()).unwrap();
    std::os::unix::fs::symlink(shared.runtimes(), own.runtimes()).unwrap();
    let session = support::session_at(own);
    let folder: PathBuf = support::repository("tests/reference/models").join(model);
    run(&session, &format!("CREATE MODEL m FROM '{}'", folder.display())).await;
    run(&session, "SET debut.model = 'm'").await;
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_encoders_equal_transformers() {
    for model in [
        "bert-mean-normalize",
        "bert-five-layers",
        "bert-cls",
        "bert-max",
        "bert-fp16",
        "bert-bf16",
        "bert-prefixed",
        "bert-old-names",
        "bert-gelu-new",
        "bert-relu",
        "roberta-mean",
        "xlm-roberta-mean",
        "distilbert-mean",
        "mpnet-mean",
        "e5-prompts",
        "onnx-last-hidden",
        "onnx-sentence-embedding",
        "onnx-no-token-types",
        "onnx-external",
    ] {
        let home = tempfile::tempdir().unwrap();
        let session = session_with(model, &home).await;
        let expected = expected(model);
        register(&session, "texts", vec![("t", texts_of(&expected["texts"]))]);
        for (prompt, key) in [("", "embeddings"), ("query", "query_embeddings"), ("document", "passage_embeddings")] {
            if expected[key].is_null() {
                continue;
            }
            let sql = format!("SELECT embed(t, 'm', '{prompt}') FROM texts");
            let made = vectors(&run(&session, &sql).await, 0);
            for (row, (vector, expected)) in made.iter().zip(rows_of(&expected[key])).enumerate() {
                // `embed` always normalises; some of the models do not.
                let difference = largest_difference(vector, &normalised(&expected));
                assert!(difference < TOLERANCE, "{model}, {key}, row {row} differs by {difference}");
            }
            assert_eq!(made.len(), expected["texts"].as_array().unwrap().len());
        }
    }
}

/// Trained at a rate of next to nothing, a student gives what transformers gives of the same three layers.
#[tokio::test(flavor = "multi_thread")]
async fn a_student_begins_with_three_layers_of_its_teacher() {
    let expected = expected("bert-five-layers");
    let home = tempfile::tempdir().unwrap();
    let session = session_with("bert-five-layers", &home).await;
    register(&session, "texts", vec![("t", texts_of(&expected["texts"]))]);
    let sql = "CALL finetune(model => 'student', base => 'm', objective => 'distill', student => 'layers', epochs => 1, \
               learning_rate => 1e-12, validation => 0, publish => 'always', examples => (SELECT t AS text FROM texts))";
    run(&session, sql).await;
    let made = vectors(&run(&session, "SELECT embed(t, 'student') FROM texts").await, 0);
    for (vector, kept) in made.iter().zip(rows_of(&expected["kept_embeddings"])) {
        let difference = largest_difference(vector, &kept);
        assert!(difference < TOLERANCE, "differs by {difference}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cross_encoders_equal_transformers() {
    for model in [
        "bert-cross-encoder",
        "roberta-cross-encoder",
        "distilbert-cross-encoder",
        "xlm-roberta-cross-encoder",
        "onnx-cross-encoder",
    ] {
        let home = tempfile::tempdir().unwrap();
        let session = session_with(model, &home).await;
        let expected = expected(model);
        let pairs = expected["pairs"].as_array().unwrap();
        let side = |side: usize| pairs.iter().map(|pair| Some(pair[side].as_str().unwrap().to_string())).collect();
        register(&session, "pairs", vec![("a", side(0)), ("b", side(1))]);
        let mut made = Vec::new();
        for batch in run(&session, "SELECT score(a, b, 'm') FROM pairs").await {
            made.extend(batch.column(0).as_primitive::<Float32Type>().values().iter().copied());
        }
        let logits = expected["logits"].as_array().unwrap();
        assert_eq!(made.len(), logits.len());
        for (row, (score, logit)) in made.iter().zip(logits).enumerate() {
            let logit = logit.as_f64().or_else(|| logit[0].as_f64()).unwrap();
            let difference = (f64::from(*score) - 1.0 / (1.0 + (-logit).exp())).abs();
            assert!(difference < f64::from(TOLERANCE), "{model}, pair {row} differs by {difference}");
        }
    }
}
