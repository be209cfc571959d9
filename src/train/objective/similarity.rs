//! `similarity`: the cosine of two texts' vectors is to be their label, by the squared error.
//!
//! Reimers and Gurevych, "Sentence-BERT", 2019, section 3 (the regression objective), <https://arxiv.org/abs/1908.10084>.

use super::batch::{Batch, BatchInputs, Scored, outcomes, shares};
use super::metrics::{pearson, spearman};
use super::{Embeddings, Forward, Metric, Objective, Score, input, total, total_of_rows};
use crate::onnx::graph::{GraphBuilder, Value};
use crate::onnx::proto::DataType;
use crate::random::Random;
use crate::train::data::ScoredPairs;
use crate::train::parameter::Parameter;
use crate::train::pooling;
use crate::train::step::feed::Feed;

const TEXTS: &str = "similarity/texts";
const OTHERS: &str = "similarity/others";
const TRUTHS: &str = "similarity/truths";
const SHARES: &str = "similarity/shares";

/// The objective.
#[derive(Debug)]
pub(super) struct Similarity {
    pairs: ScoredPairs,
}

impl Similarity {
    pub(super) fn new(pairs: ScoredPairs) -> Self {
        Self { pairs }
    }
}

impl Objective for Similarity {
    fn parameters(&self, _base: &Embeddings) -> Vec<Parameter> {
        Vec::new()
    }

    fn loss(&self, graph: &mut GraphBuilder, embeddings: &Value, _head: &[Value]) -> Forward {
        let outer = graph.scope("similarity");
        let texts = input(graph, TEXTS, DataType::Int64, &["examples"]);
        let others = input(graph, OTHERS, DataType::Int64, &["examples"]);
        let truths = input(graph, TRUTHS, DataType::Float, &["examples"]);
        let shares = input(graph, SHARES, DataType::Float, &["examples"]);
        let vectors = pooling::normalize(graph, embeddings);
        let texts = graph.gather(&vectors, &texts, 0);
        let others = graph.gather(&vectors, &others, 0);
        let product = graph.mul(&texts, &others);
        let cosines = total_of_rows(graph, &product);
        let errors = graph.sub(&cosines, &truths);
        let squares = graph.mul(&errors, &errors);
        let weighted = graph.mul(&squares, &shares);
        let loss = total(graph, &weighted);
        graph.scope(outer);
        Forward { loss, outputs: vec![cosines] }
    }

    fn batch(&self, examples: &[u32], _random: &mut Random) -> Batch {
        let length = [examples.len()];
        let examples = || examples.iter().map(|example| *example as usize);
        let mut texts = BatchInputs::with_capacity(2 * length[0]);
        let places = examples().map(|example| texts.place(self.pairs.text[example])).collect();
        let others = examples().map(|example| texts.place(self.pairs.other[example])).collect();
        let truths = examples().map(|example| self.pairs.value[example]).collect();
        let mut weights = examples().map(|example| self.pairs.weight[example]).collect::<Vec<_>>();
        let weight = shares(&mut weights);
        let feeds = vec![
            Feed::i64(TEXTS, &length, places),
            Feed::i64(OTHERS, &length, others),
            Feed::f32(TRUTHS, &length, truths),
            Feed::f32(SHARES, &length, weights),
        ];
        Batch { inputs: texts.finish(), feeds, weight }
    }

    fn metric(&self) -> Metric {
        Metric { name: "spearman", higher_is_better: true }
    }

    fn evaluate(&self, batches: &[Scored<'_>]) -> Vec<Score> {
        let outcomes = outcomes(batches, TRUTHS, SHARES);
        vec![
            Score { name: "spearman", value: spearman(&outcomes) },
            Score { name: "pearson", value: pearson(&outcomes) },
        ]
    }
}
