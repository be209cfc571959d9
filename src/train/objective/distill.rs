//! `distill`: a text's vector is to point where the base's does, by one less the cosine.
//!
//! Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, <https://arxiv.org/abs/1503.02531>; of vectors
//! instead of labels: Reimers and Gurevych, 2020, <https://arxiv.org/abs/2004.09813>.

use std::collections::BTreeMap;

use super::batch::{Batch, BatchInputs, Scored, shares};
use super::metrics::mean;
use super::overlap::{MOST_TEXTS, OVERLAP, overlap};
use super::{Embeddings, Forward, Metric, Objective, Score, input, total};
use crate::linalg::dense::Matrix;
use crate::onnx::graph::{Dim, GraphBuilder, Value};
use crate::onnx::proto::DataType;
use crate::random::Random;
use crate::train::data::Texts;
use crate::train::parameter::Parameter;
use crate::train::pooling;
use crate::train::step::feed::Feed;

const PLACES: &str = "distill/places";
const TARGETS: &str = "distill/targets";
const SHARES: &str = "distill/shares";

/// The objective.
#[derive(Debug)]
pub(super) struct Distill {
    texts: Texts,
    /// The base's vectors of all texts, of length one.
    targets: Matrix,
}

impl Distill {
    /// `base` holds the base's vectors of all inputs of the dataset.
    pub(super) fn new(texts: Texts, base: Embeddings) -> Self {
        let rows = base.values.len() / base.dimension.max(1);
        let mut targets = Matrix::new(rows, base.dimension, base.values);
        targets.normalize_rows();
        Self { texts, targets }
    }
}

impl Objective for Distill {
    fn parameters(&self, _base: &Embeddings) -> Vec<Parameter> {
        Vec::new()
    }

    fn loss(&self, graph: &mut GraphBuilder, embeddings: &Value, _head: &[Value]) -> Forward {
        let outer = graph.scope("distill");
        let places = input(graph, PLACES, DataType::Int64, &["examples"]);
        let dims = [Dim::Named("examples"), Dim::Fixed(self.targets.columns())];
        let targets = graph.input(TARGETS, DataType::Float, &dims);
        let shares = graph.input(SHARES, DataType::Float, &[Dim::Named("examples"), Dim::Fixed(1)]);
        let vectors = pooling::normalize(graph, embeddings);
        let vectors = graph.gather(&vectors, &places, 0);
        // The shares add up to one, so that one less the weighted cosines is the mean of one less each.
        let cosines = graph.mul(&vectors, &targets);
        let weighted = graph.mul(&cosines, &shares);
        let cosine = total(graph, &weighted);
        let one = graph.scalar_f32(1.0);
        let loss = graph.sub(&one, &cosine);
        graph.scope(outer);
        Forward { loss, outputs: vec![vectors] }
    }

    fn batch(&self, examples: &[u32], _random: &mut Random) -> Batch {
        let inputs = examples.iter().map(|example| self.texts.input[*example as usize]).collect::<Vec<_>>();
        let mut texts = BatchInputs::with_capacity(inputs.len());
        let places = inputs.iter().map(|input| texts.place(*input)).collect();
        let targets = self.targets.gather(&inputs);
        let mut weights = vec![1.0; inputs.len()];
        let weight = shares(&mut weights);
        let feeds = vec![
            Feed::i64(PLACES, &[inputs.len()], places),
            Feed::f32(TARGETS, &[inputs.len(), self.targets.columns()], targets.values().to_vec()),
            Feed::f32(SHARES, &[inputs.len(), 1], weights),
        ];
        Batch { inputs: texts.finish(), feeds, weight }
    }

    fn metric(&self) -> Metric {
        Metric { name: OVERLAP, higher_is_better: true }
    }

    fn evaluate(&self, batches: &[Scored<'_>]) -> Vec<Score> {
        let mut vectors = BTreeMap::<u32, &[f32]>::new();
        for scored in batches {
            let rows = scored.output().chunks_exact(self.targets.columns().max(1)).enumerate();
            vectors.extend(rows.filter_map(|(example, vector)| Some((scored.batch.input(PLACES, example)?, vector))));
        }
        let texts = vectors.keys().copied().take(MOST_TEXTS).collect::<Vec<_>>();
        let values = vectors.into_values().take(MOST_TEXTS).flatten().copied().collect();
        let (ours, theirs) = (Matrix::new(texts.len(), self.targets.columns(), values), self.targets.gather(&texts));
        let Some(overlap) = overlap(&theirs, &ours) else { return Vec::new() };
        let cosine = |row: usize| ours.row(row).iter().zip(theirs.row(row)).map(|(x, y)| f64::from(x * y)).sum();
        let cosine = mean((0..texts.len()).map(|row| (cosine(row), 1.0)));
        vec![Score { name: OVERLAP, value: overlap }, Score { name: COSINE, value: cosine }]
    }

    fn improves_on_base(&self) -> bool {
        false
    }
}

/// The mean cosine to the base's vectors.
pub(in crate::train) const COSINE: &str = "cosine";
