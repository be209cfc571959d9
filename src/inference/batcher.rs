//! Which rows run together.
//!
//! Takes the lengths of a chunk of rows and the budget of one run; gives groups of row indices of similar length.
//! Pure.

use debut_udfs::config::BatchTokens;

use super::runtime::Target;

/// Most tokens in one run on a CPU, measured (`benches/README.md`).
const CPU_TOKENS: usize = 512;
/// Most rows in one run on a CPU, whatever the tokens: past this, short texts gain nothing and the activations leave the cache.
const CPU_ROWS: usize = 128;
/// Most tokens in one run on a GPU, whose units wait for work in small runs.
const GPU_TOKENS: usize = 16_384;

/// How much may run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Most tokens, padding included.
    tokens: usize,
    /// Most rows.
    rows: usize,
}

impl Budget {
    /// What the setting is on `target`.
    pub(crate) fn of(setting: BatchTokens, target: &Target) -> Self {
        let (tokens, rows) = match target {
            Target::Cpu => (CPU_TOKENS, CPU_ROWS),
            Target::Cuda { .. } => (GPU_TOKENS, usize::MAX),
        };
        let tokens = match setting {
            BatchTokens::Auto => tokens,
            BatchTokens::Most(tokens) => tokens,
        };
        Self { tokens, rows }
    }
}

/// Rows in groups: each group is one run of the session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Batches {
    /// Row indices, longest row first, rows of equal length in their original order.
    order: Vec<u32>,
    /// Where in `order` each group ends.
    ends: Vec<usize>,
}

impl Batches {
    /// Groups the rows so that `rows x longest row` stays within the budget's tokens; a row that is longer runs alone.
    ///
    /// Every group is padded to its longest row, so sorting by length first is what keeps padding small. Rows of
    /// no length are left out: there is nothing to compute.
    pub(crate) fn new(lengths: impl IntoIterator<Item = usize>, budget: Budget) -> Self {
        let lengths: Vec<usize> = lengths.into_iter().collect();
        let mut order: Vec<u32> =
            (0u32..).zip(&lengths).filter(|(_, length)| **length > 0).map(|(row, _)| row).collect();
        order.sort_by_key(|row| std::cmp::Reverse(lengths[*row as usize]));

        let mut ends = Vec::new();
        let mut start = 0;
        while start < order.len() {
            let longest = lengths[order[start] as usize];
            let rows = (budget.tokens / longest).clamp(1, budget.rows);
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
        let batches = Batches::new([3, 9, 0, 4, 9, 30], Budget { tokens: 20, rows: CPU_ROWS });
        let groups: Vec<&[u32]> = (0..batches.len()).map(|index| batches.get(index)).collect();
        assert_eq!(groups, [&[5][..], &[1, 4], &[3, 0]]);
    }

    #[test]
    fn nothing_gives_no_batches() {
        assert_eq!(Batches::new([], Budget { tokens: 100, rows: CPU_ROWS }).len(), 0);
        assert_eq!(Batches::new([0, 0], Budget { tokens: 100, rows: CPU_ROWS }).len(), 0);
    }

    #[test]
    fn short_rows_stop_at_the_row_cap() {
        let batches = Batches::new(vec![1; CPU_ROWS + 1], Budget::of(BatchTokens::Most(usize::MAX), &Target::Cpu));
        assert_eq!((batches.get(0).len(), batches.get(1).len()), (CPU_ROWS, 1));
    }

    #[test]
    fn a_gpu_takes_more_at_once() {
        let gpu = Target::Cuda { name: "GPU".into() };
        let first = |setting, target| Batches::new(vec![8; 4096], Budget::of(setting, target)).get(0).len();
        assert_eq!(first(BatchTokens::Auto, &Target::Cpu), CPU_TOKENS / 8);
        assert_eq!(first(BatchTokens::Auto, &gpu), GPU_TOKENS / 8);
        assert_eq!(first(BatchTokens::Most(80), &gpu), 10);
    }

    proptest! {
        #[test]
        fn every_row_once_within_budget_and_sorted(
            lengths in prop::collection::vec(0usize..300, 0..600),
            tokens in 0usize..4000,
            is_gpu: bool,
        ) {
            let target = if is_gpu { Target::Cuda { name: "GPU".into() } } else { Target::Cpu };
            let budget = Budget::of(BatchTokens::Most(tokens), &target);
            let batches = Batches::new(lengths.iter().copied(), budget);
            let mut seen = vec![0; lengths.len()];
            let mut previous = usize::MAX;
            for index in 0..batches.len() {
                let rows = batches.get(index);
                prop_assert!(!rows.is_empty() && rows.len() <= budget.rows);
                let longest = lengths[rows[0] as usize];
                prop_assert!(rows.len() == 1 || rows.len() * longest <= tokens);
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
