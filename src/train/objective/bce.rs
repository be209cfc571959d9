//! `bce`: the probability that a user likes an item, `sigmoid(scale * cos(user, item) + bias)`, by the cross entropy of
//! labelled pairs, or of what a user has and drawn texts that they have not.
//!
//! Covington, Adams and Sargin, "Deep Neural Networks for YouTube Recommendations", 2016,
//! <https://doi.org/10.1145/2959100.2959190>; negatives drawn for implicit feedback: He et al., "Neural Collaborative
//! Filtering", 2017, <https://arxiv.org/abs/1708.05031>.

use super::batch::{Batch, BatchInputs, Scored, outcomes, shares};
use super::metrics::{auc, log_loss};
use super::users::{self, FIRST_SCALE, SCALAR_RATE};
use super::{Embeddings, Forward, Metric, Objective, Score, input, total, total_of_rows};
use crate::onnx::graph::{GraphBuilder, Value};
use crate::onnx::proto::DataType;
use crate::random::Random;
use crate::train::data::Interactions;
use crate::train::parameter::Parameter;
use crate::train::step::feed::Feed;

const USERS: &str = "bce/users";
const ITEMS: &str = "bce/items";
const LABELS: &str = "bce/labels";
const SHARES: &str = "bce/shares";

/// The objective.
#[derive(Debug)]
pub(super) struct Bce {
    interactions: Interactions,
    train: Vec<u32>,
    negatives: usize,
}

impl Bce {
    pub(super) fn new(interactions: Interactions, train: &[u32], negatives: usize) -> Self {
        let negatives = if interactions.label.is_empty() { negatives } else { 0 };
        Self { interactions, train: train.to_vec(), negatives }
    }

    /// The share of positives in training batches.
    fn base_rate(&self) -> f64 {
        if self.interactions.label.is_empty() {
            return 1.0 / (1 + self.negatives) as f64;
        }
        let examples = self.train.iter().map(|example| *example as usize);
        super::metrics::mean(
            examples.map(|example| {
                (f64::from(self.interactions.label[example]), f64::from(self.interactions.weight[example]))
            }),
        )
    }
}

impl Objective for Bce {
    fn base_inputs(&self) -> Vec<u32> {
        users::trained_texts(&self.interactions, &self.train)
    }

    fn parameters(&self, base: &Embeddings) -> Vec<Parameter> {
        let rate = self.base_rate().clamp(1e-3, 1.0 - 1e-3);
        let bias = (rate / (1.0 - rate)).ln() as f32;
        let scalar = |name, value| Parameter { rate: SCALAR_RATE, ..Parameter::new(name, &[1], vec![value]) };
        vec![
            users::table(&self.interactions, &self.train, base, "bce/user_table"),
            scalar("bce/scale", FIRST_SCALE),
            scalar("bce/bias", bias),
        ]
    }

    fn loss(&self, graph: &mut GraphBuilder, embeddings: &Value, head: &[Value]) -> Forward {
        let outer = graph.scope("bce");
        let (table, scale, bias) = (&head[0], &head[1], &head[2]);
        let users = input(graph, USERS, DataType::Int64, &["examples"]);
        let items = input(graph, ITEMS, DataType::Int64, &["examples"]);
        let labels = input(graph, LABELS, DataType::Float, &["examples"]);
        let shares = input(graph, SHARES, DataType::Float, &["examples"]);
        let users = users::chosen(graph, table, &users);
        let vectors = users::items(graph, embeddings);
        let items = graph.gather(&vectors, &items, 0);
        let product = graph.mul(&users, &items);
        let cosine = total_of_rows(graph, &product);
        let scaled = graph.mul(&cosine, scale);
        let logits = graph.add(&scaled, bias);
        // -y log p - (1 - y) log (1 - p) of p = sigmoid(z), without the overflow of its parts.
        let softplus = graph.node("Softplus", &[&logits], vec![]);
        let positive = graph.mul(&labels, &logits);
        let losses = graph.sub(&softplus, &positive);
        let weighted = graph.mul(&losses, &shares);
        let loss = total(graph, &weighted);
        graph.scope(outer);
        Forward { loss, outputs: vec![logits] }
    }

    fn batch(&self, examples: &[u32], random: &mut Random) -> Batch {
        let interactions = &self.interactions;
        let count = examples.len() * (1 + self.negatives);
        let mut texts = BatchInputs::with_capacity(count);
        let [mut users, mut items] = [Vec::with_capacity(count), Vec::with_capacity(count)];
        let [mut labels, mut weights] = [Vec::with_capacity(count), Vec::with_capacity(count)];
        let mut push = |user: u32, text: u32, label: f32, weight: f32| {
            users.push(i64::from(user));
            items.push(texts.place(text));
            labels.push(label);
            weights.push(weight);
        };
        for example in examples.iter().map(|example| *example as usize) {
            let (user, weight) = (interactions.user[example], interactions.weight[example]);
            let label = interactions.label.get(example).copied().unwrap_or(1.0);
            push(user, interactions.text[example], label, weight);
            for _ in 0..self.negatives {
                if let Some(text) = users::draw(interactions, user, random) {
                    push(user, text, 0.0, weight);
                }
            }
        }
        let (length, weight) = ([users.len()], shares(&mut weights));
        let feeds = vec![
            Feed::i64(USERS, &length, users),
            Feed::i64(ITEMS, &length, items),
            Feed::f32(LABELS, &length, labels),
            Feed::f32(SHARES, &length, weights),
        ];
        Batch { inputs: texts.finish(), feeds, weight }
    }

    fn metric(&self) -> Metric {
        Metric { name: "auc", higher_is_better: true }
    }

    fn evaluate(&self, batches: &[Scored<'_>]) -> Vec<Score> {
        let outcomes = outcomes(batches, LABELS, SHARES);
        let log_loss = log_loss(&outcomes);
        vec![Score { name: "auc", value: auc(outcomes) }, Score { name: "log_loss", value: log_loss }]
    }
}
