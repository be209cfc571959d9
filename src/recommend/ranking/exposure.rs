//! A limit on how many slates an item is in.
//!
//! Takes the pools of all users with the values that their rows are ranked by; says which rows are taken.
//!
//! Rows are taken in the order of their values over all users, ties in an order that the seed decides, while the item is
//! below its limit and the user's slate has room: the greedy solution. A user whose pool ran out while its items went to
//! others then gets what an exchange can give: an item of its pool is handed over by a user who can take another one
//! instead, over as many hands as it takes (an augmenting path, as in bipartite matching). So a slate stays short only if
//! the pools of all users cannot fill it, or if the search was given up at [`EFFORT`]. `widen` sees to it that the pools can.

use std::collections::VecDeque;

use rayon::prelude::*;

use super::blocks::TopK;
use super::heap::key;
use crate::cancellation::{Cancelled, Stop, check};

/// Rows that are looked at in search of exchanges, for each row of the pools, before the rest is left short.
const EFFORT: usize = 64;

/// What is allocated.
pub(super) struct Limits<'a> {
    /// Length of a slate.
    pub(super) k: usize,
    /// Slates that an item may be in.
    pub(super) max_exposure: usize,
    /// New items that a slate has at least, if the pool has them.
    pub(super) new: usize,
    /// For each item, whether it is new.
    pub(super) is_new: &'a [bool],
    pub(super) seed: u64,
}

/// For each row of the pools (as [`TopK::indices`]) whether it is taken, by `values` in the same order;
pub(super) fn allocate(
    pools: &TopK,
    values: &[f32],
    limits: &Limits<'_>,
    stop: Stop<'_>,
) -> Result<Vec<bool>, Cancelled> {
    let mut allocation = Allocation::new(pools, limits);
    let order = order(&allocation.users, values, limits.seed);
    if limits.new > 0 {
        allocation.take(&order, limits.new, true);
        allocation.exchange(limits.new, true, stop)?;
    }
    allocation.take(&order, limits.k, false);
    allocation.exchange(limits.k, false, stop)?;
    Ok(allocation.taken)
}

/// The rows by value, descending. Ties between users by a lot of the seed, the user and the value; so a user's own ties, which
/// have the same lot, are left in the order of its pool.
fn order(users: &[u32], values: &[f32], seed: u64) -> Vec<u32> {
    let mut keys = (0..values.len() as u32)
        .into_par_iter()
        .filter(|row| !values[*row as usize].is_nan())
        .map(|row| (priority(users[row as usize], values[row as usize], seed), row))
        .collect::<Vec<_>>();
    keys.par_sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    keys.into_iter().map(|(_, row)| row).collect()
}

/// What a user's row of this value is ranked by among the rows of all users; the value is not NaN.
pub(super) fn priority(user: u32, value: f32, seed: u64) -> u64 {
    // The two zeros are a tie, as in `heap`.
    let value = value + 0.0;
    let lot = mix(seed ^ mix(u64::from(user) << 32 | u64::from(value.to_bits())));
    key(value, lot as u32)
}

/// SplitMix64's finalizer: S. Steele, D. Lea and C. Flood, OOPSLA 2014, <https://doi.org/10.1145/2660193.2660195>.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

struct Allocation<'a> {
    pools: &'a TopK,
    limits: &'a Limits<'a>,
    /// The user of each row.
    users: Vec<u32>,
    taken: Vec<bool>,
    /// By user: rows taken, and new ones among them.
    filled: Vec<usize>,
    filled_new: Vec<usize>,
    /// By item.
    exposure: Vec<usize>,
}

impl<'a> Allocation<'a> {
    fn new(pools: &'a TopK, limits: &'a Limits<'a>) -> Self {
        let users = (0..pools.rows()).flat_map(|user| pools.range(user).map(move |_| user as u32)).collect();
        let items = pools.indices().iter().max().map_or(0, |item| *item as usize + 1);
        Self {
            pools,
            limits,
            users,
            taken: vec![false; pools.indices().len()],
            filled: vec![0; pools.rows()],
            filled_new: vec![0; pools.rows()],
            exposure: vec![0; items],
        }
    }

    fn item(&self, row: usize) -> usize {
        self.pools.indices()[row] as usize
    }

    fn is_new(&self, row: usize) -> bool {
        self.limits.is_new.get(self.item(row)).copied().unwrap_or(false)
    }

    fn has_room(&self, row: usize) -> bool {
        self.exposure[self.item(row)] < self.limits.max_exposure
    }

    fn set(&mut self, row: usize, taken: bool) {
        let (user, item, new) = (self.users[row] as usize, self.item(row), usize::from(self.is_new(row)));
        self.taken[row] = taken;
        if taken {
            self.filled[user] += 1;
            self.filled_new[user] += new;
            self.exposure[item] += 1;
        } else {
            self.filled[user] -= 1;
            self.filled_new[user] -= new;
            self.exposure[item] -= 1;
        }
    }

    /// Takes rows in this order until each user has `most`, of new items only if asked to.
    fn take(&mut self, order: &[u32], most: usize, only_new: bool) {
        for row in order {
            let row = *row as usize;
            let free = !self.taken[row] && self.filled[self.users[row] as usize] < most;
            if free && self.has_room(row) && (!only_new || self.is_new(row)) {
                self.set(row, true);
            }
        }
    }

    /// Fills the slates that are short of `most` by exchanges.
    fn exchange(&mut self, most: usize, only_new: bool, stop: Stop<'_>) -> Result<(), Cancelled> {
        let mut search = None;
        for user in 0..self.pools.rows() {
            // What cannot be filled at all is not searched for.
            let pool = self.pools.range(user).filter(|row| !only_new || self.is_new(*row)).count();
            while self.filled[user] < most.min(pool) {
                check(stop)?;
                let search = search.get_or_insert_with(|| Search::new(self));
                if !search.augment(self, user, only_new) {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The search for exchanges, breadth first: from the short user over the items of its pool to the users who have them.
struct Search {
    /// The rows of each item, one item behind the other.
    starts: Vec<usize>,
    rows: Vec<u32>,
    /// By item: the row by which it was reached.
    reached: Vec<Option<u32>>,
    /// By user: the row that it would hand over.
    given: Vec<Option<u32>>,
    seen_items: Vec<u32>,
    seen_users: Vec<u32>,
    queue: VecDeque<u32>,
    effort: usize,
}

impl Search {
    fn new(allocation: &Allocation<'_>) -> Self {
        let mut starts = vec![0usize; allocation.exposure.len() + 1];
        let items = allocation.pools.indices();
        items.iter().for_each(|item| starts[*item as usize + 1] += 1);
        (1..starts.len()).for_each(|item| starts[item] += starts[item - 1]);
        let mut next = starts.clone();
        let mut rows = vec![0; items.len()];
        for (row, item) in items.iter().enumerate() {
            rows[next[*item as usize]] = row as u32;
            next[*item as usize] += 1;
        }
        Self {
            starts,
            rows,
            reached: vec![None; allocation.exposure.len()],
            given: vec![None; allocation.pools.rows()],
            seen_items: Vec::new(),
            seen_users: Vec::new(),
            queue: VecDeque::new(),
            effort: EFFORT * items.len().max(1024),
        }
    }

    /// Gives one more row to `user` if there is a way. What a search in vain has reached stays marked: no item with room can
    /// be had from there, for any later user either.
    fn augment(&mut self, allocation: &mut Allocation<'_>, user: usize, only_new: bool) -> bool {
        self.seen_items.clear();
        self.seen_users.clear();
        self.queue.clear();
        self.queue.push_back(user as u32);
        while let Some(next) = self.queue.pop_front() {
            let next = next as usize;
            // Who hands over a new item that its slate needs takes another new one for it.
            let new_for_new = self.given[next].is_some_and(|row| {
                allocation.is_new(row as usize) && allocation.filled_new[next] <= allocation.limits.new
            });
            let open = |search: &Self, allocation: &Allocation<'_>, row: usize| {
                let open = !allocation.taken[row] && search.reached[allocation.item(row)].is_none();
                open && !((only_new || new_for_new) && !allocation.is_new(row))
            };
            // What has room needs no search through those who have the others.
            let mut rows = allocation.pools.range(next);
            if let Some(row) = rows.find(|row| allocation.has_room(*row) && open(self, allocation, *row)) {
                self.hand_over(allocation, row, user);
                self.forget();
                return true;
            }
            for row in allocation.pools.range(next) {
                if !open(self, allocation, row) {
                    continue;
                }
                let item = allocation.item(row);
                self.reached[item] = Some(row as u32);
                self.seen_items.push(item as u32);
                let holders = &self.rows[self.starts[item]..self.starts[item + 1]];
                if holders.len() >= self.effort {
                    self.effort = 0;
                    return false;
                }
                self.effort -= holders.len();
                for held in holders.iter().filter(|held| allocation.taken[**held as usize]) {
                    let holder = allocation.users[*held as usize];
                    if holder as usize != user && self.given[holder as usize].is_none() {
                        self.given[holder as usize] = Some(*held);
                        self.seen_users.push(holder);
                        self.queue.push_back(holder);
                    }
                }
            }
        }
        false
    }

    /// Walks back from a row whose item has room to the user who is short.
    fn hand_over(&self, allocation: &mut Allocation<'_>, mut row: usize, user: usize) {
        loop {
            let taker = allocation.users[row] as usize;
            let given = if taker == user { None } else { self.given[taker] };
            if let Some(given) = given {
                allocation.set(given as usize, false);
            }
            allocation.set(row, true);
            let Some(given) = given else { return };
            let Some(reached) = self.reached[allocation.item(given as usize)] else { return };
            row = reached as usize;
        }
    }

    fn forget(&mut self) {
        self.seen_items.iter().for_each(|item| self.reached[*item as usize] = None);
        self.seen_users.iter().for_each(|user| self.given[*user as usize] = None);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allocate_scores(pools: &TopK, limits: &Limits<'_>) -> Vec<Vec<u32>> {
        let taken = allocate(pools, pools.scores(), limits, &|| false).unwrap();
        let of_user =
            |user| pools.range(user).filter(|row| taken[*row]).map(|row| pools.indices()[row]).collect::<Vec<_>>();
        (0..pools.rows()).map(of_user).collect()
    }

    fn limits(k: usize, max_exposure: usize) -> Limits<'static> {
        Limits { k, max_exposure, new: 0, is_new: &[], seed: 1 }
    }

    #[test]
    fn the_higher_score_takes_the_last_place_of_an_item() {
        let pools = TopK::from_rows([[(0, 0.5), (1, 0.4)], [(0, 0.9), (1, 0.3)], [(0, 0.7), (2, 0.1)]]);
        assert_eq!(allocate_scores(&pools, &limits(1, 2)), [[1], [0], [0]]);
        assert_eq!(allocate_scores(&pools, &limits(1, 1)), [[1], [0], [2]]);
        assert_eq!(allocate_scores(&pools, &limits(2, 3)), [[0, 1], [0, 1], [0, 2]]);
    }

    #[test]
    fn a_user_with_one_item_gets_it_from_one_who_has_others() {
        // By score alone, user 0 has 0, user 1 has 1, and user 2 nothing.
        let pools = TopK::from_rows([vec![(0, 0.9), (1, 0.5)], vec![(1, 0.8), (2, 0.1)], vec![(0, 0.2)]]);
        assert_eq!(allocate_scores(&pools, &limits(1, 1)), [[1], [2], [0]]);
    }

    #[test]
    fn a_slate_is_short_when_the_pools_are_exhausted() {
        let pools = TopK::from_rows([[(0, 0.9), (1, 0.5)], [(0, 0.8), (1, 0.7)]]);
        assert_eq!(allocate_scores(&pools, &limits(2, 1)), [vec![0], vec![1]]);
        assert_eq!(allocate_scores(&pools, &limits(2, 0)), [vec![0; 0], vec![]]);
        assert_eq!(allocate_scores(&TopK::default(), &limits(2, 1)), [[0; 0]; 0]);
    }

    #[test]
    fn ties_are_decided_by_the_seed() {
        let pools = TopK::from_rows(vec![vec![(0, 1.0), (1, 0.5)]; 50]);
        let who = |seed| allocate_scores(&pools, &Limits { seed, ..limits(1, 25) });
        assert_eq!(who(1), who(1));
        assert_ne!(who(1), who(2));
        // Not the first half of the users.
        assert!(who(1)[..25].iter().any(|slate| slate == &[1]) && who(1)[25..].iter().any(|slate| slate == &[0]));
    }

    #[test]
    fn stops_when_told() {
        // One is short, so that exchanges are searched for.
        let pools = TopK::from_rows([[(0, 0.9)], [(0, 0.8)]]);
        assert_eq!(allocate(&pools, pools.scores(), &limits(1, 1), &|| true), Err(Cancelled));
    }

    /// How many rows can be taken at all: augmenting paths over a graph with every slate's and every item's places as vertices.
    fn most(pools: &TopK, k: usize, max_exposure: usize, items: usize) -> usize {
        fn place(
            slot: usize,
            k: usize,
            limit: usize,
            pools: &TopK,
            owner: &mut Vec<Option<usize>>,
            seen: &mut Vec<bool>,
        ) -> bool {
            for item in pools.row(slot / k).0 {
                // An item is once in a slate: the places of the same user must not have it already.
                if (0..limit)
                    .any(|copy| owner[*item as usize * limit + copy].is_some_and(|other| other / k == slot / k))
                {
                    continue;
                }
                for copy in *item as usize * limit..(*item as usize + 1) * limit {
                    if !std::mem::replace(&mut seen[copy], true)
                        && (owner[copy].is_none_or(|other| {
                            owner[copy] = None;
                            let moved = place(other, k, limit, pools, owner, seen);
                            owner[copy] = Some(other);
                            moved
                        }))
                    {
                        owner[copy] = Some(slot);
                        return true;
                    }
                }
            }
            false
        }
        let mut owner = vec![None; items * max_exposure];
        (0..pools.rows() * k)
            .filter(|slot| place(*slot, k, max_exposure, pools, &mut owner, &mut vec![false; items * max_exposure]))
            .count()
    }

    prop_compose! {
        fn any_pools()(rows in prop::collection::vec(prop::collection::btree_map(0u32..8, -5i8..5, 0..6), 0..8)) -> TopK {
            TopK::from_rows(rows.into_iter().map(|row| row.into_iter().map(|(item, score)| (item, f32::from(score)))))
        }
    }

    proptest! {
        #[test]
        fn limits_are_kept_and_slates_are_as_full_as_can_be(
            pools in any_pools(),
            (k, max_exposure) in (1usize..4, 0usize..4),
            (new, seed) in (0usize..3, any::<u64>()),
        ) {
            let is_new = [true, false, true, false, false, true];
            let limits = Limits { k, max_exposure, new: new.min(k), is_new: &is_new, seed };
            let slates = allocate_scores(&pools, &limits);
            for item in 0..8 {
                prop_assert!(slates.iter().filter(|slate| slate.contains(&item)).count() <= max_exposure);
            }
            prop_assert!(slates.iter().all(|slate| slate.len() <= k));
            if new == 0 {
                let filled = slates.iter().map(Vec::len).sum::<usize>();
                prop_assert!(filled >= most(&pools, k, max_exposure, 8), "{:?}", slates);
            }
            // Without a limit that binds, each slate is the head of its pool, and new ones have their share.
            let free = allocate_scores(&pools, &Limits { max_exposure: 100, ..limits });
            for (user, slate) in free.iter().enumerate() {
                let pool = pools.row(user).0;
                let fresh = |items: &[u32]| items.iter().filter(|item| is_new.get(**item as usize) == Some(&true)).count();
                prop_assert_eq!(slate.len(), k.min(pool.len()));
                prop_assert!(fresh(slate) >= new.min(k).min(fresh(pool)));
                if new == 0 {
                    prop_assert_eq!(slate, &pool[..slate.len()]);
                }
            }
        }
    }
}
