//! `bpr`: a user prefers what they have over what they have not: `-log sigmoid(x(user, item) - x(user, other))`, with
//! `x = scale * cos(user, item)` and drawn others.
//!
//! Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback", 2009, <https://arxiv.org/abs/1205.2618>.

use super::batch::{Batch, BatchInputs, Scored, shares};
use super::metrics::mean;
use super::users::{self, FIRST_SCALE, SCALAR_RATE};
use super::{Embeddings, Forward, Metric, Objective, Score, input, total, total_of_rows};
use crate::onnx::graph::{GraphBuilder, Value};
use crate::onnx::proto::DataType;
use crate::random::Random;
use crate::train::data::Interactions;
use crate::train::parameter::Parameter;
use crate::train::step::feed::Feed;

const USERS: &str = "bpr/users";
const ITEMS: &str = "bpr/items";
const OTHERS: &str = "bpr/others";
const SHARES: &str = "bpr/shares";

/// The objective.
#[derive(Debug)]
pub(super) struct Bpr {
    interactions: Interactions,
    train: Vec<u32>,
    negatives: usize,
}

impl Bpr {
    pub(super) fn new(interactions: Interactions, train: &[u32], negatives: usize) -> Self {
        Self { interactions, train: train.to_vec(), negatives }
    }
}

impl Objective for Bpr {
    fn base_inputs(&self) -> Vec<u32> {
        users::trained_texts(&self.interactions, &self.train)
    }

    fn parameters(&self, base: &Embeddings) -> Vec<Parameter> {
        let scale = Parameter::new("bpr/scale", &[1], vec![FIRST_SCALE]);
        vec![
            users::table(&self.interactions, &self.train, base, "bpr/user_table"),
            Parameter { rate: SCALAR_RATE, ..scale },
        ]
    }

    fn loss(&self, graph: &mut GraphBuilder, embeddings: &Value, head: &[Value]) -> Forward {
        let outer = graph.scope("bpr");
        let (table, scale) = (&head[0], &head[1]);
        let users = input(graph, USERS, DataType::Int64, &["examples"]);
        let items = input(graph, ITEMS, DataType::Int64, &["examples"]);
        let others = input(graph, OTHERS, DataType::Int64, &["examples"]);
        let shares = input(graph, SHARES, DataType::Float, &["examples"]);
        let users = users::chosen(graph, table, &users);
        let vectors = users::items(graph, embeddings);
        let items = graph.gather(&vectors, &items, 0);
        let others = graph.gather(&vectors, &others, 0);
        // cos(u, i) - cos(u, j) = u (i - j): one product instead of two.
        let between = graph.sub(&items, &others);
        let product = graph.mul(&users, &between);
        let cosines = total_of_rows(graph, &product);
        let margin = graph.mul(&cosines, scale);
        let opposite = graph.node("Neg", &[&margin], vec![]);
        let losses = graph.node("Softplus", &[&opposite], vec![]);
        let weighted = graph.mul(&losses, &shares);
        let loss = total(graph, &weighted);
        graph.scope(outer);
        Forward { loss, outputs: vec![margin] }
    }

    fn batch(&self, examples: &[u32], random: &mut Random) -> Batch {
        let interactions = &self.interactions;
        let count = examples.len() * self.negatives;
        let mut texts = BatchInputs::with_capacity(examples.len() + count);
        let [mut users, mut items, mut others] = std::array::from_fn(|_| Vec::with_capacity(count));
        let mut weights = Vec::with_capacity(count);
        for example in examples.iter().map(|example| *example as usize) {
            let user = interactions.user[example];
            for _ in 0..self.negatives {
                let Some(other) = users::draw(interactions, user, random) else { break };
                users.push(i64::from(user));
                items.push(texts.place(interactions.text[example]));
                others.push(texts.place(other));
                weights.push(interactions.weight[example]);
            }
        }
        let (length, weight) = ([users.len()], shares(&mut weights));
        let feeds = vec![
            Feed::i64(USERS, &length, users),
            Feed::i64(ITEMS, &length, items),
            Feed::i64(OTHERS, &length, others),
            Feed::f32(SHARES, &length, weights),
        ];
        Batch { inputs: texts.finish(), feeds, weight }
    }

    fn metric(&self) -> Metric {
        Metric { name: "auc", higher_is_better: true }
    }

    /// The AUC of each user's items against drawn others: the share of pairs in the right order.
    fn evaluate(&self, batches: &[Scored<'_>]) -> Vec<Score> {
        let pairs = batches.iter().flat_map(|scored| scored.output().iter().zip(scored.weights(SHARES)));
        let right = pairs.map(|(margin, weight)| {
            let right = if *margin > 0.0 { 1.0 } else { 0.0 };
            (if *margin == 0.0 { 0.5 } else { right }, weight)
        });
        vec![Score { name: "auc", value: mean(right) }]
    }
}
