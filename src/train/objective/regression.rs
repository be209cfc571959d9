//! `regression`: the number of a text or picture, by a linear layer on its vector, and the squared error in units of the labels'
//! standard deviation, so that learning rates mean the same for prices and for stars.
//!
//! The layer starts at the first component of partial least squares on the untrained encoder's vectors: the direction in
//! which they vary most together with the labels, and how far. H. Wold, "Soft modelling by latent variables", 1975;
//! Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", algorithm 3.3.

use std::collections::HashMap;

use super::batch::{Batch, BatchInputs, Scored, outcomes, shares};
use super::classification::HEAD_RATE;
use super::metrics::{mean, pearson};
use super::{Embeddings, Forward, Metric, Objective, Product, Score, input, total};
use crate::onnx::graph::{GraphBuilder, Value};
use crate::onnx::proto::DataType;
use crate::random::Random;
use crate::train::data::Numbers;
use crate::train::parameter::Parameter;
use crate::train::pooling;
use crate::train::run::top_losses::{self, Excerpt, TopLoss};
use crate::train::step::feed::Feed;

const INPUTS: &str = "regression/inputs";
const TRUTHS: &str = "regression/truths";
const SHARES: &str = "regression/shares";

const WEIGHT: &str = "regression/weight";
const BIAS: &str = "regression/bias";
const DEVIATION: &str = "regression/deviation";
const MEAN: &str = "regression/mean";

/// How far vectors of length one have to be from their mean, by the root of the mean square along the direction of the
/// labels, for a head to start there. Single precision goes through an encoder's thousands of additions with an error of
/// up to 1e-5: below this the direction is that of rounding, and a head along it would be as large as rounding is small.
const LEAST_SPREAD: f64 = 1e-4;

/// The objective.
#[derive(Debug)]
pub(super) struct Regression {
    numbers: Numbers,
    train: Vec<u32>,
    /// Mean of the labels that are trained on.
    mean: f32,
    /// Their standard deviation; 1 if they are all equal.
    deviation: f32,
}

impl Regression {
    pub(super) fn new(numbers: Numbers, train: &[u32]) -> Self {
        let examples = || train.iter().map(|example| *example as usize);
        let weighted = |example: usize| (f64::from(numbers.value[example]), f64::from(numbers.weight[example]));
        let average = mean(examples().map(weighted));
        let square = |(value, weight): (f64, f64)| ((value - average).powi(2), weight);
        let deviation = mean(examples().map(|example| square(weighted(example)))).sqrt() as f32;
        let deviation = if deviation.is_normal() { deviation } else { 1.0 };
        Self { mean: average as f32, deviation, train: train.to_vec(), numbers }
    }

    /// The label in units of the deviation from the mean.
    fn standard(&self, example: usize) -> f32 {
        (self.numbers.value[example] - self.mean) / self.deviation
    }
}

impl Objective for Regression {
    fn base_inputs(&self) -> Vec<u32> {
        self.train.iter().map(|example| self.numbers.input[*example as usize]).collect()
    }

    fn parameters(&self, base: &Embeddings) -> Vec<Parameter> {
        let width = base.dimension;
        let vectors = base.normalized();
        let rows = || self.train.iter().map(|example| *example as usize).zip(vectors.chunks_exact(width.max(1)));
        let all = rows().map(|(example, _)| f64::from(self.numbers.weight[example])).sum::<f64>();
        let mut center = vec![0.0f64; width];
        for (example, vector) in rows() {
            let weight = f64::from(self.numbers.weight[example]) / all.max(f64::MIN_POSITIVE);
            center.iter_mut().zip(vector).for_each(|(sum, x)| *sum += weight * f64::from(*x));
        }
        let mut direction = vec![0.0f64; width];
        for (example, vector) in rows() {
            let factor = f64::from(self.numbers.weight[example]) * f64::from(self.standard(example));
            let both = direction.iter_mut().zip(vector).zip(&center);
            both.for_each(|((sum, x), c)| *sum += factor * (f64::from(*x) - c));
        }
        let (mut with_label, mut with_itself) = (0.0, 0.0);
        for (example, vector) in rows() {
            let along =
                vector.iter().zip(&center).zip(&direction).map(|((x, c), d)| (f64::from(*x) - c) * d).sum::<f64>();
            let weight = f64::from(self.numbers.weight[example]);
            with_label += weight * along * f64::from(self.standard(example));
            with_itself += weight * along * along;
        }
        let squared_length = direction.iter().map(|d| d * d).sum::<f64>();
        let varies = with_itself > LEAST_SPREAD.powi(2) * squared_length * all;
        let slope = if varies { with_label / with_itself } else { 0.0 };
        let offset = -slope * direction.iter().zip(&center).map(|(d, c)| d * c).sum::<f64>();
        let weight = direction.iter().map(|d| (slope * d) as f32).collect();
        let head = [Parameter::new(WEIGHT, &[width, 1], weight), Parameter::new(BIAS, &[1], vec![offset as f32])];
        head.map(|parameter| Parameter { rate: HEAD_RATE, ..parameter }).to_vec()
    }

    /// The other version's numbers in units of these examples' deviation from their mean.
    fn trained_head(
        &self,
        stored: &dyn Fn(&str) -> Option<Vec<f32>>,
        _labels: &[String],
    ) -> Option<HashMap<String, Vec<f32>>> {
        let one = |name: &str| stored(name)?.first().copied();
        let (deviation, mean) = (one(DEVIATION)?, one(MEAN)?);
        let weight = stored(WEIGHT)?.iter().map(|value| value * deviation / self.deviation).collect();
        let bias = (one(BIAS)? * deviation + mean - self.mean) / self.deviation;
        Some(HashMap::from([(WEIGHT.to_owned(), weight), (BIAS.to_owned(), vec![bias])]))
    }

    fn loss(&self, graph: &mut GraphBuilder, embeddings: &Value, head: &[Value]) -> Forward {
        let outer = graph.scope("regression");
        let places = input(graph, INPUTS, DataType::Int64, &["examples"]);
        let truths = input(graph, TRUTHS, DataType::Float, &["examples"]);
        let shares = input(graph, SHARES, DataType::Float, &["examples"]);
        let standard = standard(graph, embeddings, head);
        let standard = graph.reshape(&standard, &[-1]);
        let predictions = graph.gather(&standard, &places, 0);
        let errors = graph.sub(&predictions, &truths);
        let squares = graph.mul(&errors, &errors);
        let weighted = graph.mul(&squares, &shares);
        let loss = total(graph, &weighted);
        graph.scope(outer);
        Forward { loss, outputs: vec![predictions] }
    }

    fn batch(&self, examples: &[u32], _random: &mut Random) -> Batch {
        let length = [examples.len()];
        let examples = || examples.iter().map(|example| *example as usize);
        let mut inputs = BatchInputs::with_capacity(length[0]);
        let places = examples().map(|example| inputs.place(self.numbers.input[example])).collect();
        let truths = examples().map(|example| self.standard(example)).collect();
        let mut weights = examples().map(|example| self.numbers.weight[example]).collect::<Vec<_>>();
        let weight = shares(&mut weights);
        let feeds = vec![
            Feed::i64(INPUTS, &length, places),
            Feed::f32(TRUTHS, &length, truths),
            Feed::f32(SHARES, &length, weights),
        ];
        Batch { inputs: inputs.finish(), feeds, weight }
    }

    fn metric(&self) -> Metric {
        Metric { name: "rmse", higher_is_better: false }
    }

    /// In the labels' own units.
    fn evaluate(&self, batches: &[Scored<'_>]) -> Vec<Score> {
        let outcomes = outcomes(batches, TRUTHS, SHARES);
        let error =
            |power| mean(outcomes.iter().map(|one| ((one.prediction - one.truth).abs().powi(power), one.weight)));
        let unit = f64::from(self.deviation);
        vec![
            Score { name: "rmse", value: error(2).sqrt() * unit },
            Score { name: "mae", value: error(1) * unit },
            Score { name: "pearson", value: pearson(&outcomes) },
        ]
    }

    /// The loss is the squared error, in the labels' own units.
    fn top_losses(&self, batches: &[Scored<'_>], count: usize) -> Vec<TopLoss> {
        let number = |standard: f32| standard * self.deviation + self.mean;
        let of = |scored: &Scored<'_>| {
            let batch = scored.batch;
            let rows = scored.output().iter().zip(batch.floats(TRUTHS)).zip(batch.floats(SHARES)).enumerate();
            let counts = rows.filter(|(_, (_, share))| **share > 0.0);
            let loss = |(example, ((prediction, truth), _)): (usize, ((&f32, &f32), &f32))| {
                let (predicted, label) = (number(*prediction), number(*truth));
                Some((f64::from(predicted - label).powi(2), batch.input(INPUTS, example)?, label, predicted))
            };
            counts.filter_map(loss).collect::<Vec<_>>()
        };
        let losses = batches.iter().flat_map(of).collect();
        let top = top_losses::largest(losses, count, |(loss, ..)| *loss).into_iter();
        top.map(|(loss, input, label, predicted)| TopLoss {
            input,
            loss,
            label: label.to_string(),
            predicted: predicted.to_string(),
            probability: None,
            excerpt: Excerpt::default(),
        })
        .collect()
    }

    fn product(&self) -> Product {
        Product::Regression
    }

    fn score(&self, graph: &mut GraphBuilder, embeddings: &Value, head: &[Value]) -> Option<Value> {
        let outer = graph.scope("regression");
        let standard = standard(graph, embeddings, head);
        // Under names of their own, so that a later training can read them.
        let deviation = graph.tensor_f32(DEVIATION, &[1], &[self.deviation]);
        let mean = graph.tensor_f32(MEAN, &[1], &[self.mean]);
        let scaled = graph.mul(&standard, &deviation);
        let numbers = graph.add(&scaled, &mean);
        graph.scope(outer);
        Some(numbers)
    }
}

/// `normalize(x) w + b`, `[inputs, 1]`: the number in units of the deviation from the mean.
fn standard(graph: &mut GraphBuilder, embeddings: &Value, head: &[Value]) -> Value {
    let (weight, bias) = (&head[0], &head[1]);
    let vectors = pooling::normalize(graph, embeddings);
    graph.node("Gemm", &[&vectors, weight, bias], vec![])
}
