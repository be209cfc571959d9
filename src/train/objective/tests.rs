//! Every objective against PyTorch: the loss, its gradients and the outputs of whole batches, the heads' first values, and
//! the metrics. The references are made by `tests/reference/make_objectives.py`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::HashSet;

use debut_udfs::finetune::ClassWeights;
use ort::session::{Session, SessionInputValue};
use ort::value::Tensor;
use proptest::prelude::*;
use prost::Message;
use serde::Deserialize;

use super::regression::Regression;
use super::*;
use crate::autodiff::gradients;
use crate::inference::fixtures;
use crate::linalg::dense::Matrix;
use crate::train::data::{Groups, Interactions, Labels, Numbers, Pairs, ScoredPairs, TextImages, Texts};
use crate::train::random::Purpose;
use crate::train::run::top_losses::TopLoss;
use crate::train::step::feed::{Feed, FeedValues};

/// What single precision explains: losses and gradients here are of the order of 1, after some tens of operations.
const TOLERANCE: f64 = 2e-5;
const BCE: finetune::Objective = finetune::Objective::Bce { negatives: 4 };
const BPR: finetune::Objective = finetune::Objective::Bpr { negatives: 4 };

#[derive(Deserialize)]
struct Reference {
    width: usize,
    bce: Case,
    bpr: Case,
    contrastive: Case,
    classification: Case,
    regression: Case,
    similarity: Case,
    text_image: Case,
    text_image_sigmoid: Case,
    distill: Case,
    metrics: Measured,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Case {
    texts: usize,
    embeddings: Vec<f32>,
    head: Vec<Vec<f32>>,
    loss: f64,
    outputs: Vec<f64>,
    embedding_gradient: Vec<f64>,
    head_gradients: Vec<Vec<f64>>,
    user: Vec<u32>,
    text: Vec<u32>,
    other: Vec<u32>,
    inputs: Vec<u32>,
    label: Vec<f32>,
    value: Vec<f32>,
    weight: Vec<f32>,
    class_: Vec<u32>,
    has: Vec<Vec<u32>>,
    anchor: Vec<u32>,
    positive: Vec<u32>,
    negative: Vec<Option<u32>>,
    group: Vec<u32>,
    temperature: f32,
    teacher: Vec<f32>,
    batch: Vec<u32>,
    first: Vec<f64>,
    scores: Vec<f64>,
}

#[derive(Deserialize)]
struct Measured {
    prediction: Vec<f64>,
    truth: Vec<f64>,
    weight: Vec<f64>,
    number: Vec<f64>,
    guess: Vec<usize>,
    label: Vec<usize>,
    auc: f64,
    log_loss: f64,
    spearman: f64,
    pearson: f64,
    macro_f1: f64,
    accuracy: f64,
}

fn reference() -> Reference {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/objectives.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn close(what: &str, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        assert!(error <= TOLERANCE * expected.abs().max(1.0), "{what}, element {at}: {found} instead of {expected}");
    }
}

/// The vectors of some texts, one behind the other.
fn rows(vectors: &[f32], width: usize, texts: &[u32]) -> Vec<f32> {
    texts.iter().flat_map(|text| vectors[*text as usize * width..][..width].to_vec()).collect()
}

fn feed(feed: &Feed) -> (String, SessionInputValue<'static>) {
    let shape = feed.shape.iter().map(|size| *size as i64).collect::<Vec<_>>();
    let value = match &feed.values {
        FeedValues::F32(values) => Tensor::from_array((shape, values.clone())).unwrap().into(),
        FeedValues::I64(values) => Tensor::from_array((shape, values.clone())).unwrap().into(),
    };
    (feed.name.clone(), value)
}

/// Runs a graph that gives `outputs` of any shape.
fn run(mut graph: GraphBuilder, feeds: &[Feed], outputs: &[&Value]) -> Vec<Vec<f32>> {
    let outputs = outputs.iter().map(|output| graph.node("Identity", &[output], vec![])).collect::<Vec<_>>();
    for output in &outputs {
        graph.output(output.name(), DataType::Float, &[]);
    }
    let mut model = graph.finish();
    // The runtime finds out the shapes.
    model.graph.as_mut().unwrap().output.iter_mut().for_each(|output| output.r#type = None);
    let bytes = model.encode_to_vec();
    let mut builder = Session::builder(fixtures::runtime().environment()).unwrap();
    let mut session = builder.commit_from_memory(&bytes).unwrap();
    let result = session.run(feeds.iter().map(feed).collect::<Vec<_>>()).unwrap();
    let read = |output: &Value| result[output.name()].try_extract_tensor::<f32>().unwrap().1.to_vec();
    outputs.iter().map(read).collect()
}

fn declare(graph: &mut GraphBuilder, parameters: &[Parameter]) -> Vec<Value> {
    let declare = |parameter: &Parameter| {
        assert_eq!(parameter.shape.iter().product::<usize>(), parameter.values.len(), "{}", parameter.name);
        let dims = parameter.shape.iter().map(|size| Dim::Fixed(*size)).collect::<Vec<_>>();
        graph.input(&parameter.name, DataType::Float, &dims)
    };
    parameters.iter().map(declare).collect()
}

impl Case {
    fn interactions(&self, users: usize) -> Interactions {
        let has = self.user.iter().copied().zip(self.text.iter().copied()).collect();
        Interactions {
            user: self.user.clone(),
            text: self.text.clone(),
            label: self.label.clone(),
            weight: self.weight.clone(),
            users,
            has: Groups::new(has, users),
            pool: (0..self.texts as u32).collect(),
        }
    }

    fn open(&self, objective: &finetune::Objective, examples: Examples) -> Box<dyn Objective> {
        open(objective, examples, &(0..self.weight.len() as u32).collect::<Vec<_>>(), None, None).unwrap()
    }

    /// What the untrained encoder makes of the texts that the objective asks for.
    fn base(&self, objective: &dyn Objective, width: usize) -> Embeddings {
        Embeddings { dimension: width, values: rows(&self.embeddings, width, &objective.base_inputs()) }
    }

    /// Compares the batch of all examples, or of those named, with the reference.
    fn check(&self, objective: &dyn Objective, width: usize) -> Batch {
        let all = (0..self.weight.len() as u32).collect::<Vec<_>>();
        let examples = if self.batch.is_empty() { &all } else { &self.batch };
        let batch = objective.batch(examples, &mut Purpose::Batch.random(5));
        assert_eq!(batch.inputs.iter().collect::<HashSet<_>>().len(), batch.inputs.len(), "each text once");

        let mut parameters = objective.parameters(&self.base(objective, width));
        assert_eq!(parameters.len(), self.head.len());
        parameters.iter_mut().zip(&self.head).for_each(|(parameter, values)| parameter.values = values.clone());
        let mut graph = GraphBuilder::new("test");
        let embeddings = graph.input("embeddings", DataType::Float, &[Dim::Named("texts"), Dim::Fixed(width)]);
        let head = declare(&mut graph, &parameters);
        let Forward { loss, outputs } = objective.loss(&mut graph, &embeddings, &head);
        let mut sources = vec![embeddings];
        sources.extend(head);
        let gradients = gradients(&mut graph, &loss, &sources).unwrap();
        let mut wanted = vec![&loss, &outputs[0]];
        wanted.extend(gradients.iter().map(|gradient| gradient.as_ref().unwrap()));
        let mut feeds = batch.feeds.clone();
        let shape = [batch.inputs.len(), width];
        feeds.push(Feed::f32("embeddings", &shape, rows(&self.embeddings, width, &batch.inputs)));
        feeds.extend(parameters.iter().map(|one| Feed::f32(&one.name, &one.shape, one.values.clone())));
        let found = run(graph, &feeds, &wanted);

        close("loss", &found[0], &[self.loss]);
        let gradient = self.embedding_gradient.iter().map(|value| *value as f32).collect::<Vec<_>>();
        let expected = rows(&gradient, width, &batch.inputs).into_iter().map(f64::from).collect::<Vec<_>>();
        close("gradient of the embeddings", &found[2], &expected);
        for ((found, expected), parameter) in found[3..].iter().zip(&self.head_gradients).zip(&parameters) {
            close(&parameter.name, found, expected);
        }
        let weight = examples.iter().map(|example| self.weight[*example as usize]).sum::<f32>();
        // Where more is drawn than the reference has, there are none to compare with.
        if !self.outputs.is_empty() {
            close("outputs", &found[1], &self.outputs);
            // Class weights come on top of the examples' own.
            assert!(batch.weight == weight || !self.class_.is_empty());
        }
        let outputs = [found[1].clone()];
        let scores = objective.evaluate(&[Scored { batch: &batch, outputs: &outputs }]);
        assert_eq!(scores[0].name, objective.metric().name);
        assert!(scores.iter().all(|score| score.value.is_finite()), "{scores:?}");
        batch
    }
}

#[test]
fn bce_is_that_of_pytorch() {
    let Reference { width, bce: case, .. } = reference();
    let objective = case.open(&BCE, Examples::Interactions(case.interactions(3)));
    let batch = case.check(objective.as_ref(), width);
    assert_eq!(batch.inputs.len(), 5);
}

#[test]
fn bpr_is_that_of_pytorch() {
    let Reference { width, bpr: case, .. } = reference();
    for negatives in [1, 3] {
        let objective = finetune::Objective::Bpr { negatives };
        let objective = case.open(&objective, Examples::Interactions(case.interactions(2)));
        let mut once = Case { outputs: Vec::new(), ..reference().bpr };
        if negatives == 1 {
            once.outputs.clone_from(&case.outputs);
        }
        once.check(objective.as_ref(), width);
    }
}

#[test]
fn contrastive_is_that_of_pytorch() {
    let Reference { width, contrastive: case, .. } = reference();
    let has = (0u32..).zip(&case.has).flat_map(|(group, texts)| texts.iter().map(move |text| (group, *text))).collect();
    let pairs = Pairs {
        anchor: case.anchor.clone(),
        positive: case.positive.clone(),
        negative: case.negative.clone(),
        weight: case.weight.clone(),
        group: case.group.clone(),
        has: Groups::new(has, 3),
    };
    let objective = finetune::Objective::Contrastive { temperature: Some(f64::from(case.temperature)) };
    let objective = case.open(&objective, Examples::Pairs(pairs));
    case.check(objective.as_ref(), width);
}

#[test]
fn classification_is_that_of_pytorch() {
    let Reference { width, classification: case, .. } = reference();
    let classes = Labels {
        input: case.text.clone(),
        class: case.class_.clone(),
        weight: case.weight.clone(),
        labels: ["a", "b", "c"].map(str::to_owned).to_vec(),
        before: Vec::new(),
    };
    let objective = finetune::Objective::Classification { class_weights: ClassWeights::Balanced };
    let objective = case.open(&objective, Examples::Labels(classes));
    case.check(objective.as_ref(), width);

    let logits = first_scores(&case, objective.as_ref(), width);
    let probabilities = logits.chunks_exact(3).flat_map(|logits| {
        let sum = logits.iter().map(|logit| logit.exp()).sum::<f32>();
        logits.iter().map(move |logit| logit.exp() / sum).collect::<Vec<_>>()
    });
    let probabilities = rows(&probabilities.collect::<Vec<_>>(), 3, &case.text);
    close("first probabilities", &probabilities, &case.first);
    assert!(matches!(objective.product(), Product::Classification { labels } if labels == ["a", "b", "c"]));
}

#[test]
fn regression_is_that_of_pytorch() {
    let Reference { width, regression: case, .. } = reference();
    let numbers = Numbers { input: case.text.clone(), value: case.value.clone(), weight: case.weight.clone() };
    let objective = case.open(&finetune::Objective::Regression, Examples::Numbers(numbers.clone()));
    case.check(objective.as_ref(), width);
    close("scores", &scores(&case, objective.as_ref(), width, &case.head), &case.scores);

    let alike = Examples::Numbers(Numbers { weight: vec![1.0; 7], ..numbers });
    let objective = case.open(&finetune::Objective::Regression, alike);
    let first = first_scores(&case, objective.as_ref(), width);
    close("first predictions", &rows(&first, 1, &case.text), &case.first);
}

/// Each example's loss alone, whatever its class counts; one without weight is none.
#[test]
fn the_highest_losses_are_those_of_the_examples() {
    let classes = Labels {
        input: vec![4, 9, 4, 7],
        class: vec![0, 1, 1, 0],
        weight: vec![1.0, 3.0, 1.0, 0.0],
        labels: vec!["a".into(), "b".into()],
        before: Vec::new(),
    };
    let objective = finetune::Objective::Classification { class_weights: ClassWeights::Balanced };
    let objective = super::open(&objective, Examples::Labels(classes), &[0, 1, 2, 3], None, None).unwrap();
    let batch = objective.batch(&[3, 0, 1, 2], &mut Random::new(1, 0));
    let outputs = [vec![0.0, 9.0, 0.0, 1.0, 0.5, 0.0, -2.0, 3.0]];
    let top = objective.top_losses(&[Scored { batch: &batch, outputs: &outputs }], 2);
    let found = |one: &TopLoss| (one.input, one.label.clone(), one.predicted.clone());
    assert_eq!(top.iter().map(found).collect::<Vec<_>>(), [(4, "a".into(), "b".into()), (9, "b".into(), "a".into())]);
    // log(1 + e) and the sigmoid of 1; log(1 + e^.5).
    let numbers = [top[0].loss, top[0].probability.unwrap(), top[1].loss].map(|number| number as f32);
    close("losses", &numbers, &[1.313_261_7, 0.731_058_6, 0.974_077]);

    let numbers = Numbers { input: vec![2, 5], value: vec![10.0, 20.0], weight: vec![1.0; 2] };
    let objective =
        super::open(&finetune::Objective::Regression, Examples::Numbers(numbers), &[0, 1], None, None).unwrap();
    let batch = objective.batch(&[0, 1], &mut Random::new(1, 0));
    let top = objective.top_losses(&[Scored { batch: &batch, outputs: &[vec![-1.0, 0.0]] }], 9);
    let found = top.iter().map(|one| (one.input, one.loss, one.label.as_str(), one.predicted.as_str()));
    assert_eq!(found.collect::<Vec<_>>(), [(5, 25.0, "20", "15"), (2, 0.0, "10", "10")]);
}

/// An encoder that gives one vector, whatever the text, up to rounding: the number that all texts get is the mean.
#[test]
fn regression_starts_at_the_mean_where_vectors_do_not_differ() {
    let count = 9;
    let values = (0..count).map(|example| 10.0 + example as f32).collect::<Vec<_>>();
    let numbers = Numbers { input: (0..count).collect(), value: values, weight: vec![0.3; count as usize] };
    let objective = Regression::new(numbers, &(0..count).collect::<Vec<_>>());
    let embeddings = |step: f32| {
        let vector = |example: u32| [0.3, -0.7, 0.1 + step * (example % 4) as f32];
        Embeddings { dimension: 3, values: (0..count).flat_map(vector).collect() }
    };
    for step in [0.0, 1e-7, 1e-6] {
        let parameters = objective.parameters(&embeddings(step));
        assert!(parameters.iter().all(|one| one.values.iter().all(|value| *value == 0.0)), "{step}: {parameters:?}");
    }
    // What is small but no rounding counts.
    let parameters = objective.parameters(&embeddings(1e-3));
    assert!(parameters[0].values.iter().any(|value| value.abs() > 1.0), "{parameters:?}");
}

#[test]
fn similarity_is_that_of_pytorch() {
    let Reference { width, similarity: case, .. } = reference();
    let pairs = ScoredPairs {
        text: case.text.clone(),
        other: case.other.clone(),
        value: case.value.clone(),
        weight: case.weight.clone(),
    };
    case.check(case.open(&finetune::Objective::Similarity, Examples::ScoredPairs(pairs)).as_ref(), width);
}

#[test]
fn distill_is_that_of_pytorch() {
    let Reference { width, distill: case, .. } = reference();
    let texts = Examples::Texts(Texts { input: case.text.clone() });
    let base = Some(Embeddings { dimension: width, values: case.teacher.clone() });
    let objective = finetune::Objective::Distill { student: finetune::Student::Layers };
    let objective = open(&objective, texts, &[0, 1, 2, 3, 4], None, base).unwrap();
    let batch = case.check(objective.as_ref(), width);
    // The teacher itself has all its neighbours, and a text that stands twice is one.
    let vectors = Matrix::new(5, width, case.teacher.clone());
    let mut vectors = vectors.gather(&case.text);
    vectors.normalize_rows();
    let scores = objective.evaluate(&[Scored { batch: &batch, outputs: &[vectors.values().to_vec()] }]);
    assert_eq!(scores[0], Score { name: "overlap@10", value: 1.0 });
    assert!((scores[1].value - 1.0).abs() < 1e-6, "{scores:?}");
}

#[test]
fn text_image_is_that_of_pytorch() {
    let Reference { width, text_image, text_image_sigmoid, .. } = reference();
    for (case, logit_bias) in [(text_image, None), (text_image_sigmoid, Some(-10.0))] {
        let members = case.text.iter().copied().zip(case.other.iter().copied()).collect();
        let examples = TextImages {
            input: case.inputs.clone(),
            text: case.text.clone(),
            image: case.other.clone(),
            weight: case.weight.clone(),
            has: Groups::new(members, 4),
        };
        let tower = Some(TextTower { logit_scale: 120.0, logit_bias });
        let objective = finetune::Objective::Contrastive { temperature: None };
        let objective =
            open(&objective, Examples::TextImages(examples), &(0..6).collect::<Vec<_>>(), tower, None).unwrap();
        let batch = case.check(objective.as_ref(), width);
        assert_eq!(batch.inputs.len(), 5);
        // What is trained begins at the base's values; without a bias the scale is 100 at most.
        let first = objective.parameters(&Embeddings { dimension: width, values: Vec::new() });
        let values = first.into_iter().map(|one| (one.name, one.values)).collect();
        let found = text_image::trained_tower(&values).unwrap();
        let largest = if logit_bias.is_some() { 120.0 } else { 100.0 };
        assert!((found.logit_scale - largest).abs() < 1e-3 && found.logit_bias == logit_bias, "{found:?}");
        assert_eq!(objective.product(), Product::TwoTowers);
    }
}

/// Both directions count alike, and what is masked does not.
#[test]
fn texts_find_pictures_and_pictures_texts() {
    let examples = TextImages {
        input: vec![0, 1, 2],
        text: vec![0, 1, 0],
        image: vec![0, 1, 2],
        weight: vec![1.0; 3],
        has: Groups::new(vec![(0, 0), (1, 1), (0, 2)], 2),
    };
    let tower = Some(TextTower { logit_scale: 1.0, logit_bias: None });
    let objective = finetune::Objective::Contrastive { temperature: None };
    let objective = open(&objective, Examples::TextImages(examples), &[0, 1, 2], tower, None).unwrap();
    let batch = objective.batch(&[0, 1, 2], &mut Random::new(1, 0));
    // Ranks by row 1, 3, 1 and by column 1, 2, 2: the first and the last are the two pictures of one text.
    let outputs = [vec![0.9, 0.1, 9.0, 0.5, 0.2, 0.7, 9.0, 0.3, 0.6]];
    let scores = objective.evaluate(&[Scored { batch: &batch, outputs: &outputs }]);
    let found = scores.iter().map(|score| (score.name, score.value as f32)).collect::<Vec<_>>();
    close("scores", &[found[0].1, found[1].1], &[(1.0 + 1.0 / 3.0 + 1.0 + 1.0 + 0.5 + 0.5) / 6.0, 0.5]);
    assert_eq!([found[0].0, found[1].0], ["mrr", "recall_at_1"]);
}

/// What the graph to be published makes of the texts, with the head's first values.
fn first_scores(case: &Case, objective: &dyn Objective, width: usize) -> Vec<f32> {
    let first = objective.parameters(&case.base(objective, width)).into_iter().map(|one| one.values);
    scores(case, objective, width, &first.collect::<Vec<_>>())
}

fn scores(case: &Case, objective: &dyn Objective, width: usize, head: &[Vec<f32>]) -> Vec<f32> {
    let parameters = objective.parameters(&case.base(objective, width));
    let mut graph = GraphBuilder::new("test");
    let embeddings = graph.input("embeddings", DataType::Float, &[Dim::Named("texts"), Dim::Fixed(width)]);
    let values = declare(&mut graph, &parameters);
    let scores = objective.score(&mut graph, &embeddings, &values).unwrap();
    let mut feeds = vec![Feed::f32("embeddings", &[case.texts, width], case.embeddings.clone())];
    feeds.extend(parameters.iter().zip(head).map(|(one, values)| Feed::f32(&one.name, &one.shape, values.clone())));
    run(graph, &feeds, &[&scores]).remove(0)
}

#[test]
fn users_start_at_what_they_like_beyond_what_everybody_does() {
    // Texts at the corners of a square; u likes two of them, v dislikes one, and w has what the mean has.
    let vectors = vec![1.0f32, 0.0, 0.0, 2.0, -3.0, 0.0, 0.0, -4.0];
    let interactions = Interactions {
        user: vec![0, 0, 1, 2, 2, 2, 2],
        text: vec![0, 1, 2, 0, 1, 2, 3],
        label: vec![1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0],
        weight: vec![1.0; 7],
        users: 3,
        ..Interactions::default()
    };
    let objective = open(&BCE, Examples::Interactions(interactions), &[0, 1, 2, 3, 4, 5, 6], None, None).unwrap();
    assert_eq!(objective.base_inputs(), [0, 1, 2, 3]);
    let parameters = objective.parameters(&Embeddings { dimension: 2, values: vectors });
    let half = 0.5f64.sqrt();
    close("users", &parameters[0].values, &[half, half, 1.0, 0.0, half, half]);
    // Six of seven labels are positive.
    close("bias", &parameters[2].values, &[6f64.ln()]);
}

#[test]
fn metrics_are_those_of_scikit_learn() {
    let Measured { prediction, truth, weight, number, guess, label, .. } = reference().metrics;
    let expected = reference().metrics;
    let of = |truths: &[f64], weighted: bool| {
        let rows = prediction.iter().zip(truths).zip(&weight);
        rows.map(|((prediction, truth), weight)| metrics::Outcome {
            prediction: *prediction,
            truth: *truth,
            weight: if weighted { *weight } else { 1.0 },
        })
        .collect::<Vec<_>>()
    };
    let mut confusion = metrics::Confusion::new(6);
    for ((guess, label), weight) in guess.iter().zip(&label).zip(&weight) {
        confusion.add(*guess, *label, *weight);
    }
    for (name, found, expected) in [
        ("auc", metrics::auc(of(&truth, true)), expected.auc),
        ("log_loss", metrics::log_loss(&of(&truth, true)), expected.log_loss),
        ("spearman", metrics::spearman(&of(&number, false)), expected.spearman),
        ("pearson", metrics::pearson(&of(&number, true)), expected.pearson),
        ("macro_f1", confusion.macro_f1(), expected.macro_f1),
        ("accuracy", confusion.accuracy(), expected.accuracy),
    ] {
        assert!((found - expected).abs() < 1e-9, "{name}: {found} instead of {expected}");
    }
    // Nothing, and nothing that varies.
    let one = metrics::Outcome { prediction: 1.0, truth: 1.0, weight: 1.0 };
    for outcomes in [vec![], vec![one; 3]] {
        assert_eq!(metrics::auc(outcomes.clone()), 0.5);
        assert_eq!((metrics::spearman(&outcomes), metrics::pearson(&outcomes)), (0.0, 0.0));
        assert!(metrics::log_loss(&outcomes).is_finite());
    }
}

#[test]
fn ranks_count_what_is_above_and_half_of_what_is_beside() {
    let scores = [0.3, 0.9, 0.3, 0.1, 0.5];
    assert_eq!(metrics::rank(&scores, 0, |_| true), 3.5);
    assert_eq!(metrics::rank(&scores, 0, |candidate| candidate != 1 && candidate != 2), 2.0);
    assert_eq!(metrics::rank(&scores, 1, |_| true), 1.0);
}

fn likes() -> Interactions {
    // Forty texts; user n has the first n of them.
    let members = (0..40u32).flat_map(|user| (0..user).map(move |text| (user, text))).collect::<Vec<_>>();
    Interactions {
        user: members.iter().map(|member| member.0).collect(),
        text: members.iter().map(|member| member.1).collect(),
        weight: vec![1.0; members.len()],
        users: 40,
        has: Groups::new(members, 40),
        pool: (0..40).collect(),
        label: Vec::new(),
    }
}

fn values<'a>(batch: &'a Batch, name: &str) -> &'a [i64] {
    match &batch.feeds.iter().find(|feed| feed.name == name).unwrap().values {
        FeedValues::I64(values) => values,
        FeedValues::F32(_) => panic!("{name} is of floats"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Negatives are never what the user has, shares add up to one, and the same seed gives the same batches, also from
    /// the middle of an epoch.
    #[test]
    fn batches_are_whole_seeded_and_free_of_false_negatives(
        seed in any::<u64>(), epoch in 0u32..9, size in 1usize..200, negatives in 1usize..6,
    ) {
        let interactions = likes();
        let train = (0..interactions.user.len() as u32).collect::<Vec<_>>();
        let objective = finetune::Objective::Bce { negatives };
        let objective = open(&objective, Examples::Interactions(interactions.clone()), &train, None, None).unwrap();
        let batches = Batches::train(&train, size, seed, epoch);
        let mut seen = Vec::new();
        for index in 0..batches.len() {
            let examples = batches.examples(index);
            prop_assert!(examples.len() <= size && examples.len() + 1 >= train.len() / batches.len());
            seen.extend_from_slice(examples);
            let batch = batches.batch(objective.as_ref(), index);
            prop_assert_eq!(&batch, &Batches::train(&train, size, seed, epoch).batch(objective.as_ref(), index));
            let labels = batch.floats("bce/labels");
            prop_assert_eq!(labels.len(), examples.len() * (1 + negatives));
            prop_assert!((batch.floats("bce/shares").iter().sum::<f32>() - 1.0).abs() < 1e-4);
            prop_assert_eq!(batch.weight, labels.len() as f32);
            let rows = values(&batch, "bce/users").iter().zip(values(&batch, "bce/items")).zip(labels);
            for ((user, place), label) in rows {
                let text = batch.inputs[*place as usize];
                prop_assert_eq!(interactions.has.contains(*user as u32, text), *label == 1.0);
            }
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, train);
    }
}

#[test]
fn validation_is_the_same_every_time_and_other_epochs_are_not() {
    let train = (0..780u32).collect::<Vec<_>>();
    let objective = open(&BPR, Examples::Interactions(likes()), &train, None, None).unwrap();
    let (first, second) = (Batches::validation(&train, 1), Batches::validation(&train, 1));
    assert_eq!(first.len(), 780usize.div_ceil(VALIDATION_SIZE));
    assert_eq!(first.batch(objective.as_ref(), 3), second.batch(objective.as_ref(), 3));
    assert_ne!(Batches::train(&train, 64, 1, 0).examples(0), Batches::train(&train, 64, 1, 1).examples(0));
    assert!(Batches::train(&[], 64, 1, 0).is_empty() && first.examples(99).is_empty());
}

#[test]
fn an_objective_of_other_examples_is_refused() {
    let message = open(&BCE, Examples::Pairs(Pairs::default()), &[], None, None).unwrap_err().to_string();
    assert_eq!(message, "objective 'bce' learns no encoder from such examples");
    let recommend = finetune::Objective::Recommend { factors: 8, window_days: 28, neighbours: 10 };
    let message = open(&recommend, Examples::Interactions(likes()), &[], None, None).unwrap_err().to_string();
    assert!(message.contains("'recommend' learns no encoder"), "{message}");
}
