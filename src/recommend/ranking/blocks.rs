//! Users x items in blocks: the best items of every user and the best users of every item.
//!
//! Takes a source of scores that can fill any block of the matrix, and how many to keep; gives the best, without ever
//! holding more of the matrix than a block for each thread.

use std::ops::Range;

use rayon::prelude::*;

use super::heap::{Best, entry};
use crate::cancellation::{Cancelled, Stop, check};
use crate::linalg::dense::{Matrix, product_into};
use crate::linalg::sparse::Csr;

/// A matrix of scores, users x items, that is computed block by block.
pub trait BlockScores: Sync {
    /// Number of users, the rows.
    fn users(&self) -> usize;

    /// Number of items, the columns.
    fn items(&self) -> usize;

    /// The scores of some users for some items into `out`, row by row: `users.len() * items.len()` values, all of which
    /// are overwritten. NaN is a pair that is never ranked. The same pair has the same score in every block that is asked for.
    fn scores_into(&self, users: Range<usize>, items: Range<usize>, out: &mut [f32]);

    /// The block that is best asked for: so many users, so many items, at most. Sources that can only score a user's whole row
    /// answer `usize::MAX` for the items.
    fn block(&self) -> (usize, usize) {
        (BLOCK_USERS, BLOCK_ITEMS)
    }
}

/// Users of a block, where the source does not say otherwise. The product reads the items' factors into a form of its own for
/// every block, which pays with many users; a block's scores and factors (64 each) stay in a core's second cache.
/// `benches/ranking.rs` measures other shapes.
pub const BLOCK_USERS: usize = 512;
/// Items of a block, where the source does not say otherwise. See [`BLOCK_USERS`].
pub const BLOCK_ITEMS: usize = 128;

/// Blocks of users are made smaller until there are this many, so that few users keep all cores busy. It is not the number of
/// threads: results must not depend on that.
const LEAST_BLOCKS: usize = 16;

/// Scores that are inner products of factors.
#[derive(Debug, Clone, Copy)]
pub struct FactorScores<'a> {
    /// Users x factors.
    pub users: &'a Matrix,
    /// Items x factors.
    pub items: &'a Matrix,
}

impl BlockScores for FactorScores<'_> {
    fn users(&self) -> usize {
        self.users.rows()
    }

    fn items(&self) -> usize {
        self.items.rows()
    }

    fn scores_into(&self, users: Range<usize>, items: Range<usize>, out: &mut [f32]) {
        product_into(out, self.users.view(users), self.items.view(items));
    }
}

/// Which items are ranked, and how many of them are kept.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'a> {
    /// How many; all where there are fewer.
    pub k: usize,
    /// Only these items, ascending and each once (the new ones, say); `None`: all.
    pub only: Option<&'a [u32]>,
}

/// Best first lists, one for each row of what was ranked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopK {
    /// Where each row begins, and the end of the last one.
    starts: Vec<usize>,
    indices: Vec<u32>,
    scores: Vec<f32>,
}

impl TopK {
    /// Number of rows: users, or items where the best users of items were asked for.
    pub fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// A row's indices and their scores, best first.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.range(row);
        (&self.indices[range.clone()], &self.scores[range])
    }

    /// Where a row's entries are in [`Self::indices`] and [`Self::scores`].
    pub fn range(&self, row: usize) -> Range<usize> {
        self.starts[row]..self.starts[row + 1]
    }

    /// The indices of all rows, one row behind the other.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The scores of all rows, one row behind the other.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// Lists of (index, score) in any order, each index once in a row: sorted as all lists are; NaN is dropped.
    pub fn from_rows<R: IntoIterator<Item = (u32, f32)>>(rows: impl IntoIterator<Item = R>) -> Self {
        let mut lists = Self { starts: vec![0], ..Self::default() };
        let mut keys = Vec::new();
        for row in rows {
            keys.clear();
            keys.extend(
                row.into_iter()
                    .filter(|(_, score)| !score.is_nan())
                    .map(|(index, score)| super::heap::key(score, index)),
            );
            keys.sort_unstable_by(|a, b| b.cmp(a));
            lists.push(&keys);
        }
        lists
    }

    /// What either of two lists of the same rows has, each index once. Where both have it, the scores are the same.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut lists = Self { starts: vec![0], ..Self::default() };
        let mut keys = Vec::new();
        for row in 0..self.rows().max(other.rows()) {
            keys.clear();
            for lists in [self, other] {
                if row < lists.rows() {
                    let (indices, scores) = lists.row(row);
                    keys.extend(indices.iter().zip(scores).map(|(index, score)| super::heap::key(*score, *index)));
                }
            }
            keys.sort_unstable_by(|a, b| b.cmp(a));
            keys.dedup();
            lists.push(&keys);
        }
        lists
    }

    fn push(&mut self, keys: &[u64]) {
        for key in keys {
            let (score, index) = entry(*key);
            self.indices.push(index);
            self.scores.push(score);
        }
        self.starts.push(self.indices.len());
    }

    fn append(&mut self, other: &Self) {
        let offset = self.indices.len();
        self.starts.extend(other.starts.iter().skip(1).map(|start| offset + start));
        self.indices.extend_from_slice(&other.indices);
        self.scores.extend_from_slice(&other.scores);
    }
}

/// The `k` best items of every user, best first, ties by the lower item; all of them where there are fewer than `k`.
///
/// `skip` (users x items) holds what is left out, such as what the user has bought; its values are not read. Asks `stop`
/// before each block of users.
pub fn top_k(scores: &dyn BlockScores, k: usize, skip: Option<&Csr>, stop: Stop<'_>) -> Result<TopK, Cancelled> {
    let mut lists = top_pools(scores, &[Pool { k, only: None }], skip, stop)?;
    Ok(lists.pop().unwrap_or_default())
}

/// [`top_k`] for several pools at once: the scores are computed once. A result for each pool, in order.
pub fn top_pools(
    scores: &dyn BlockScores,
    pools: &[Pool<'_>],
    skip: Option<&Csr>,
    stop: Stop<'_>,
) -> Result<Vec<TopK>, Cancelled> {
    let (block_users, block_items) = block_of(scores);
    let blocks = scores.users().div_ceil(block_users);
    let parts = (0..blocks)
        .into_par_iter()
        .map_init(
            || Scratch::new(pools, block_users, scores.items()),
            |scratch, block| {
                let users = block * block_users..scores.users().min((block + 1) * block_users);
                check(stop)?;
                Ok(scratch.rank(scores, pools, skip, users, block_items))
            },
        )
        .collect::<Result<Vec<_>, Cancelled>>()?;
    let mut lists = pools.iter().map(|_| TopK { starts: vec![0], ..TopK::default() }).collect::<Vec<_>>();
    for part in &parts {
        lists.iter_mut().zip(part).for_each(|(lists, part)| lists.append(part));
    }
    Ok(lists)
}

/// The `k` best users of every item, best first, ties by the lower user; all of them where there are fewer than `k`.
///
/// `skip` (users x items) and `stop` as for [`top_k`]. Beside a block, each thread holds up to `3 k` users for every item.
pub fn top_users(scores: &dyn BlockScores, k: usize, skip: Option<&Csr>, stop: Stop<'_>) -> Result<TopK, Cancelled> {
    let (block_users, block_items) = block_of(scores);
    let (users, items) = (scores.users(), scores.items());
    let k = k.min(users);
    let blocks = users.div_ceil(block_users);
    let blocks_of_part = blocks.div_ceil(rayon::current_num_threads()).max(1);
    let parts = (0..blocks.div_ceil(blocks_of_part))
        .into_par_iter()
        .map(|part| {
            let mut best = vec![Best::new(k); items];
            let mut room = Vec::new();
            for block in part * blocks_of_part..blocks.min((part + 1) * blocks_of_part) {
                check(stop)?;
                let rows = block * block_users..users.min((block + 1) * block_users);
                for first in (0..items).step_by(block_items) {
                    let columns = first..items.min(first + block_items);
                    let width = columns.len();
                    room.resize(rows.len() * width, 0.0);
                    scores.scores_into(rows.clone(), columns.clone(), &mut room);
                    for (user, row) in rows.clone().zip(room.chunks_exact_mut(width)) {
                        leave_out(skip, user, &columns, row);
                        for (best, score) in best[columns.clone()].iter_mut().zip(&*row) {
                            best.push(user as u32, *score);
                        }
                    }
                }
            }
            Ok(best)
        })
        .collect::<Result<Vec<_>, Cancelled>>()?;
    let mut parts = parts.into_iter();
    let mut best = parts.next().unwrap_or_else(|| vec![Best::new(k); items]);
    for part in parts {
        best.iter_mut().zip(&part).for_each(|(best, part)| best.merge(part));
    }
    let mut lists = TopK { starts: vec![0], ..TopK::default() };
    best.iter_mut().for_each(|best| lists.push(best.sorted()));
    Ok(lists)
}

/// The `k` best items of each of these users (ascending) for which `keep` (by the user's place in `users`, item and score) says
/// so, best first, ties by the lower item: a row for each of them.
///
/// `skip` (users x items) and `stop` as for [`top_k`].
pub(super) fn top_where(
    scores: &dyn BlockScores,
    users: &[u32],
    k: usize,
    skip: Option<&Csr>,
    keep: &(impl Fn(usize, u32, f32) -> bool + Sync),
    stop: Stop<'_>,
) -> Result<TopK, Cancelled> {
    let (block_users, block_items) = block_of(scores);
    let k = k.min(scores.items());
    // Users who follow each other are scored together.
    let runs = users.chunk_by(|user, next| user + 1 == *next).flat_map(|run| run.chunks(block_users));
    let mut first = 0;
    let runs = runs.map(|run| {
        first += run.len();
        (first - run.len(), run)
    });
    let parts = runs
        .collect::<Vec<_>>()
        .into_par_iter()
        .map_init(Vec::new, |room, (place, run)| {
            check(stop)?;
            let rows = run[0] as usize..run[0] as usize + run.len();
            let mut best = vec![Best::new(k); run.len()];
            for first in (0..scores.items()).step_by(block_items) {
                let items = first..scores.items().min(first + block_items);
                room.resize(rows.len() * items.len(), 0.0);
                scores.scores_into(rows.clone(), items.clone(), room);
                for (row, scores) in room.chunks_exact_mut(items.len()).enumerate() {
                    leave_out(skip, rows.start + row, &items, scores);
                    for (item, score) in (first as u32..).zip(&*scores) {
                        if !score.is_nan() && keep(place + row, item, *score) {
                            best[row].push(item, *score);
                        }
                    }
                }
            }
            let mut lists = TopK { starts: vec![0], ..TopK::default() };
            best.iter_mut().for_each(|best| lists.push(best.sorted()));
            Ok(lists)
        })
        .collect::<Result<Vec<_>, Cancelled>>()?;
    let mut lists = TopK { starts: vec![0], ..TopK::default() };
    parts.iter().for_each(|part| lists.append(part));
    Ok(lists)
}

/// How many users and items a block has, at least one of each.
fn block_of(scores: &dyn BlockScores) -> (usize, usize) {
    let (users, items) = scores.block();
    (scores.users().div_ceil(LEAST_BLOCKS).clamp(1, users.max(1)), items.clamp(1, scores.items().max(1)))
}

/// Makes NaN of what a user's row leaves out within these columns.
fn leave_out(skip: Option<&Csr>, user: usize, columns: &Range<usize>, row: &mut [f32]) {
    let Some(skip) = skip.filter(|skip| user < skip.rows()) else { return };
    let (indices, _) = skip.row(user);
    let begin = indices.partition_point(|index| (*index as usize) < columns.start);
    for index in indices[begin..].iter().take_while(|index| (**index as usize) < columns.end) {
        row[*index as usize - columns.start] = f32::NAN;
    }
}

/// What a thread needs for one block of users after another.
struct Scratch {
    room: Vec<f32>,
    /// For each pool, the best of each user of the block.
    best: Vec<Vec<Best>>,
}

impl Scratch {
    fn new(pools: &[Pool<'_>], block_users: usize, items: usize) -> Self {
        let best = |pool: &Pool<'_>| vec![Best::new(pool.k.min(pool.only.map_or(items, <[u32]>::len))); block_users];
        Self { room: Vec::new(), best: pools.iter().map(best).collect() }
    }

    /// The best items of `users`, a list for each pool.
    fn rank(
        &mut self,
        scores: &dyn BlockScores,
        pools: &[Pool<'_>],
        skip: Option<&Csr>,
        users: Range<usize>,
        block_items: usize,
    ) -> Vec<TopK> {
        self.best.iter_mut().flatten().for_each(Best::clear);
        for first in (0..scores.items()).step_by(block_items) {
            let items = first..scores.items().min(first + block_items);
            let width = items.len();
            self.room.resize(users.len() * width, 0.0);
            scores.scores_into(users.clone(), items.clone(), &mut self.room);
            for (user, row) in users.clone().zip(self.room.chunks_exact_mut(width)) {
                leave_out(skip, user, &items, row);
            }
            for (pool, best) in pools.iter().zip(&mut self.best) {
                let rows = best.iter_mut().zip(self.room.chunks_exact(width));
                match pool.only {
                    None => rows.for_each(|(best, row)| best.extend(first as u32, row)),
                    Some(only) => {
                        let from = only.partition_point(|item| (*item as usize) < items.start);
                        let to = only.partition_point(|item| (*item as usize) < items.end);
                        rows.for_each(|(best, row)| {
                            only[from..to].iter().for_each(|item| best.push(*item, row[*item as usize - first]));
                        });
                    }
                }
            }
        }
        let list = |best: &mut Vec<Best>| {
            let mut lists = TopK { starts: vec![0], ..TopK::default() };
            best[..users.len()].iter_mut().for_each(|best| lists.push(best.sorted()));
            lists
        };
        self.best.iter_mut().map(list).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::random::Random;

    /// A matrix that is known, read in blocks of this shape.
    struct Known {
        values: Matrix,
        block: (usize, usize),
    }

    impl BlockScores for Known {
        fn users(&self) -> usize {
            self.values.rows()
        }

        fn items(&self) -> usize {
            self.values.columns()
        }

        fn scores_into(&self, users: Range<usize>, items: Range<usize>, out: &mut [f32]) {
            assert_eq!(out.len(), users.len() * items.len());
            assert!(users.len() <= self.block.0 && items.len() <= self.block.1);
            for (out, user) in out.chunks_exact_mut(items.len()).zip(users) {
                out.copy_from_slice(&self.values.row(user)[items.clone()]);
            }
        }

        fn block(&self) -> (usize, usize) {
            self.block
        }
    }

    /// Small whole numbers, so that there are ties, and some NaN.
    fn known(users: usize, items: usize, block: (usize, usize), seed: u64) -> Known {
        let mut random = Random::new(seed, 0);
        let value = |_| if random.below(20) == 0 { f32::NAN } else { random.below(9) as f32 - 4.0 };
        Known { values: Matrix::new(users, items, (0..users * items).map(value).collect()), block }
    }

    fn skipping(users: usize, items: usize, seed: u64) -> Csr {
        let mut random = Random::new(seed, 1);
        Csr::from_rows(
            items,
            (0..users).map(|_| {
                (0..items as u32).filter(|_| random.below(4) == 0).map(|item| (item, 1.0)).collect::<Vec<_>>()
            }),
        )
    }

    /// Every row of `values` sorted whole.
    fn expected(values: &Matrix, k: usize, skipped: impl Fn(usize, usize) -> bool) -> TopK {
        let mut lists = TopK { starts: vec![0], ..TopK::default() };
        for row in 0..values.rows() {
            let mut entries = values.row(row).iter().copied().enumerate().collect::<Vec<_>>();
            entries.retain(|(column, score)| !score.is_nan() && !skipped(row, *column));
            entries.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
            for (column, score) in entries.into_iter().take(k) {
                lists.indices.push(column as u32);
                lists.scores.push(score);
            }
            lists.starts.push(lists.indices.len());
        }
        lists
    }

    fn transposed(values: &Matrix) -> Matrix {
        let of = |at: usize| values.row(at % values.rows())[at / values.rows()];
        Matrix::new(values.columns(), values.rows(), (0..values.values().len()).map(of).collect())
    }

    fn skips(skip: &Csr, user: usize, item: usize) -> bool {
        skip.row(user).0.contains(&(item as u32))
    }

    fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn lists_are_those_of_whole_sorts(
            (users, items, k) in (0usize..40, 0usize..90, 0usize..100),
            block in (1usize..50, 1usize..100),
            seed in 0u64..1000,
        ) {
            let scores = known(users, items, block, seed);
            let skip = skipping(users, items, seed);
            let skipped = |user: usize, item: usize| skips(&skip, user, item);
            let run = || {
                let new = (0..items as u32).filter(|item| item % 3 == 1).collect::<Vec<_>>();
                let pools = [Pool { k, only: None }, Pool { k: 5, only: Some(&new) }];
                let pools = top_pools(&scores, &pools, Some(&skip), &|| false).unwrap();
                (pools, top_users(&scores, k, Some(&skip), &|| false).unwrap())
            };
            let (pools, audience) = on_threads(1, run);
            prop_assert_eq!(&pools[0], &expected(&scores.values, k, skipped));
            prop_assert_eq!(&pools[1], &expected(&scores.values, 5, |user, item| item % 3 != 1 || skipped(user, item)));
            let columns = if users == 0 { Matrix::zeros(items, 0) } else { transposed(&scores.values) };
            prop_assert_eq!(&audience, &expected(&columns, k, |item, user| skipped(user, item)));
            prop_assert_eq!((pools, audience), on_threads(3, run));
        }
    }

    #[test]
    fn factors_are_ranked_by_their_products() {
        let mut random = Random::new(5, 0);
        let mut factors = |rows: usize| Matrix::new(rows, 7, (0..rows * 7).map(|_| random.normal() as f32).collect());
        let (users, items) = (factors(70), factors(300));
        let top = top_k(&FactorScores { users: &users, items: &items }, 20, None, &|| false).unwrap();
        assert_eq!(top.rows(), 70);
        for user in 0..70 {
            let dot = |item: usize| users.row(user).iter().zip(items.row(item)).map(|(a, b)| a * b).sum::<f32>();
            let mut best = (0..300).map(dot).collect::<Vec<_>>();
            best.sort_by(|a, b| b.total_cmp(a));
            let (indices, scores) = top.row(user);
            assert!(scores.iter().zip(&best).all(|(a, b)| (a - b).abs() < 1e-5), "{scores:?} {best:?}");
            assert!(indices.iter().zip(scores).all(|(item, score)| (dot(*item as usize) - score).abs() < 1e-5));
        }
    }

    #[test]
    fn stops_when_told() {
        let scores = known(64, 30, (4, 8), 1);
        let asked = AtomicUsize::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) >= 2;
        assert_eq!(top_k(&scores, 3, None, &stop), Err(Cancelled));
        assert_eq!(top_users(&scores, 3, None, &stop), Err(Cancelled));
        // Not on to the end: 16 blocks of users.
        assert!(asked.load(Ordering::Relaxed) < 16);
    }

    #[test]
    fn a_union_has_each_once() {
        let one = TopK::from_rows([vec![(4, 1.0), (2, 3.0)], vec![], vec![(1, f32::NAN)]]);
        let two = TopK::from_rows([vec![(2, 3.0), (9, 1.0), (3, 1.0)], vec![(0, -1.0)]]);
        let both = one.union(&two);
        assert_eq!(both.rows(), 3);
        assert_eq!(both.row(0), (&[2, 3, 4, 9][..], &[3.0, 1.0, 1.0, 1.0][..]));
        assert_eq!(both.row(1), (&[0][..], &[-1.0][..]));
        assert_eq!(both.row(2), (&[][..], &[][..]));
    }
}
