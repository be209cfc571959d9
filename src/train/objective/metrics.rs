//! How good predictions are: takes predictions, truths and weights, gives numbers. All are exact, with ties counted
//! half, and finite if the predictions are.

use debut_udfs::metrics::area;

use super::Score;

/// A prediction and what it should have been.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) prediction: f64,
    pub(super) truth: f64,
    pub(super) weight: f64,
}

/// The area under the ROC curve. `truth` is the probability of being positive. 0.5 if there is but one kind.
pub(super) fn auc(mut outcomes: Vec<Outcome>) -> f64 {
    let weights = |one: &Outcome| (one.weight * one.truth, one.weight * (1.0 - one.truth));
    area(&mut outcomes, |one| one.prediction, weights).unwrap_or(0.5)
}

/// The mean cross entropy of logits: `softplus(z) - y z`, which overflows for no `z`.
pub(super) fn log_loss(outcomes: &[Outcome]) -> f64 {
    mean(outcomes.iter().map(|one| {
        let softplus = one.prediction.max(0.0) + (-one.prediction.abs()).exp().ln_1p();
        (softplus - one.truth * one.prediction, one.weight)
    }))
}

/// The weighted mean of `(value, weight)`; 0 if nothing has weight.
pub(super) fn mean(values: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (sum, weights) = values.fold((0.0, 0.0), |(sum, weights), (value, w)| (sum + value * w, weights + w));
    if weights > 0.0 { sum / weights } else { 0.0 }
}

/// Spearman's correlation: Pearson's of the weighted ranks. 0 if one side does not vary.
///
/// C. Spearman, "The proof and measurement of association between two things", 1904, <https://doi.org/10.2307/1412159>.
pub(super) fn spearman(outcomes: &[Outcome]) -> f64 {
    let of = |value: fn(&Outcome) -> f64| ranks(outcomes, value);
    let (predictions, truths) = (of(|one| one.prediction), of(|one| one.truth));
    let ranked = predictions.into_iter().zip(truths).zip(outcomes).map(|((prediction, truth), one)| Outcome {
        prediction,
        truth,
        weight: one.weight,
    });
    pearson(&ranked.collect::<Vec<_>>())
}

/// Pearson's correlation; 0 if one side does not vary.
pub(super) fn pearson(outcomes: &[Outcome]) -> f64 {
    let of = |value: fn(&Outcome) -> f64| mean(outcomes.iter().map(|one| (value(one), one.weight)));
    let (x, y) = (of(|one| one.prediction), of(|one| one.truth));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for one in outcomes {
        let (dx, dy) = (one.prediction - x, one.truth - y);
        xx += one.weight * dx * dx;
        yy += one.weight * dy * dy;
        xy += one.weight * dx * dy;
    }
    if xx * yy > 0.0 { (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0) } else { 0.0 }
}

/// The rank of each value: the weight below it and half of the weight of its ties.
fn ranks(outcomes: &[Outcome], value: fn(&Outcome) -> f64) -> Vec<f64> {
    let mut order = (0..outcomes.len()).collect::<Vec<_>>();
    order.sort_unstable_by(|a, b| value(&outcomes[*a]).total_cmp(&value(&outcomes[*b])));
    let (mut ranks, mut below) = (vec![0.0; outcomes.len()], 0.0);
    for ties in order.chunk_by(|a, b| value(&outcomes[*a]) == value(&outcomes[*b])) {
        let weight = ties.iter().map(|one| outcomes[*one].weight).sum::<f64>();
        ties.iter().for_each(|one| ranks[*one] = below + weight / 2.0);
        below += weight;
    }
    ranks
}

/// The place of the target among the candidates that count, from 1: after those above it and half of those beside it.
pub(super) fn rank(scores: &[f32], target: usize, counts: impl Fn(usize) -> bool) -> f64 {
    let own = scores[target];
    let others = scores.iter().enumerate().filter(|(index, _)| *index != target && counts(*index));
    others.fold(1.0, |rank, (_, score)| {
        rank + if *score > own {
            1.0
        } else if *score == own {
            0.5
        } else {
            0.0
        }
    })
}

/// The mean reciprocal rank, and the share of those at the very top, of ranks with weights.
pub(super) fn reciprocal_ranks(ranks: &[(f64, f64)]) -> Vec<Score> {
    vec![
        Score { name: "mrr", value: mean(ranks.iter().map(|(rank, weight)| (1.0 / rank, *weight))) },
        Score {
            name: "recall_at_1",
            value: mean(ranks.iter().map(|(rank, weight)| (if *rank < 2.0 { 2.0 - rank } else { 0.0 }, *weight))),
        },
    ]
}

/// A weighted confusion of classes.
#[derive(Debug)]
pub(super) struct Confusion {
    right: Vec<f64>,
    predicted: Vec<f64>,
    true_ones: Vec<f64>,
}

impl Confusion {
    /// Of so many classes, nothing seen yet.
    pub(super) fn new(classes: usize) -> Self {
        Self { right: vec![0.0; classes], predicted: vec![0.0; classes], true_ones: vec![0.0; classes] }
    }

    /// Adds an example.
    pub(super) fn add(&mut self, predicted: usize, truth: usize, weight: f64) {
        self.predicted[predicted] += weight;
        self.true_ones[truth] += weight;
        if predicted == truth {
            self.right[truth] += weight;
        }
    }

    /// The mean of the classes' F1, over the classes that occur or are predicted. Opitz and Burst, "Macro F1 and Macro F1",
    /// 2019, <https://arxiv.org/abs/1911.03347> (the mean of F1, as scikit-learn's).
    pub(super) fn macro_f1(&self) -> f64 {
        let classes = self.right.iter().zip(&self.predicted).zip(&self.true_ones);
        mean(classes.filter_map(|((right, predicted), truth)| {
            let both = predicted + truth;
            (both > 0.0).then(|| (2.0 * right / both, 1.0))
        }))
    }

    /// The share that is right.
    pub(super) fn accuracy(&self) -> f64 {
        let all = self.true_ones.iter().sum::<f64>();
        if all > 0.0 { self.right.iter().sum::<f64>() / all } else { 0.0 }
    }
}
