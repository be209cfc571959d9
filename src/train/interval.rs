//! How far the difference of two versions may be off: takes what both made of the same validation batches, gives a 95%
//! interval of the difference of their metrics.
//!
//! The percentile interval of the paired bootstrap: examples are drawn with replacement, and both versions are measured on
//! the same draw. Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13,
//! <https://doi.org/10.1201/9780429246593>. An example that is drawn n times counts n times its weight, which every
//! objective's metric reads from the shares of a batch, so that any metric can be resampled.

use super::measure::Measured;
use super::objective::{Batch, Objective, Scored};
use super::random::Purpose;

/// How often the examples are drawn.
const RESAMPLES: u32 = 500;
/// The share of the draws on each side of the interval.
const TAIL: f64 = 0.025;

/// How much better `ours` is than `theirs`, low and high: above 0 is better, whatever the metric. `None` where there are
/// fewer than two examples.
pub(super) fn difference(
    objective: &dyn Objective,
    batches: &[Batch],
    ours: &Measured,
    theirs: &Measured,
    seed: u64,
) -> Option<(f64, f64)> {
    let examples = batches.iter().map(Batch::examples).sum::<usize>();
    if examples < 2 {
        return None;
    }
    let sign = if objective.metric().higher_is_better { 1.0 } else { -1.0 };
    let mut drawn = batches.to_vec();
    let mut counts = vec![0u32; examples];
    let mut differences = Vec::with_capacity(RESAMPLES as usize);
    for resample in 0..RESAMPLES {
        let mut random = Purpose::Resample.of_batch(seed, 0, resample);
        counts.fill(0);
        (0..examples).for_each(|_| counts[random.below(examples)] += 1);
        let mut rest = counts.as_slice();
        for (batch, drawn) in batches.iter().zip(&mut drawn) {
            let (own, others) = rest.split_at(batch.examples().min(rest.len()));
            rest = others;
            drawn.count_as(batch, own);
        }
        let metric = |measured: &Measured| {
            let scored = drawn.iter().zip(&measured.outputs).map(|(batch, outputs)| Scored { batch, outputs });
            objective.evaluate(&scored.collect::<Vec<_>>()).first().map(|score| score.value)
        };
        differences.extend(metric(ours).zip(metric(theirs)).map(|(ours, theirs)| sign * (ours - theirs)));
    }
    differences.retain(|difference| difference.is_finite());
    differences.sort_unstable_by(f64::total_cmp);
    let at =
        |share: f64| differences.get((share * differences.len().saturating_sub(1) as f64).round() as usize).copied();
    at(TAIL).zip(at(1.0 - TAIL))
}
