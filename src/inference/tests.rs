//! Whole jobs on real sessions: the reference models' expected values, batching, order, cancellation, turns.

#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::thread;

use arrow::array::{BinaryViewArray, StringArray};
use debut_udfs::config::BatchTokens;
use debut_udfs::model::{Input, Job, Modality, Model, Output, Stats};
use futures::executor::block_on;
use proptest::prelude::*;
use serde::Deserialize;

use super::fixtures::{self, reference_folder};
use super::{Error, LoadedModel};
use crate::registry::manifest::Manifest;

/// The largest difference to a reference value that float32 arithmetic in another order explains.
const TOLERANCE: f32 = 1e-5;

/// Models whose graph is ONNX already, each with other inputs, outputs or weights.
const MODELS: [&str; 4] = ["onnx-last-hidden", "onnx-no-token-types", "onnx-sentence-embedding", "onnx-external"];

#[derive(Deserialize)]
struct Expected {
    #[serde(default)]
    texts: Vec<String>,
    #[serde(default)]
    embeddings: Vec<Vec<f32>>,
    #[serde(default)]
    pairs: Vec<(String, String)>,
    #[serde(default)]
    logits: Vec<f32>,
}

fn expected(model: &str) -> Expected {
    let json = std::fs::read(reference_folder(model).join("expected.json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}

fn job(input: Input, max_batch_tokens: usize) -> Job {
    Job { input, prompt: String::new(), max_batch_tokens: BatchTokens::Most(max_batch_tokens), stats: Arc::default() }
}

fn texts<T: AsRef<str>>(texts: &[T]) -> Input {
    Input::Texts(StringArray::from_iter_values(texts))
}

fn run(model: &LoadedModel, input: Input, max_batch_tokens: usize) -> Output {
    let output = block_on(model.run(job(input, max_batch_tokens))).unwrap();
    assert_eq!(output.failures, []);
    output
}

fn assert_close(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < TOLERANCE, "{name}, value {index}: {found} instead of {expected}");
    }
}

fn normalized(mut vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|value| *value /= norm);
    vector
}

#[test]
fn embeddings_equal_the_reference() {
    for name in MODELS {
        let Expected { texts: rows, embeddings, .. } = expected(name);
        let wanted: Vec<f32> = embeddings.into_iter().flat_map(normalized).collect();
        assert_close(name, &run(&fixtures::open(name), texts(&rows), 2048).values, &wanted);
    }
}

#[test]
fn logits_equal_the_reference() {
    let name = "onnx-cross-encoder";
    let Expected { pairs, logits, .. } = expected(name);
    let (left, right): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let input = Input::Pairs(StringArray::from(left), StringArray::from(right));
    assert_close(name, &run(&fixtures::open(name), input, 2048).values, &logits);
}

#[test]
fn counts_what_it_does() {
    let model = fixtures::open("onnx-last-hidden");
    let stats = Arc::new(Stats::of_rows(3));
    let job = Job { stats: Arc::clone(&stats), ..job(texts(&["a red mug", "a lamp", "a lamp"]), 2048) };
    block_on(model.run(job)).unwrap();
    let Stats { rows, tokens, padded_tokens, batches, preprocessor_nanos, session_nanos, row_tokens, .. } = &*stats;
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!((read(rows), read(batches)), (3, 1));
    assert!(read(tokens) >= 3 * 3 && read(padded_tokens) >= read(tokens));
    assert!(read(preprocessor_nanos) > 0 && read(session_nanos) > 0);
    let lengths: Vec<u64> = row_tokens.iter().map(|length| length.load(Ordering::Relaxed).into()).collect();
    assert_eq!((lengths.iter().sum::<u64>(), lengths[1]), (read(tokens), lengths[2]));
    assert!(lengths[0] > lengths[1]);
}

#[test]
fn no_rows_give_no_values() {
    let model = fixtures::open("onnx-last-hidden");
    assert!(run(&model, texts::<&str>(&[]), 2048).values.is_empty());
}

#[test]
fn the_wrong_kind_of_rows_is_refused() {
    let pairs = Input::Pairs(StringArray::from(vec!["a"]), StringArray::from(vec!["b"]));
    let error = block_on(fixtures::open("onnx-last-hidden").run(job(pairs, 2048))).unwrap_err();
    assert!(error.to_string().contains("embedding model"), "{error}");
    let error = block_on(fixtures::open("onnx-cross-encoder").run(job(texts(&["a"]), 2048))).unwrap_err();
    assert!(error.to_string().contains("cross-encoder model"), "{error}");
    for model in ["onnx-last-hidden", "onnx-cross-encoder"] {
        let bytes = Input::Bytes(BinaryViewArray::from(vec![&b"a"[..]]));
        let error = block_on(fixtures::open(model).run(job(bytes, 2048))).unwrap_err();
        assert!(error.to_string().contains("not bytes"), "{error}");
    }
    let pairs = Input::Pairs(StringArray::from(vec!["a"]), StringArray::from(vec!["b", "c"]));
    let error = block_on(fixtures::open("onnx-cross-encoder").run(job(pairs, 2048))).unwrap_err();
    assert!(error.to_string().contains("1 texts to pair with 2"), "{error}");
}

#[test]
fn a_graph_of_other_inputs_than_the_manifest_says_is_refused() {
    let name = "onnx-last-hidden";
    let bytes = Manifest { modality: Modality::Bytes, ..fixtures::manifest(name) };
    let error = fixtures::open_as(&reference_folder(name), name, &bytes).unwrap_err();
    assert!(matches!(error, Error::Vanished { .. }), "{error}");
    assert!(error.to_string().contains("preprocessor_config.json"), "{error}");
    let copy = fixtures::copy(name);
    let config = r#"{"size": {"height": 8, "width": 8}, "resample": 2, "do_normalize": false}"#;
    std::fs::write(copy.path().join("preprocessor_config.json"), config).unwrap();
    let error = fixtures::open_as(copy.path(), name, &bytes).unwrap_err();
    assert!(matches!(error, Error::Input { .. }), "{error}");
    assert!(error.to_string().contains("Debut makes only pixel_values, float32 [batch, 3, 8, 8] for it"), "{error}");
}

#[test]
fn a_file_that_vanished_is_named() {
    for file in ["tokenizer.json", "onnx/model.onnx"] {
        let copy = fixtures::copy("onnx-last-hidden");
        std::fs::remove_file(copy.path().join(file)).unwrap();
        let error = fixtures::open_at(copy.path(), "onnx-last-hidden").unwrap_err();
        assert!(matches!(error, Error::Vanished { .. }), "{error}");
        assert!(error.to_string().contains(file), "{error}");
    }
}

#[test]
fn a_damaged_graph_is_an_error() {
    let copy = fixtures::copy("onnx-last-hidden");
    let path = copy.path().join("onnx/model.onnx");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = fixtures::open_at(copy.path(), "onnx-last-hidden").unwrap_err();
    assert!(error.to_string().contains("model.onnx"), "{error}");
}

/// Texts of many lengths, `count` of them.
fn ragged(count: usize) -> Vec<String> {
    let words = ["red", "mug", "lamp", "silver", "spoon", "wooden", "chair", "猫", "unknown-word"];
    (0..count)
        .map(|row| (0..row * 7919 % 40).map(|word| words[(row + word) % words.len()]).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn rows_keep_their_place_across_chunks() {
    let model = fixtures::open("onnx-last-hidden");
    let rows = ragged(5000);
    let together = run(&model, texts(&rows), 2048).values;
    for row in [0, 1, 77, 2047, 2048, 4095, 4096, 4999] {
        let alone = run(&model, texts(&rows[row..=row]), 2048).values;
        assert_close(&format!("row {row}"), &together[row * 32..(row + 1) * 32], &alone);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_batched_row_equals_the_row_alone(
        rows in prop::collection::vec("[a-z]{0,9}( [a-z]{1,9}){0,20}|\\PC{0,20}", 1..40),
        max_batch_tokens in 1usize..600,
    ) {
        static OPENED: LazyLock<[LoadedModel; 2]> =
            LazyLock::new(|| ["onnx-last-hidden", "onnx-sentence-embedding"].map(fixtures::open));
        for model in OPENED.iter() {
            let together = run(model, texts(&rows), max_batch_tokens).values;
            let alone: Vec<f32> = rows.iter().flat_map(|row| run(model, texts(&[row]), 1).values).collect();
            for (together, alone) in together.iter().zip(&alone) {
                prop_assert!((together - alone).abs() < TOLERANCE);
            }
        }
    }
}

/// Polls `future` until `done`, without an executor.
fn poll_until<T>(future: &mut (impl Future<Output = T> + Unpin), done: impl Fn() -> bool) {
    let mut context = Context::from_waker(Waker::noop());
    while !done() {
        assert!(pin!(&mut *future).poll(&mut context).is_pending(), "the job ended too early");
        thread::yield_now();
    }
}

#[test]
fn a_dropped_job_stops_and_the_next_one_runs() {
    let model = fixtures::open("onnx-last-hidden");
    let rows = ragged(20_000);
    let long = job(texts(&rows), 1);
    let stats = Arc::clone(&long.stats);
    let batches = || stats.batches.load(Ordering::Relaxed);
    let mut future = Box::pin(model.run(long));
    poll_until(&mut future, || batches() > 0);
    drop(future);

    // The session's thread takes the next job only after it is done with the batch that was running.
    let expected = run(&model, texts(&["a red mug"]), 2048).values;
    let after = batches();
    assert!(after < rows.len() as u64, "{after} batches ran");
    assert_eq!(run(&model, texts(&["a red mug"]), 2048).values, expected);
    assert_eq!(batches(), after, "a cancelled job went on");
}

#[test]
fn jobs_take_turns() {
    let model = fixtures::open("onnx-last-hidden");
    let long = job(texts(&ragged(20_000)), 1);
    let stats = Arc::clone(&long.stats);
    let mut future = Box::pin(model.run(long));
    poll_until(&mut future, || stats.batches.load(Ordering::Relaxed) > 0);
    // Ends although the other job has thousands of batches in front.
    run(&model, texts(&["a red mug"; 10]), 1);
    assert!(stats.batches.load(Ordering::Relaxed) < 10_000);
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(future.as_mut().poll(&mut context), Poll::Pending));
}
