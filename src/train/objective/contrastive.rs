//! `contrastive`: texts that belong together lie together. Each anchor picks its positive text out of all the batch's
//! candidates, by a softmax over cosines divided by a temperature.
//!
//! The candidates are the positive texts of all the batch's examples and their hard negatives, each text once. Candidates
//! that belong to the anchor as well (texts of the same user, the anchor itself) are masked: they are no negatives.
//!
//! In-batch negatives: Henderson et al., "Efficient Natural Language Response Suggestion for Smart Reply", 2017,
//! <https://arxiv.org/abs/1705.00652>; the temperature: van den Oord, Li and Vinyals, 2018,
//! <https://arxiv.org/abs/1807.03748>; hard negatives: Karpukhin et al., 2020, <https://arxiv.org/abs/2004.04906>.

use super::batch::{Batch, BatchInputs, Scored, shares};
use super::metrics::{rank, reciprocal_ranks};
use super::{Embeddings, Forward, MASKED, Metric, Objective, Score, cross_entropy, input};
use crate::onnx::graph::{GraphBuilder, Value};
use crate::onnx::proto::DataType;
use crate::random::Random;
use crate::train::data::Pairs;
use crate::train::parameter::Parameter;
use crate::train::pooling;
use crate::train::step::feed::Feed;

const ANCHORS: &str = "contrastive/anchors";
const CANDIDATES: &str = "contrastive/candidates";
const MASK: &str = "contrastive/mask";
const SHARES: &str = "contrastive/shares";

/// The objective.
#[derive(Debug)]
pub(super) struct Contrastive {
    pairs: Pairs,
    temperature: f32,
}

impl Contrastive {
    pub(super) fn new(pairs: Pairs, temperature: f32) -> Self {
        Self { pairs, temperature }
    }

    /// The distinct candidates of a batch, ascending.
    fn candidates(&self, examples: &[u32]) -> Vec<u32> {
        let mut candidates = Vec::with_capacity(examples.len() * 2);
        for example in examples.iter().map(|example| *example as usize) {
            candidates.push(self.pairs.positive[example]);
            candidates.extend(self.pairs.negative.get(example).copied().flatten());
        }
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }
}

impl Objective for Contrastive {
    fn parameters(&self, _base: &Embeddings) -> Vec<Parameter> {
        Vec::new()
    }

    fn loss(&self, graph: &mut GraphBuilder, embeddings: &Value, _head: &[Value]) -> Forward {
        let outer = graph.scope("contrastive");
        let anchors = input(graph, ANCHORS, DataType::Int64, &["anchors"]);
        let candidates = input(graph, CANDIDATES, DataType::Int64, &["candidates"]);
        let mask = input(graph, MASK, DataType::Float, &["anchors", "candidates"]);
        let shares = input(graph, SHARES, DataType::Float, &["anchors", "candidates"]);
        let vectors = pooling::normalize(graph, embeddings);
        let anchors = graph.gather(&vectors, &anchors, 0);
        let candidates = graph.gather(&vectors, &candidates, 0);
        let candidates = graph.transpose(&candidates, &[1, 0]);
        let cosines = graph.matmul(&anchors, &candidates);
        let sharpness = graph.scalar_f32(1.0 / self.temperature);
        let logits = graph.mul(&cosines, &sharpness);
        let logits = graph.add(&logits, &mask);
        let loss = cross_entropy(graph, &logits, &shares);
        graph.scope(outer);
        Forward { loss, outputs: vec![logits] }
    }

    fn batch(&self, examples: &[u32], _random: &mut Random) -> Batch {
        let pairs = &self.pairs;
        let columns = self.candidates(examples);
        let mut texts = BatchInputs::with_capacity(examples.len() + columns.len());
        let anchors = examples.iter().map(|example| texts.place(pairs.anchor[*example as usize])).collect();
        let candidates = columns.iter().map(|text| texts.place(*text)).collect();
        let mut weights = examples.iter().map(|example| pairs.weight[*example as usize]).collect::<Vec<_>>();
        let weight = shares(&mut weights);
        let cells = examples.len() * columns.len();
        let (mut mask, mut targets) = (vec![0.0; cells], vec![0.0; cells]);
        let rows = mask.chunks_exact_mut(columns.len()).zip(targets.chunks_exact_mut(columns.len()));
        for ((example, share), (mask, target)) in examples.iter().zip(weights).zip(rows) {
            let example = *example as usize;
            let positive = pairs.positive[example];
            for (column, text) in columns.iter().enumerate() {
                if *text == positive {
                    target[column] = share;
                } else if *text == pairs.anchor[example] || pairs.has.contains(pairs.group[example], *text) {
                    mask[column] = MASKED;
                }
            }
        }
        let shape = [examples.len(), columns.len()];
        let feeds = vec![
            Feed::i64(ANCHORS, &shape[..1], anchors),
            Feed::i64(CANDIDATES, &shape[1..], candidates),
            Feed::f32(MASK, &shape, mask),
            Feed::f32(SHARES, &shape, targets),
        ];
        Batch { inputs: texts.finish(), feeds, weight }
    }

    fn metric(&self) -> Metric {
        Metric { name: "mrr", higher_is_better: true }
    }

    /// How far up each positive text is among its batch's candidates: the mean reciprocal rank, and the share of those at
    /// the very top.
    fn evaluate(&self, batches: &[Scored<'_>]) -> Vec<Score> {
        let mut ranks = Vec::new();
        for scored in batches {
            let shares = scored.batch.floats(SHARES);
            let mask = scored.batch.floats(MASK);
            let columns = scored.batch.width(SHARES);
            let rows = scored.output().chunks_exact(columns);
            let rows = rows.zip(shares.chunks_exact(columns)).zip(mask.chunks_exact(columns));
            for ((scores, shares), mask) in rows {
                let Some(target) = shares.iter().position(|share| *share > 0.0) else { continue };
                let weight = f64::from(shares[target]) * f64::from(scored.batch.weight);
                ranks.push((rank(scores, target, |column| mask[column] == 0.0), weight));
            }
        }
        reciprocal_ranks(&ranks)
    }
}
