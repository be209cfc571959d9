//! Slates from all items, where exposure is limited.
//!
//! Takes the pools of all users and the scores that they come from; gives the slates of `select`, from pools to which
//! the items are added that the greedy solution of `exposure` would take if every pool held all items. So what users
//! get does not depend on how long the first pools are, and nobody goes without while an item that they could have has
//! room.
//!
//! Users and items rank each other by the same values, so the greedy solution is the one stable matching, and deferred acceptance
//! finds it without all rows at hand: users ask for items, best first, and an item with as many users as it may have keeps the
//! best of those who asked (D. Gale and L. S. Shapley, "College admissions and the stability of marriage", 1962,
//! <https://doi.org/10.2307/2312726>). An item that turns a row down turns down all lower ones from then on. A user whose pool
//! ends before its slate is full therefore needs nothing but its best rows among those that the items would still take: these are
//! looked up among all items, round by round, until there are none.
//!
//! Memory: for each user the rows that it has got, and for all who look for more together about as many rows as the pools have.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::blocks::{BlockScores, TopK, top_where};
use super::explore::Explore;
use super::exposure::priority;
use super::heap::entry;
use super::policy::{new_items, select};
use super::slates::{PoolInfo, SelectOptions, Slates};
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Csr;

/// Rounds in which users look for more, at most. A few suffice; a score that differs by rounding from one block to another must not
/// let two users displace each other for ever.
const ROUNDS: usize = 1000;
/// No list.
const NONE: u32 = u32::MAX;

/// What slates are chosen from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Users x items.
    pub scores: &'a dyn BlockScores,
    /// Users x items: what is left out; its values are not read.
    pub skip: Option<&'a Csr>,
    /// The predicted probability of an item with a score.
    pub probability: &'a (dyn Fn(u32, f32) -> f32 + Sync),
    /// For each item, whether it is new; missing ones are not.
    pub is_new: &'a [bool],
    /// As [`PoolInfo::vectors`].
    pub vectors: Option<&'a Matrix>,
}

/// The slates of all users of `pools`, the best items of each; Where `options` limit exposure, pools
/// that are too short for it are widened first.
pub fn select_from_all(
    source: &Source<'_>,
    pools: TopK,
    options: &SelectOptions,
    stop: Stop<'_>,
) -> Result<Slates, Cancelled> {
    let select = |pools: &TopK, options: &SelectOptions| {
        let rows = pools.indices().iter().zip(pools.scores());
        let probabilities = rows.map(|(item, score)| (source.probability)(*item, *score)).collect::<Vec<_>>();
        let info = PoolInfo { probabilities: &probabilities, is_new: source.is_new, vectors: source.vectors };
        select(pools, &info, options, stop)
    };
    let Some(limit) = options.max_exposure else { return select(&pools, options) };
    let mut pools = widen(source, pools, limit, options, stop)?;
    // What is drawn, diverse or exchanged is not the greedy solution: it may leave others idle. Nothing is repeated meanwhile.
    let once = SelectOptions { explore: options.explore.map(|explore| Explore { redraws: 0, ..explore }), ..*options };
    let mut slates = select(&pools, &once)?;
    while let Some(wider) = add_idle(source, &pools, &slates, limit, options.k, stop)? {
        let fuller = select(&wider, &once)?;
        if fuller.items().len() <= slates.items().len() {
            break;
        }
        (pools, slates) = (wider, fuller);
    }
    if options.explore.is_some() { select(&pools, options) } else { Ok(slates) }
}

/// The pools with the best idle items of those whose slates are short; nothing where there are none.
fn add_idle(
    source: &Source<'_>,
    pools: &TopK,
    slates: &Slates,
    limit: usize,
    k: usize,
    stop: Stop<'_>,
) -> Result<Option<TopK>, Cancelled> {
    let mut room = vec![limit; source.scores.items()];
    slates.items().iter().for_each(|item| room[*item as usize] = room[*item as usize].saturating_sub(1));
    let short = (0..slates.users() as u32).filter(|user| slates.range(*user as usize).len() < k).collect::<Vec<_>>();
    let lacks = short.iter().map(|user| sorted(pools.row(*user as usize).0)).collect::<Vec<_>>();
    let keep = |row: usize, item: u32, _: f32| room[item as usize] > 0 && lacks[row].binary_search(&item).is_err();
    let found = top_where(source.scores, &short, k, source.skip, &keep, stop)?;
    if found.indices().is_empty() {
        return Ok(None);
    }
    let mut rows = vec![Vec::new(); pools.rows()];
    for (row, user) in short.into_iter().enumerate() {
        let (items, scores) = found.row(row);
        rows[user as usize].extend(items.iter().copied().zip(scores.iter().copied()));
    }
    Ok(Some(pools.union(&TopK::from_rows(rows))))
}

fn sorted(items: &[u32]) -> Vec<u32> {
    let mut items = items.to_vec();
    items.sort_unstable();
    items
}

/// The pools with what the greedy solution over all items takes.
fn widen(
    source: &Source<'_>,
    pools: TopK,
    limit: usize,
    options: &SelectOptions,
    stop: Stop<'_>,
) -> Result<TopK, Cancelled> {
    let Source { scores, skip, is_new, .. } = *source;
    let mut got = vec![Vec::new(); pools.rows()];
    let mut places = vec![limit; scores.items()];
    // As in `exposure`: first each slate's share of new items, then the rest of it.
    for (wanted, only_new) in [(new_items(options).min(options.k), true), (options.k, false)] {
        let mut market = Market {
            scores,
            skip,
            only: only_new.then_some(is_new),
            seed: options.seed,
            open: got.iter().map(|own: &Vec<_>| wanted.saturating_sub(own.len())).collect(),
            places: &places,
            held: vec![BinaryHeap::new(); places.len()],
            got: &got,
        };
        market.allocate(&pools, wanted, stop)?;
        let held = market.held;
        for (item, users) in held.into_iter().enumerate() {
            places[item] -= users.len();
            for Reverse((priority, Reverse(user))) in users {
                got[user as usize].push((item as u32, entry(priority).0));
            }
        }
        got.iter_mut().for_each(|own| own.sort_unstable_by_key(|(item, _)| *item));
    }
    for (user, own) in got.iter_mut().enumerate().filter(|(_, own)| !own.is_empty()) {
        let pool = sorted(pools.row(user).0);
        own.retain(|(item, _)| pool.binary_search(item).is_err());
    }
    Ok(if got.iter().all(Vec::is_empty) { pools } else { pools.union(&TopK::from_rows(got)) })
}

/// A row as an item ranks it: by the value and the lot, then the lower user.
type Bid = (u64, Reverse<u32>);

/// Users who ask and items that keep the best of them.
struct Market<'a> {
    scores: &'a dyn BlockScores,
    skip: Option<&'a Csr>,
    /// Only items for which this says so.
    only: Option<&'a [bool]>,
    seed: u64,
    /// By user: how many items it still wants.
    open: Vec<usize>,
    /// By item: how many users it may have.
    places: &'a [usize],
    /// By item: those whom it has, the worst on top.
    held: Vec<BinaryHeap<Reverse<Bid>>>,
    /// By user: items and scores that it has for good, by item.
    got: &'a [Vec<(u32, f32)>],
}

impl Market<'_> {
    /// Lets everybody ask until nobody gets any more.
    fn allocate(&mut self, pools: &TopK, wanted: usize, stop: Stop<'_>) -> Result<(), Cancelled> {
        if wanted == 0 || pools.rows() == 0 {
            return Ok(());
        }
        let users = pools.rows();
        let mut lists = Lists { rows: pools, row_of: (0..users as u32).collect(), next: vec![0; users] };
        self.ask(&mut lists, (0..users as u32).collect());
        // Who finds nothing once finds nothing later: items only become choosier.
        let mut given_up = vec![false; users];
        for _ in 0..ROUNDS {
            let short = (0..users as u32).filter(|user| self.open[*user as usize] > 0 && !given_up[*user as usize]);
            let short = short.collect::<Vec<_>>();
            if short.is_empty() {
                return Ok(());
            }
            let most = (pools.indices().len() / short.len()).max(wanted);
            let found = self.look_up(&short, most, stop)?;
            let mut row_of = vec![NONE; users];
            for (row, user) in short.iter().enumerate() {
                row_of[*user as usize] = row as u32;
                given_up[*user as usize] = found.row(row).0.is_empty();
            }
            self.ask(&mut Lists { next: vec![0; found.rows()], rows: &found, row_of }, short);
        }
        Ok(())
    }

    /// Users ask for the items of their lists; who loses an item asks again.
    fn ask(&mut self, lists: &mut Lists<'_>, mut users: Vec<u32>) {
        while let Some(user) = users.pop() {
            while self.open[user as usize] > 0 {
                let Some((item, score)) = lists.next(user) else { break };
                if !self.may_have(user, item) {
                    continue;
                }
                let bid = (priority(user, score, self.seed), Reverse(user));
                if !self.would_take(item, bid) {
                    continue;
                }
                self.open[user as usize] -= 1;
                let held = &mut self.held[item as usize];
                held.push(Reverse(bid));
                if held.len() > self.places[item as usize]
                    && let Some(Reverse((_, Reverse(loser)))) = held.pop()
                {
                    self.open[loser as usize] += 1;
                    users.push(loser);
                }
            }
        }
    }

    fn may_have(&self, user: u32, item: u32) -> bool {
        self.only.is_none_or(|only| only.get(item as usize).copied().unwrap_or(false))
            && self.got[user as usize].binary_search_by_key(&item, |(item, _)| *item).is_err()
    }

    fn would_take(&self, item: u32, bid: Bid) -> bool {
        let (held, places) = (&self.held[item as usize], self.places[item as usize]);
        held.len() < places || (places > 0 && held.peek().is_some_and(|Reverse(worst)| bid > *worst))
    }

    /// The best items of each of these users (ascending) that it does not have and would get.
    fn look_up(&self, users: &[u32], most: usize, stop: Stop<'_>) -> Result<TopK, Cancelled> {
        let mut row_of = vec![NONE; self.open.len()];
        (0..).zip(users).for_each(|(row, user)| row_of[*user as usize] = row);
        let mut has = vec![Vec::new(); users.len()];
        for (item, held) in self.held.iter().enumerate() {
            for Reverse((_, Reverse(user))) in held {
                if row_of[*user as usize] != NONE {
                    // By item, so ascending.
                    has[row_of[*user as usize] as usize].push(item as u32);
                }
            }
        }
        let keep = |row: usize, item: u32, score: f32| {
            let user = users[row];
            self.would_take(item, (priority(user, score, self.seed), Reverse(user)))
                && self.may_have(user, item)
                && has[row].binary_search(&item).is_err()
        };
        top_where(self.scores, users, most, self.skip, &keep, stop)
    }
}

/// What some users can ask for.
struct Lists<'a> {
    rows: &'a TopK,
    /// By user: its row, or [`NONE`].
    row_of: Vec<u32>,
    /// By row: where it goes on.
    next: Vec<usize>,
}

impl Lists<'_> {
    /// The next item of a user, with its score.
    fn next(&mut self, user: u32) -> Option<(u32, f32)> {
        let row = self.row_of[user as usize];
        let next = self.next.get_mut(row as usize)?;
        let (items, scores) = self.rows.row(row as usize);
        let found = (*items.get(*next)?, scores[*next]);
        *next += 1;
        Some(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;
    use crate::random::Random;
    use crate::recommend::ranking::top_k;

    struct Known(Matrix);

    impl BlockScores for Known {
        fn users(&self) -> usize {
            self.0.rows()
        }

        fn items(&self) -> usize {
            self.0.columns()
        }

        fn scores_into(&self, users: Range<usize>, items: Range<usize>, out: &mut [f32]) {
            for (out, user) in out.chunks_exact_mut(items.len()).zip(users) {
                out.copy_from_slice(&self.0.row(user)[items.clone()]);
            }
        }

        fn block(&self) -> (usize, usize) {
            (3, 5)
        }
    }

    /// Everybody likes the same items, some more and some less; `grain` makes ties.
    fn alike(users: usize, items: usize, taste: f64, grain: f64, seed: u64) -> Known {
        let mut random = Random::new(seed, 0);
        let mut value = |item: usize| {
            let value = (items - item) as f64 / items as f64 + taste * random.normal();
            ((value / grain).round() * grain) as f32
        };
        let values = (0..users * items).map(|place| value(place % items)).collect();
        Known(Matrix::new(users, items, values))
    }

    fn slates(scores: &Known, pool: usize, skip: &Csr, is_new: &[bool], options: &SelectOptions) -> Slates {
        let pools = top_k(scores, pool, Some(skip), &|| false).unwrap();
        let probability = |_: u32, score: f32| score.clamp(0.0, 1.0);
        let source = Source { scores, skip: Some(skip), probability: &probability, is_new, vectors: None };
        select_from_all(&source, pools, options, &|| false).unwrap()
    }

    fn nothing(users: usize, items: usize) -> Csr {
        Csr::from_rows(items, (0..users).map(|_| Vec::new()))
    }

    #[test]
    fn nobody_goes_without_while_there_is_room() {
        // Room for all: 400 users with 5 items each, 200 items for 10 users each. The pools end at the best 20.
        let (users, items, k, limit) = (400, 200, 5, 10);
        let scores = alike(users, items, 0.05, 1e-6, 1);
        let options = SelectOptions { k, max_exposure: Some(limit), ..SelectOptions::default() };
        let slates = slates(&scores, 20, &nothing(users, items), &[], &options);
        assert!((0..users).all(|user| slates.range(user).len() == k));
        assert!((0..items as u32).all(|item| slates.items().iter().filter(|other| **other == item).count() == limit));
    }

    #[test]
    fn draws_fill_slates_too() {
        let (users, items) = (200, 100);
        let scores = alike(users, items, 0.05, 1e-6, 2);
        let explore = Some(Explore { strength: 50.0, redraws: 3, ..Explore::default() });
        for limit in [10, 11] {
            let options = SelectOptions { k: 5, max_exposure: Some(limit), explore, ..SelectOptions::default() };
            let slates = slates(&scores, 15, &nothing(users, items), &[], &options);
            let short = (0..users).filter(|user| slates.range(*user).len() < 5).count();
            assert_eq!(short, 0, "at most {limit}");
        }
    }

    #[test]
    fn pools_stay_as_they_are_where_they_suffice() {
        let scores = alike(30, 40, 1.0, 1e-6, 3);
        let pools = top_k(&scores, 10, None, &|| false).unwrap();
        let source = Source { scores: &scores, skip: None, probability: &|_, _| 0.5, is_new: &[], vectors: None };
        let options = SelectOptions { k: 5, ..SelectOptions::default() };
        for limit in [30, 1000] {
            assert_eq!(widen(&source, pools.clone(), limit, &options, &|| false).unwrap(), pools);
        }
        assert_eq!(widen(&source, pools, 1, &options, &|| true), Err(Cancelled));
        let empty = Source { scores: &Known(Matrix::zeros(0, 4)), ..source };
        let options = SelectOptions { max_exposure: Some(1), ..options };
        let slates = select_from_all(&empty, TopK::default(), &options, &|| false).unwrap();
        assert_eq!(slates.users(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn short_pools_give_what_the_greedy_over_all_items_gives(
            (users, items, pool) in (0usize..12, 1usize..25, 0usize..6),
            (k, limit, share) in (1usize..5, 0usize..5, prop::sample::select(vec![0.0, 0.0, 0.5, 1.0])),
            (taste, grain) in (prop::sample::select(vec![0.0, 0.1, 1.0]), prop::sample::select(vec![1e-6, 0.2])),
            had in 0.0f64..0.5,
            seed in 0u64..1000,
        ) {
            let scores = alike(users, items, taste, grain, seed);
            let mut random = Random::new(seed, 1);
            let rows = (0..users).map(|_| {
                (0..items as u32).filter(|_| random.uniform() < had).map(|item| (item, 1.0)).collect::<Vec<_>>()
            });
            let skip = Csr::from_rows(items, rows.collect::<Vec<_>>());
            let is_new = (0..items).map(|item| item % 3 == 0).collect::<Vec<_>>();
            let options =
                SelectOptions { k, max_exposure: Some(limit), min_new_share: share, seed, ..SelectOptions::default() };
            let (short, whole) = (
                slates(&scores, pool, &skip, &is_new, &options),
                slates(&scores, items, &skip, &is_new, &options),
            );
            let full = |slates: &Slates, user: usize| {
                slates.range(user).len() == k.min(items - skip.row(user).0.len())
            };
            let exposure = |item: u32| short.items().iter().filter(|other| **other == item).count();
            prop_assert!((0..items as u32).all(|item| exposure(item) <= limit));
            for user in (0..users).filter(|user| !full(&short, *user)) {
                // Nothing that it could have is idle.
                let own = &short.items()[short.range(user)];
                let idle = (0..items as u32).find(|item| {
                    exposure(*item) < limit && !own.contains(item) && skip.row(user).0.binary_search(item).is_err()
                });
                prop_assert_eq!(idle, None, "user {} is short", user);
            }
            let plain = plain(&scores, &skip, &is_new, &options);
            let new_of = |items: &[u32]| items.iter().filter(|item| is_new[**item as usize]).count();
            let new_left = |user: usize| {
                let had = new_of(skip.row(user).0);
                is_new.iter().filter(|is_new| **is_new).count() - had
            };
            // Where the plain greedy leaves nobody short, nothing is exchanged and the slates are its own.
            let whole_slate = |user: usize| {
                plain[user].len() == k.min(items - skip.row(user).0.len())
                    && new_of(&plain[user]) >= new_items(&options).min(k).min(new_left(user))
            };
            if (0..users).all(whole_slate) {
                for (user, plain) in plain.iter().enumerate() {
                    prop_assert_eq!(&sorted(&short.items()[short.range(user)]), plain);
                }
                prop_assert_eq!(&short, &whole);
            }
            // More new items for a slate may leave less for the others.
            let filled = plain.iter().map(Vec::len).sum::<usize>();
            prop_assert!(new_items(&options) > 0 || short.items().len() >= filled);
            let new = |own: &[u32]| new_of(own).min(new_items(&options));
            let found = (0..users).map(|user| new(&short.items()[short.range(user)])).sum::<usize>();
            prop_assert!(found >= plain.iter().map(|own| new(own)).sum::<usize>());
        }
    }

    /// The greedy solution over all items, row by row in the order of the priorities, the share of new items first. Slates by item.
    fn plain(scores: &Known, skip: &Csr, is_new: &[bool], options: &SelectOptions) -> Vec<Vec<u32>> {
        let (users, items) = (scores.users(), scores.items());
        let mut rows = Vec::new();
        for user in 0..users {
            for item in (0..items as u32).filter(|item| skip.row(user).0.binary_search(item).is_err()) {
                let score = scores.0.row(user)[item as usize];
                rows.push((Reverse(priority(user as u32, score, options.seed)), user, item));
            }
        }
        rows.sort_unstable();
        let mut slates = vec![Vec::new(); users];
        let mut exposure = vec![0; items];
        for (wanted, only_new) in [(new_items(options).min(options.k), true), (options.k, false)] {
            for (_, user, item) in &rows {
                let slate: &mut Vec<u32> = &mut slates[*user];
                let room = exposure[*item as usize] < options.max_exposure.unwrap();
                if slate.len() < wanted && room && !slate.contains(item) && (!only_new || is_new[*item as usize]) {
                    slate.push(*item);
                    exposure[*item as usize] += 1;
                }
            }
        }
        slates.iter_mut().for_each(|slate| slate.sort_unstable());
        slates
    }
}
