//! `contrastive` of texts and pictures: each text picks its picture out of the batch's, and each picture its text. The vector of an
//! example is that of its text and that of its picture side by side, as a base of two towers gives it; the two are compared as
//! such a base compares them, with its scale and its bias trained too.
//!
//! - With a scale alone, half the cross entropy over the pictures of each text and half that over the texts of each picture;
//!   cosines are multiplied by 100 at most. A scale that has come to it stays there, where CLIP sets it back to it after each
//!   step. Radford et al., "Learning transferable visual models from natural language supervision", 2021, figure 3,
//!   <https://arxiv.org/abs/2103.00020>
//! - With a bias too, whether each text and picture belong together, by the logistic loss. Zhai et al., "Sigmoid loss for language
//!   image pre-training", 2023, algorithm 1, <https://arxiv.org/abs/2303.15343>
//!
//! Pictures that belong to the text as well, because one of the two stands in more than one example, are masked: they are no
//! negatives.

use std::collections::HashMap;

use debut_udfs::model::TextTower;

use super::batch::{Batch, BatchInputs, Scored, shares};
use super::metrics::{rank, reciprocal_ranks};
use super::{
    Embeddings, Forward, MASKED, Metric, Objective, Product, Score, cross_entropy, input, total, total_of_rows,
};
use crate::onnx::graph::{GraphBuilder, Value};
use crate::onnx::proto::DataType;
use crate::random::Random;
use crate::train::data::TextImages;
use crate::train::error::Error;
use crate::train::parameter::Parameter;
use crate::train::pooling;
use crate::train::step::feed::Feed;

const EXAMPLES: &str = "text_image/examples";
const MASK: &str = "text_image/mask";
const SHARES: &str = "text_image/shares";
const LOGIT_SCALE: &str = "text_image/logit_scale";
const LOGIT_BIAS: &str = "text_image/logit_bias";
/// What cosines are multiplied by at most, where there is no bias.
const LARGEST_SCALE: f32 = 100.0;

/// The objective.
#[derive(Debug)]
pub(super) struct TextImage {
    examples: TextImages,
    /// How the base compares.
    first: TextTower,
}

impl TextImage {
    pub(super) fn new(examples: TextImages, first: TextTower) -> Self {
        Self { examples, first }
    }
}

/// How a trained version compares, by the values of what was trained.
///
/// # Errors
/// The scale is not among them.
pub(in crate::train) fn trained_tower(values: &HashMap<String, Vec<f32>>) -> Result<TextTower, Error> {
    let number = |name| values.get(name).and_then(|values: &Vec<f32>| values.first()).copied();
    let missing = || Error::Trained { tensor: LOGIT_SCALE.to_owned(), problem: "is missing".to_owned() };
    let (scale, logit_bias) = (number(LOGIT_SCALE).ok_or_else(missing)?.exp(), number(LOGIT_BIAS));
    let logit_scale = if logit_bias.is_some() { scale } else { scale.min(LARGEST_SCALE) };
    Ok(TextTower { logit_scale, logit_bias })
}

impl Objective for TextImage {
    fn parameters(&self, _base: &Embeddings) -> Vec<Parameter> {
        let TextTower { logit_scale, logit_bias } = self.first;
        let scale = if logit_bias.is_some() { logit_scale.ln() } else { logit_scale.min(LARGEST_SCALE).ln() };
        let bias = logit_bias.map(|bias| Parameter::new(LOGIT_BIAS, &[1], vec![bias]));
        [Parameter::new(LOGIT_SCALE, &[1], vec![scale])].into_iter().chain(bias).collect()
    }

    fn loss(&self, graph: &mut GraphBuilder, embeddings: &Value, head: &[Value]) -> Forward {
        let outer = graph.scope("text_image");
        let examples = input(graph, EXAMPLES, DataType::Int64, &["examples"]);
        let mask = input(graph, MASK, DataType::Float, &["examples", "examples"]);
        let shares = input(graph, SHARES, DataType::Float, &["examples", "examples"]);
        // [inputs, 2 * dimension] to [examples, 2, dimension].
        let vectors = graph.gather(embeddings, &examples, 0);
        let vectors = graph.reshape(&vectors, &[0, 2, -1]);
        let vectors = pooling::normalize(graph, &vectors);
        let [texts, images] = [0, 1].map(|part| {
            let part = graph.scalar_i64(part);
            graph.gather(&vectors, &part, 1)
        });
        let images = graph.transpose(&images, &[1, 0]);
        let cosines = graph.matmul(&texts, &images);
        let bias = head.get(1);
        let scale = if bias.is_some() { head[0].clone() } else { graph.clip(&head[0], f32::MIN, LARGEST_SCALE.ln()) };
        let scale = graph.node("Exp", &[&scale], vec![]);
        let mut logits = graph.mul(&cosines, &scale);
        if let Some(bias) = bias {
            logits = graph.add(&logits, bias);
        }
        let logits = graph.add(&logits, &mask);
        let loss = if bias.is_some() {
            // -log sigmoid(z) of what belongs together, and -log sigmoid(-z) of what does not; of what is masked that is nothing.
            let softplus = graph.node("Softplus", &[&logits], vec![]);
            let weights = total_of_rows(graph, &shares);
            let weights = graph.unsqueeze(&weights, &[-1]);
            let all = graph.mul(&softplus, &weights);
            let pairs = graph.mul(&logits, &shares);
            let losses = graph.sub(&all, &pairs);
            total(graph, &losses)
        } else {
            let turned = graph.transpose(&logits, &[1, 0]);
            let of_texts = cross_entropy(graph, &logits, &shares);
            let of_images = cross_entropy(graph, &turned, &shares);
            let half = graph.scalar_f32(0.5);
            let both = graph.add(&of_texts, &of_images);
            graph.mul(&both, &half)
        };
        graph.scope(outer);
        Forward { loss, outputs: vec![logits] }
    }

    fn batch(&self, examples: &[u32], _random: &mut Random) -> Batch {
        let of = |example: &u32| *example as usize;
        let mut inputs = BatchInputs::with_capacity(examples.len());
        let places = examples.iter().map(|example| inputs.place(self.examples.input[of(example)])).collect();
        let mut weights = examples.iter().map(|example| self.examples.weight[of(example)]).collect::<Vec<_>>();
        let weight = shares(&mut weights);
        let count = examples.len();
        let (mut mask, mut diagonal) = (vec![0.0; count * count], vec![0.0; count * count]);
        for (row, example) in examples.iter().enumerate() {
            diagonal[row * count + row] = weights[row];
            let text = self.examples.text[of(example)];
            for (column, other) in examples.iter().enumerate().filter(|(column, _)| *column != row) {
                if self.examples.has.contains(text, self.examples.image[of(other)]) {
                    mask[row * count + column] = MASKED;
                }
            }
        }
        let feeds = vec![
            Feed::i64(EXAMPLES, &[count], places),
            Feed::f32(MASK, &[count, count], mask),
            Feed::f32(SHARES, &[count, count], diagonal),
        ];
        Batch { inputs: inputs.finish(), feeds, weight }
    }

    fn metric(&self) -> Metric {
        Metric { name: "mrr", higher_is_better: true }
    }

    /// How far up the picture of each text is among its batch's pictures, and the text of each picture among its texts: the mean
    /// reciprocal rank, and the share of those at the very top, each over both.
    fn evaluate(&self, batches: &[Scored<'_>]) -> Vec<Score> {
        let mut ranks = Vec::new();
        for scored in batches {
            let (shares, mask) = (scored.batch.floats(SHARES), scored.batch.floats(MASK));
            let count = scored.batch.width(SHARES);
            for example in 0..scored.batch.examples() {
                let weight = f64::from(shares[example * count + example]) * f64::from(scored.batch.weight);
                let row = |place: usize| example * count + place;
                let column = |place: usize| place * count + example;
                for cell in [&row as &dyn Fn(usize) -> usize, &column] {
                    let scores = (0..count).map(|place| scored.output()[cell(place)]).collect::<Vec<_>>();
                    ranks.push((rank(&scores, example, |place| mask[cell(place)] == 0.0), weight));
                }
            }
        }
        reciprocal_ranks(&ranks)
    }

    fn product(&self) -> Product {
        Product::TwoTowers
    }
}
