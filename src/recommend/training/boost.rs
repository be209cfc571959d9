//! How much more new items have to count: takes a launch window, gives the boost that would have been right.
//!
//! A new item competes with items that everybody knows. Ranked by probability alone hardly any reaches a list, and what
//! is not shown is not bought. The boost multiplies a new item's odds. The curve is what `debut report` draws.

use crate::cancellation::{Cancelled, Stop, check};
use crate::random::Random;
use crate::recommend::model::blend::{Blend, TrainingExamples};
use crate::recommend::model::logits::Logits;
use crate::recommend::model::validation::{BoostPoint, K};
use crate::recommend::ranking::BlockScores;

/// What is tried.
const BOOSTS: [f64; 11] = [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0];
/// A boost is worth what it costs if it leaves no less than this share of the best recall.
const WORTH: f64 = 0.98;
/// Users who are looked at, at most.
const USERS: usize = 1500;
/// The stream of random numbers that they are drawn from.
const STREAM: u64 = 0x626f_6f73;

/// What was chosen, and from what.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    /// The boost.
    pub(crate) boost: f64,
    /// All that was tried.
    pub(crate) curve: Vec<BoostPoint>,
}

impl Choice {
    /// Nothing to choose by.
    pub(crate) fn none() -> Self {
        Self { boost: 1.0, curve: Vec::new() }
    }
}

/// Tries boosts on one window: `launches` and `known` are its new items and its others, for the same users. The blends should
/// not have been taught by it: how often new items are taken differs from window to window, and what was learned from a window
/// is right about it.
pub(crate) fn choose(
    launches: TrainingExamples<'_>,
    new: &Blend,
    known: TrainingExamples<'_>,
    old: &Blend,
    seed: u64,
    stop: Stop<'_>,
) -> Result<Choice, Cancelled> {
    let TrainingExamples { pairs, normalization, activity, .. } = launches;
    let of_new = Logits { pairs, normalization, activity, blend: new };
    let TrainingExamples { pairs, normalization, activity, .. } = known;
    let of_known = Logits { pairs, normalization, activity, blend: old };
    let takes = |user: usize| launches.taken.row(user).0.len() + known.taken.row(user).0.len();
    let mut users = (0..launches.taken.rows()).filter(|user| takes(*user) > 0).collect::<Vec<_>>();
    Random::new(seed, STREAM).shuffle(&mut users);
    users.truncate(USERS);
    let mut sums = BOOSTS.map(|boost| (BoostPoint { boost, recall: 0.0, recall_of_new: 0.0, new_share: 0.0 }, 0usize));
    let (mut new_row, mut known_row) = (vec![0.0; of_new.items()], vec![0.0; of_known.items()]);
    let mut order: Vec<(f32, bool, u32)> = Vec::new();
    for user in &users {
        check(stop)?;
        of_new.scores_into(*user..user + 1, 0..of_new.items(), &mut new_row);
        of_known.scores_into(*user..user + 1, 0..of_known.items(), &mut known_row);
        if let Some(had) = known.had {
            had.row(*user).0.iter().for_each(|item| known_row[*item as usize] = f32::NEG_INFINITY);
        }
        let (taken_new, taken_known) = (launches.taken.row(*user).0, known.taken.row(*user).0);
        for (point, takers_of_new) in &mut sums {
            let shift = point.boost.ln() as f32;
            order.clear();
            order.extend(new_row.iter().enumerate().map(|(item, logit)| (logit + shift, true, item as u32)));
            order.extend(known_row.iter().enumerate().map(|(item, logit)| (*logit, false, item as u32)));
            let k = K.min(order.len());
            if k == 0 {
                continue;
            }
            order.select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
            let places = &order[..k];
            let found = |is_new: bool, taken: &[u32]| {
                places.iter().filter(|(_, new, item)| *new == is_new && taken.binary_search(item).is_ok()).count()
                    as f64
            };
            let (new_found, known_found) = (found(true, taken_new), found(false, taken_known));
            point.recall += (new_found + known_found) / takes(*user) as f64;
            point.new_share += places.iter().filter(|(_, new, _)| *new).count() as f64 / k as f64;
            if !taken_new.is_empty() {
                point.recall_of_new += new_found / taken_new.len() as f64;
                *takers_of_new += 1;
            }
        }
    }
    let count = users.len().max(1) as f64;
    let curve = sums.map(|(point, takers_of_new)| BoostPoint {
        recall: point.recall / count,
        new_share: point.new_share / count,
        recall_of_new: point.recall_of_new / takers_of_new.max(1) as f64,
        ..point
    });
    Ok(Choice { boost: chosen(&curve), curve: curve.to_vec() })
}

/// The boost that shows the most new items among those that are worth it, and the lowest of those that show as many.
fn chosen(curve: &[BoostPoint]) -> f64 {
    let best = curve.iter().map(|point| point.recall).fold(0.0, f64::max);
    let worth = curve.iter().filter(|point| best > 0.0 && point.recall >= WORTH * best);
    let chosen = worth.reduce(|chosen, point| if point.new_share > chosen.new_share { point } else { chosen });
    chosen.map_or(1.0, |point| point.boost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve<const N: usize>(points: [(f64, f64); N]) -> Vec<BoostPoint> {
        let point = |(boost, (recall, new_share))| BoostPoint { boost, recall, recall_of_new: 0.0, new_share };
        BOOSTS.into_iter().zip(points).map(point).collect()
    }

    #[test]
    fn more_new_items_are_shown_while_little_is_lost() {
        assert_eq!(chosen(&curve([(0.100, 0.1), (0.099, 0.2), (0.098, 0.3), (0.097, 0.4)])), 2.0);
    }

    #[test]
    fn a_boost_that_changes_nothing_is_not_taken() {
        assert_eq!(chosen(&curve([(0.1, 1.0), (0.1, 1.0), (0.1, 1.0)])), 1.0, "all places are new ones anyway");
        assert_eq!(chosen(&curve([(0.1, 0.5), (0.1, 0.9), (0.1, 0.9)])), 1.5);
        assert_eq!(chosen(&curve([(0.0, 0.5), (0.0, 0.9)])), 1.0, "nothing was found with any");
        assert_eq!(chosen(&[]), 1.0);
    }
}
