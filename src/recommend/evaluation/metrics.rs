//! One user's ranking against what the user bought.
//!
//! Takes a row of scores over the candidates, the candidates that are left out (already bought) and the relevant ones;
//! gives recall, NDCG, hit rate and MAP at each k, MRR and AUC of the whole ranking, and the first places themselves.
//! Called with each user's row, by a [`Evaluator`] of its own on each thread.
//!
//! Ties are broken at random but reproducibly: by a hash of the seed, the user and the item. Every method is judged with
//! the same ties, and a method that scores all alike is as good as chance, and not as good as the order of the catalogue.
//! AUC counts ties half. Everything is found in one pass over the row for each set of relevant items, without sorting it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Column, Metric};

/// The metrics that are cut at k, in the order of [`Evaluator::columns`].
const CUT: [Metric; 4] = [Metric::Recall, Metric::Ndcg, Metric::HitRate, Metric::Map];

/// The key of a candidate that is left out; no other key is as low.
const LEFT_OUT: u64 = 0;

/// Measures one user after the other. Buffers are kept, so a row costs no allocation.
#[derive(Debug)]
pub struct Evaluator {
    cuts: Vec<usize>,
    seed: u64,
    /// Of each candidate: its score above its random number, both so that a greater one comes first.
    keys: Vec<u64>,
    candidates: usize,
    top: Vec<u32>,
    heap: BinaryHeap<Reverse<Place>>,
    relevant: Vec<Place>,
    /// How many candidates are above the relevant item of this index, but not above the one before it.
    between: Vec<usize>,
    ranks: Vec<usize>,
}

/// Where a candidate is ranked: a greater one comes first. The item decides where even the random numbers are equal.
type Place = (u64, Reverse<u32>);

impl Evaluator {
    /// Measures at these k; ties are broken by this seed.
    pub fn new(cuts: &[usize], seed: u64) -> Self {
        Self {
            cuts: cuts.to_vec(),
            seed,
            keys: Vec::new(),
            candidates: 0,
            top: Vec::new(),
            heap: BinaryHeap::new(),
            relevant: Vec::new(),
            between: Vec::new(),
            ranks: Vec::new(),
        }
    }

    /// What [`Self::measure`] gives, in its order: for each k recall, NDCG, hit rate and MAP; then MRR and AUC.
    pub fn columns(&self) -> Vec<Column> {
        let cut = self.cuts.iter().flat_map(|k| CUT.map(|metric| Column { metric, k: Some(*k) }));
        cut.chain([Metric::Mrr, Metric::Auc].map(|metric| Column { metric, k: None })).collect()
    }

    /// Reads a user's row. `scores` has one for each candidate; a NaN is ranked last. `left_out` are ascending candidates
    /// that are not ranked. `user` is the same number for the user in every method that is compared.
    pub fn rank(&mut self, user: u64, scores: &[f32], left_out: &[u32]) {
        let user = mix(self.seed ^ mix(user));
        self.keys.clear();
        self.keys.extend(scores.iter().enumerate().map(|(item, score)| {
            let tie = mix(user.wrapping_add(item as u64)) >> 32;
            u64::from(ascending(*score)) << 32 | tie
        }));
        for item in left_out {
            if let Some(key) = self.keys.get_mut(*item as usize) {
                *key = LEFT_OUT;
            }
        }
        self.candidates = self.keys.iter().filter(|key| **key != LEFT_OUT).count();
        self.find_top();
    }

    fn find_top(&mut self) {
        let most = self.cuts.iter().copied().max().unwrap_or(0);
        self.heap.clear();
        let mut least = LEFT_OUT;
        for (item, key) in self.keys.iter().enumerate().filter(|_| most > 0) {
            // Items come in ascending order, so one with the key of the last place comes behind it.
            if *key <= least {
                continue;
            }
            self.heap.push(Reverse((*key, Reverse(item as u32))));
            if self.heap.len() > most {
                self.heap.pop();
            }
            if self.heap.len() == most {
                least = self.heap.peek().map_or(LEFT_OUT, |last| last.0.0);
            }
        }
        self.top.clear();
        while let Some(Reverse((_, Reverse(item)))) = self.heap.pop() {
            self.top.push(item);
        }
        self.top.reverse();
    }

    /// The user's best candidates, best first: as many as the largest k, or all there are.
    pub fn top(&self) -> &[u32] {
        &self.top
    }

    /// How many candidates were ranked.
    pub fn candidates(&self) -> usize {
        self.candidates
    }

    /// Measures the ranking of the last [`Self::rank`]. `relevant` are different candidates, in any order; those that were
    /// left out do not count. `others` are relevant too, but of another segment, none of them in `relevant`: they take their
    /// places in the ranking, and are no mistakes to AUC. Fills `values` by [`Self::columns`] and says whether anything is relevant; if not, all
    /// are NaN. AUC is NaN where everything is relevant.
    ///
    /// Recall is the relevant items in the first k over all relevant ones. NDCG has gains of 1, and its ideal is cut at
    /// min(relevant, k): Järvelin and Kekäläinen, 2002, <https://doi.org/10.1145/582415.582418>. MAP is the precision at
    /// each relevant item of the first k, summed and divided by min(relevant, k).
    pub fn measure(&mut self, relevant: &[u32], others: &[u32], values: &mut [f64]) -> bool {
        values.fill(f64::NAN);
        let keys = &self.keys;
        let key_of = |item: &u32| keys.get(*item as usize).copied().filter(|key| *key != LEFT_OUT);
        self.relevant.clear();
        self.relevant.extend(relevant.iter().filter_map(|item| Some((key_of(item)?, Reverse(*item)))));
        self.relevant.sort_unstable_by(|a, b| b.cmp(a));
        if self.relevant.is_empty() {
            return false;
        }
        let orders = others.iter().filter_map(key_of).map(order);
        let (ignored, their_wins) =
            orders.fold((0, 0), |(count, sum), order| (count + 1, sum + half_wins(&self.relevant, order)));
        let wins = self.find_ranks();
        let (count, cut) = (self.relevant.len(), self.cuts.len() * CUT.len());
        for (k, values) in self.cuts.iter().zip(values.chunks_exact_mut(CUT.len())) {
            values.copy_from_slice(&at(&self.ranks, *k));
        }
        if let [mrr, auc, ..] = values.get_mut(cut..).unwrap_or_default() {
            *mrr = 1.0 / self.ranks[0] as f64;
            let negatives = self.candidates - (count + ignored).min(self.candidates);
            // Relevant items among themselves won half of the time, each against itself included.
            let wins = wins.saturating_sub((count * count) as u64 + their_wins);
            if negatives > 0 {
                *auc = wins as f64 / (2.0 * count as f64 * negatives as f64);
            }
        }
        true
    }

    /// The ranks of the relevant items, best first, from 1; and twice the number of candidates that they beat, ties half.
    fn find_ranks(&mut self) -> u64 {
        let relevant = &self.relevant;
        let count = relevant.len();
        let Some(last) = relevant.last() else { return 0 };
        let mut wins = 0;
        self.between.clear();
        self.between.resize(count, 0);
        for (item, key) in self.keys.iter().enumerate() {
            if order(*key) < order(last.0) {
                // Most candidates are below all relevant ones. Those that are left out are, too, and no win.
                wins += if *key == LEFT_OUT { 0 } else { 2 * count as u64 };
                continue;
            }
            wins += half_wins(relevant, order(*key));
            let place = (*key, Reverse(item as u32));
            let below = relevant.partition_point(|other| *other > place);
            if let Some(between) = self.between.get_mut(below).filter(|_| relevant.get(below) != Some(&place)) {
                *between += 1;
            }
        }
        self.ranks.clear();
        let mut above = 0;
        self.ranks.extend(self.between.iter().enumerate().map(|(index, between)| {
            above += between;
            above + index + 1
        }));
        wins
    }
}

/// Recall, NDCG, hit rate and MAP at `k` of the ascending `ranks`.
fn at(ranks: &[usize], k: usize) -> [f64; CUT.len()] {
    let discount = |rank: usize| 1.0 / ((rank + 1) as f64).log2();
    let hits = ranks.partition_point(|rank| *rank <= k);
    let ideal = ranks.len().min(k);
    if ideal == 0 {
        return [0.0; CUT.len()];
    }
    let gain: f64 = ranks[..hits].iter().map(|rank| discount(*rank)).sum();
    let best: f64 = (1..=ideal).map(discount).sum();
    let precision: f64 = ranks[..hits].iter().zip(1..).map(|(rank, found)| f64::from(found) / *rank as f64).sum();
    [hits as f64 / ranks.len() as f64, gain / best, if hits > 0 { 1.0 } else { 0.0 }, precision / ideal as f64]
}

/// Twice the number of relevant items above a candidate of this order, and once those beside it.
fn half_wins(relevant: &[Place], of: u32) -> u64 {
    let above = relevant.partition_point(|(key, _)| order(*key) > of);
    let beside = relevant[above..].partition_point(|(key, _)| order(*key) == of);
    (2 * above + beside) as u64
}

fn order(key: u64) -> u32 {
    (key >> 32) as u32
}

/// A number that is greater for a greater score. NaN is the least; zeros are equal. Never 0.
fn ascending(score: f32) -> u32 {
    if score.is_nan() {
        return 1;
    }
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// Spreads a number over all 64 bits: the finaliser of `SplitMix64`, Steele, Lea and Flood, 2014,
/// <https://doi.org/10.1145/2660193.2660195>.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
#[path = "tests/metrics.rs"]
mod tests;
