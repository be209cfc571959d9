//! A student beside PyTorch's numbers, beside the plain sum, and from texts to a version.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use ort::session::Session;
use ort::value::TensorRef;
use prost::Message;
use serde::Deserialize;

use super::features::Features;
use super::graph::{OUTPUT, build};
use super::student::{Bags, Student, embed};
use crate::inference::fixtures::runtime;
use crate::linalg::reference::assert_close;
use crate::random::Random;

/// What `torch.nn.EmbeddingBag` and `torch.optim.SparseAdam` make of the same (`tests/reference/make_distill.py`).
#[derive(Deserialize)]
struct Case {
    dimension: usize,
    rate: f64,
    bags: Vec<Vec<u32>>,
    targets: Vec<f32>,
    batches: Vec<Vec<u32>>,
    first: Vec<f32>,
    losses: Vec<f64>,
    last: Vec<f32>,
}

#[test]
fn steps_are_those_of_pytorch() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/distill.json");
    let case: Case = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let bags = Bags::new(case.bags);
    let mut student = Student::new(case.dimension, case.first);
    let mut losses = Vec::new();
    for batch in &case.batches {
        losses.push(student.step(&bags, &case.targets, batch, case.rate) as f32);
    }
    let wanted = case.losses.iter().map(|loss| *loss as f32).collect::<Vec<_>>();
    assert_close(&losses, &wanted, 1e-5);
    assert_close(&student.vectors, &case.last, 1e-5);
}

#[test]
fn a_text_without_vectors_teaches_nothing() {
    let bags = Bags::new([vec![], vec![0]]);
    let mut student = Student::new(2, vec![1.0, 0.0]);
    assert_eq!(student.step(&bags, &[1.0, 0.0, 1.0, 0.0], &[0, 1], 0.1), 0.5);
    assert_eq!(student.vectors, [1.0, 0.0]);
    assert_eq!(embed(&student.vectors, 2, &[]), [0.0, 0.0]);
}

#[test]
fn the_graph_gives_the_plain_sum() {
    let (tokens, dimension) = (50, 6);
    let mut random = Random::new(7, 0);
    let pairs = (0..300).map(|_| (random.below(tokens) as u32, random.below(tokens) as u32));
    let pairs = pairs.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    let lists: [&[(u32, u32)]; 2] = [&pairs, &[]];
    for pairs in lists {
        let features = Features::new(tokens, pairs.to_vec());
        let table = random.uniforms(features.len() * dimension, 1.0);
        let texts = (0..40).map(|row| (0..1 + row % 9).map(|_| random.below(tokens) as u32).collect::<Vec<_>>());
        let texts = texts.collect::<Vec<_>>();
        let longest = 11;
        // Padding looks like a token, and may even make a pair that is listed: the mask says that it is none.
        let mut ids = vec![0i64; texts.len() * longest];
        let mut mask = vec![0i64; texts.len() * longest];
        for (row, text) in texts.iter().enumerate() {
            for (place, id) in text.iter().enumerate() {
                ids[row * longest + place] = i64::from(*id);
                mask[row * longest + place] = 1;
            }
        }
        let model = build(&features, &table, dimension).encode_to_vec();
        let runtime = runtime();
        let mut session = Session::builder(runtime.environment()).unwrap().commit_from_memory(&model).unwrap();
        let shape = [texts.len(), longest];
        let outputs = session
            .run(ort::inputs![
                "input_ids" => TensorRef::from_array_view((shape, ids.as_slice())).unwrap(),
                "attention_mask" => TensorRef::from_array_view((shape, mask.as_slice())).unwrap(),
            ])
            .unwrap();
        let (_, found) = outputs[OUTPUT].try_extract_tensor::<f32>().unwrap();
        let wanted = texts.iter().flat_map(|text| {
            let mut sum = vec![0.0f32; dimension];
            for feature in features.of_text(text) {
                sum.iter_mut().zip(&table[feature as usize * dimension..]).for_each(|(sum, value)| *sum += value);
            }
            sum
        });
        assert_close(found, &wanted.collect::<Vec<_>>(), 1e-5);
    }
}
