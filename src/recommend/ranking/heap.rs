//! The `k` best of a stream of scores.
//!
//! Takes scores with their indices, ascending, in pieces of any length; keeps the best of them in a bounded buffer.
//!
//! Not a binary heap: what beats the threshold is put into a buffer of twice `k` or more, and a full buffer is cut back to
//! its `k` best by selection, which raises the threshold. That is a comparison for nearly all scores, many at once, and
//! a constant number of steps for each that passes, however the scores are ordered.

/// Scores that are compared before one of them is looked at.
const STEP: usize = 16;

/// A score and its index as one number: the greater, the better; of equal scores the one with the lower index.
///
/// `score` is not NaN. Negative floats are ordered the other way round as integers, so their bits are flipped.
pub(super) fn key(score: f32, index: u32) -> u64 {
    // -0.0 + 0.0 is 0.0: the two zeros are a tie.
    let bits = (score + 0.0).to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(ordered) << 32 | u64::from(!index)
}

/// The score and the index of a key.
pub(crate) fn entry(key: u64) -> (f32, u32) {
    let ordered = (key >> 32) as u32;
    let bits = if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered };
    (f32::from_bits(bits), !(key as u32))
}

/// The best so far.
#[derive(Debug, Clone)]
pub(crate) struct Best {
    k: usize,
    /// Keys in no order, `capacity` at most.
    keys: Vec<u64>,
    capacity: usize,
    /// Nothing was cut back yet: every score is kept.
    open: bool,
    /// The worst score that was kept when the buffer was last cut back. Scores at or below it are of no use, as they come
    /// with higher indices.
    threshold: f32,
}

impl Best {
    /// Keeps the `k` best.
    pub(crate) fn new(k: usize) -> Self {
        Self { k, keys: Vec::new(), capacity: k + k.max(2 * STEP), open: true, threshold: f32::INFINITY }
    }

    /// Forgets everything, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.open = true;
        self.threshold = f32::INFINITY;
    }

    /// Takes `scores` of the indices from `first` on. NaN is passed over.
    pub(crate) fn extend(&mut self, first: u32, scores: &[f32]) {
        let (steps, rest) = scores.as_chunks::<STEP>();
        let mut index = first;
        for step in steps {
            self.step(index, step);
            index += STEP as u32;
        }
        for (index, score) in (index..).zip(rest) {
            self.push(index, *score);
        }
    }

    #[inline(always)]
    fn step(&mut self, first: u32, scores: &[f32; STEP]) {
        if self.open {
            for (index, score) in (first..).zip(scores) {
                self.push(index, *score);
            }
            return;
        }
        // NaN is above nothing. Without a branch in it, this becomes a few comparisons of whole registers.
        let mut any = false;
        for score in scores {
            any |= *score > self.threshold;
        }
        if any {
            self.step_with_hits(first, scores);
        }
    }

    // Apart from the loop over steps, which is short without it.
    #[inline(never)]
    fn step_with_hits(&mut self, first: u32, scores: &[f32; STEP]) {
        let mut hits = 0u32;
        for (place, score) in scores.iter().enumerate() {
            hits |= u32::from(*score > self.threshold) << place;
        }
        while hits != 0 {
            let place = hits.trailing_zeros();
            hits &= hits - 1;
            self.push(first + place, scores[place as usize % STEP]);
        }
    }

    /// Takes one score, whose index is above all that came before.
    pub(super) fn push(&mut self, index: u32, score: f32) {
        if score > self.threshold || (self.open && !score.is_nan()) {
            self.keep(key(score, index));
        }
    }

    /// Takes what another one kept, whatever its indices. Nothing but that can be taken afterwards.
    pub(super) fn merge(&mut self, other: &Self) {
        other.keys.iter().for_each(|key| self.keep(*key));
    }

    /// The best, in descending order, at most `k`.
    pub(crate) fn sorted(&mut self) -> &[u64] {
        self.cut();
        self.keys.sort_unstable_by(|a, b| b.cmp(a));
        &self.keys
    }

    fn keep(&mut self, key: u64) {
        self.keys.push(key);
        if self.keys.len() == self.capacity {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.keys.len() <= self.k {
            return;
        }
        if let Some(last) = self.k.checked_sub(1) {
            let (_, worst, _) = self.keys.select_nth_unstable_by(last, |a, b| b.cmp(a));
            self.threshold = entry(*worst).0;
        }
        self.open = false;
        self.keys.truncate(self.k);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best_of(scores: &[f32], k: usize, piece: usize) -> Vec<(f32, u32)> {
        let mut best = Best::new(k);
        for (number, piece_scores) in scores.chunks(piece).enumerate() {
            best.extend((number * piece) as u32, piece_scores);
        }
        best.sorted().iter().map(|key| entry(*key)).collect()
    }

    fn sorted_all(scores: &[f32], k: usize) -> Vec<(f32, u32)> {
        let mut all = (0..).zip(scores).filter(|(_, score)| !score.is_nan()).collect::<Vec<(u32, _)>>();
        all.sort_by(|a, b| b.1.partial_cmp(a.1).unwrap().then(a.0.cmp(&b.0)));
        all.into_iter().take(k).map(|(index, score)| (*score, index)).collect()
    }

    #[test]
    fn keys_are_in_the_order_of_scores_and_then_of_indices() {
        let scores = [f32::INFINITY, f32::MAX, 1.5, 1e-45, 0.0, -1e-45, -1.5, f32::MIN, f32::NEG_INFINITY];
        let keys = scores.iter().flat_map(|score| [key(*score, 0), key(*score, 7), key(*score, u32::MAX)]);
        let keys = keys.collect::<Vec<_>>();
        assert!(keys.windows(2).all(|two| two[0] > two[1]));
        for (place, key) in keys.iter().enumerate() {
            assert_eq!(entry(*key), (scores[place / 3], [0, 7, u32::MAX][place % 3]));
        }
        assert_eq!(key(-0.0, 3), key(0.0, 3));
    }

    #[test]
    fn ascending_descending_equal_and_empty_streams() {
        let ascending = (0..500).map(|x| x as f32).collect::<Vec<_>>();
        let descending = ascending.iter().rev().copied().collect::<Vec<_>>();
        for scores in [ascending, descending, vec![1.0; 500], vec![f32::NEG_INFINITY; 500], vec![f32::NAN; 500], vec![]]
        {
            for k in [0, 1, 20, 499, 500, 501] {
                assert_eq!(best_of(&scores, k, 33), sorted_all(&scores, k), "k = {k} of {:?}...", scores.first());
            }
        }
    }

    #[test]
    fn a_cleared_one_starts_anew() {
        let mut best = Best::new(2);
        best.extend(0, &[9.0; 100]);
        best.clear();
        best.extend(0, &[f32::NEG_INFINITY, 1.0, f32::NAN]);
        assert_eq!(best.sorted(), [key(1.0, 1), key(f32::NEG_INFINITY, 0)]);
    }

    #[test]
    fn merging_takes_lower_indices_of_equal_scores() {
        let (mut late, mut early) = (Best::new(3), Best::new(3));
        late.extend(100, &[1.0; 200]);
        early.extend(0, &[1.0; 100]);
        late.merge(&early);
        assert_eq!(late.sorted(), [key(1.0, 0), key(1.0, 1), key(1.0, 2)]);
    }

    proptest! {
        #[test]
        fn the_best_are_those_of_a_sort(
            // Few distinct values, so that there are ties.
            scores in prop::collection::vec(prop_oneof![8 => (-20i8..20).prop_map(f32::from), 1 => any::<f32>()], 0..300),
            k in 0usize..40,
            piece in 1usize..70,
        ) {
            let (got, expected) = (best_of(&scores, k, piece), sorted_all(&scores, k));
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn merging_is_as_one_stream(scores in prop::collection::vec(-20i8..20, 1..300), k in 0usize..40, at in 0usize..300) {
            let scores = scores.into_iter().map(f32::from).collect::<Vec<_>>();
            let at = at.min(scores.len());
            let (mut left, mut right) = (Best::new(k), Best::new(k));
            left.extend(0, &scores[..at]);
            right.extend(at as u32, &scores[at..]);
            left.merge(&right);
            let got = left.sorted().iter().map(|key| entry(*key)).collect::<Vec<_>>();
            prop_assert_eq!(got, sorted_all(&scores, k));
        }
    }
}
