//! AdaLoRA: beside each chosen linear layer stands `x P diag(l) Q * alpha / rank`, a product in the form of a singular value
//! decomposition; while training, the singular values that matter least are set to zero, over all layers together, until
//! the budget is met. At the end the product is added to the weight. <https://arxiv.org/abs/2303.10512>
//!
//! What is as in the paper: the form, its first values, the budget's cubic schedule, ranking over all layers, and that a
//! value set to zero may come back. What differs: importance is `|l|` times the mean gradient that the optimizer keeps
//! anyway (the paper smooths the product of the two), and orthogonality is a loss that the trainer adds, see
//! [`orthogonality`].

use super::lora::{check_rank, merge, targets};
use super::modules::Linear;
use crate::onnx::graph::{GraphBuilder, Value, attribute_int};
use crate::random::Random;
use crate::train::encoder::Encoder;
use crate::train::error::Error;
use crate::train::parameter::Parameter;

/// Deviation of the first values of `P` and `Q`, as in the authors' code.
const DEVIATION: f32 = 0.02;
const LEFT: &str = ".adalora_P";
const VALUES: &str = ".adalora_L";
const RIGHT: &str = ".adalora_Q";

/// The rank of every product at the beginning, for a mean rank at the end: one and a half times as much, as in the paper.
pub fn first_rank(rank: usize) -> usize {
    rank + rank.div_ceil(2)
}

pub(super) fn edit(encoder: &mut Encoder, rank: usize, alpha: f32, wanted: &[String], seed: u64) -> Result<(), Error> {
    let scale = alpha / rank as f32;
    let mut random = Random::expanded(seed);
    for linear in targets(encoder, "adalora", wanted)? {
        check_rank(rank, &linear)?;
        let name = |part: &str| format!("{}{part}", linear.name);
        let left = Parameter::new(name(LEFT), &[linear.from, rank], random.normals(linear.from * rank, DEVIATION));
        let values = Parameter::new(name(VALUES), &[rank], vec![0.0; rank]);
        let right = Parameter::new(name(RIGHT), &[rank, linear.to], random.normals(rank * linear.to, DEVIATION));
        if encoder.is_training() {
            let (left, values) = (encoder.declare(left)?, encoder.declare(values)?);
            let right = encoder.declare(right)?;
            add(encoder, &linear, [&left, &values, &right], scale);
        } else {
            let mut left = encoder.trained(&left.name, &left.shape)?;
            let values = encoder.trained(&values.name, &values.shape)?;
            let right = encoder.trained(&right.name, &right.shape)?;
            for row in left.chunks_exact_mut(rank) {
                row.iter_mut().zip(&values).for_each(|(element, value)| *element *= value);
            }
            merge(encoder, &linear, &left, &right, scale)?;
        }
    }
    Ok(())
}

fn add(encoder: &mut Encoder, linear: &Linear, [left, values, right]: [&Value; 3], scale: f32) {
    encoder.graph.scope(format!("{}/adalora", linear.name));
    for r#use in &linear.uses {
        let x = encoder.current(&r#use.input);
        let graph = &mut encoder.graph;
        let scale = graph.scalar_f32(scale);
        let values = graph.mul(values, &scale);
        let thin = graph.matmul(&x, left);
        let thin = graph.mul(&thin, &values);
        let change = graph.matmul(&thin, right);
        let sum = graph.add(&r#use.output, &change);
        encoder.replace(&r#use.output, &sum, &[sum.name()]);
    }
}

/// Whether a parameter of this name holds the singular values of a layer.
pub fn is_singular_values(name: &str) -> bool {
    name.ends_with(VALUES)
}

/// How far `P` and `Q` are from being orthogonal, `sum |P^T P - I|^2 + |Q Q^T - I|^2`, a scalar to be added to the loss
/// with a weight (the paper's is 0.1). `None` where nothing is an AdaLoRA.
pub fn orthogonality(graph: &mut GraphBuilder, parameters: &[Parameter]) -> Option<Value> {
    let mut total: Option<Value> = None;
    let chosen =
        parameters.iter().filter(|parameter| parameter.name.ends_with(LEFT) || parameter.name.ends_with(RIGHT));
    for parameter in chosen.collect::<Vec<_>>() {
        let tall = parameter.name.ends_with(LEFT);
        let rank = parameter.shape[usize::from(tall)];
        let x = graph.value(&parameter.name);
        let turned = graph.transpose(&x, &[1, 0]);
        let gram = if tall { graph.matmul(&turned, &x) } else { graph.matmul(&x, &turned) };
        let unit = (0..rank * rank).map(|place| if place % (rank + 1) == 0 { 1.0 } else { 0.0 }).collect::<Vec<f32>>();
        let unit = graph.list_f32(&unit);
        let unit = graph.reshape(&unit, &[rank as i64, rank as i64]);
        let off = graph.sub(&gram, &unit);
        let square = graph.mul(&off, &off);
        let axes = graph.list_i64(&[0, 1]);
        let sum = graph.node("ReduceSum", &[&square, &axes], vec![attribute_int("keepdims", 0)]);
        total = Some(match total {
            Some(total) => graph.add(&total, &sum),
            None => sum,
        });
    }
    total
}

/// The mean rank that is left in step `step` of `steps`: `rank` until a tenth of them are done, `target` for the last
/// three tenths, a cubic curve between (the paper's equation 12).
pub fn budget(rank: usize, target: usize, step: u64, steps: u64) -> f64 {
    let (begin, end) = (steps as f64 * 0.1, steps as f64 * 0.7);
    let left = 1.0 - ((step as f64 - begin) / (end - begin).max(1.0)).clamp(0.0, 1.0);
    target as f64 + (rank - target.min(rank)) as f64 * left.powi(3)
}

/// Sets all but the most important singular values to zero, so that `budget` are left on average in each of `layers`:
/// pairs of a layer's singular values and their mean gradients.
pub fn prune(layers: &mut [(Vec<f32>, Vec<f32>)], budget: f64) {
    let importance = |(values, gradients): &(Vec<f32>, Vec<f32>), place: usize| {
        (values[place] * gradients.get(place).copied().unwrap_or(0.0)).abs()
    };
    let mut order = Vec::new();
    for (layer, pair) in layers.iter().enumerate() {
        order.extend((0..pair.0.len()).map(|place| (importance(pair, place), layer, place)));
    }
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let kept = (budget * layers.len() as f64).round() as usize;
    for (_, layer, place) in order.into_iter().skip(kept) {
        layers[layer].0[place] = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_falls_from_the_rank_to_the_target() {
        let budgets = (0..=100).map(|step| budget(12, 4, step, 100)).collect::<Vec<_>>();
        assert!(budgets.is_sorted_by(|a, b| a >= b), "{budgets:?}");
        assert_eq!((budgets[0], budgets[10], budgets[40], budgets[70], budgets[100]), (12.0, 12.0, 5.0, 4.0, 4.0));
        assert_eq!(budget(4, 4, 0, 0), 4.0);
    }

    #[test]
    fn the_most_important_values_of_all_layers_are_kept() {
        let mut layers = [(vec![1.0, -3.0, 0.5], vec![0.1, 0.1, 0.1]), (vec![0.2, 9.0, -4.0], vec![1.0, 0.0, 1.0])];
        prune(&mut layers, 1.5);
        assert_eq!(layers[0].0, [0.0, -3.0, 0.0]);
        assert_eq!(layers[1].0, [0.2, 0.0, -4.0]);
    }
}
