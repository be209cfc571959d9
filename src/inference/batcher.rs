//! Which rows run together.
//!
//! Takes the lengths of a chunk of rows and the budget of one run; gives groups of row indices of similar length.
//! Pure.

/// Most rows in one run, whatever the budget: past this, short texts gain nothing and the activations leave the cache.
pub(crate) const MAX_BATCH_ROWS: usize = 128;

/// Rows in groups: each group is one run of the session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Batches {
    /// Row indices, longest row first, rows of equal length in their original order.
    order: Vec<u32>,
    /// Where in `order` each group ends.
    ends: Vec<usize>,
}

impl Batches {
    /// Groups the rows so that `rows x longest row` stays within `max_batch_tokens`; a row that is longer runs alone.
    ///
    /// Every group is padded to its longest row, so sorting by length first is what keeps padding small. Rows of
    /// no length are left out: there is nothing to compute.
    pub(crate) fn new(lengths: impl IntoIterator<Item = usize>, max_batch_tokens: usize) -> Self {
        let lengths: Vec<usize> = lengths.into_iter().collect();
        let mut order: Vec<u32> =
            (0u32..).zip(&lengths).filter(|(_, length)| **length > 0).map(|(row, _)| row).collect();
        order.sort_by_key(|row| std::cmp::Reverse(lengths[*row as usize]));

        let mut ends = Vec::new();
        let mut start = 0;
        while start < order.len() {
            let longest = lengths[order[start] as usize];
            let rows = (max_batch_tokens / longest).clamp(1, MAX_BATCH_ROWS);
            start = (start + rows).min(order.len());
            ends.push(start);
        }
        Self { order, ends }
    }

    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The rows of group `index`, longest first.
    pub(crate) fn get(&self, index: usize) -> &[u32] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.order[start..self.ends[index]]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn groups_by_length_within_the_budget() {
        let batches = Batches::new([3, 9, 0, 4, 9, 30], 20);
        let groups: Vec<&[u32]> = (0..batches.len()).map(|index| batches.get(index)).collect();
        assert_eq!(groups, [&[5][..], &[1, 4], &[3, 0]]);
    }

    #[test]
    fn nothing_gives_no_batches() {
        assert_eq!(Batches::new([], 100).len(), 0);
        assert_eq!(Batches::new([0, 0], 100).len(), 0);
    }

    #[test]
    fn short_rows_stop_at_the_row_cap() {
        let batches = Batches::new(vec![1; MAX_BATCH_ROWS + 1], usize::MAX);
        assert_eq!((batches.get(0).len(), batches.get(1).len()), (MAX_BATCH_ROWS, 1));
    }

    proptest! {
        #[test]
        fn every_row_once_within_budget_and_sorted(
            lengths in prop::collection::vec(0usize..300, 0..600),
            max_batch_tokens in 0usize..4000,
        ) {
            let batches = Batches::new(lengths.iter().copied(), max_batch_tokens);
            let mut seen = vec![0; lengths.len()];
            let mut previous = usize::MAX;
            for index in 0..batches.len() {
                let rows = batches.get(index);
                prop_assert!(!rows.is_empty() && rows.len() <= MAX_BATCH_ROWS);
                let longest = lengths[rows[0] as usize];
                prop_assert!(rows.len() == 1 || rows.len() * longest <= max_batch_tokens);
                for row in rows {
                    let length = lengths[*row as usize];
                    prop_assert!(length <= previous);
                    previous = length;
                    seen[*row as usize] += 1;
                }
            }
            for (length, times) in lengths.iter().zip(seen) {
                prop_assert_eq!(times, usize::from(*length > 0));
            }
        }
    }
}
