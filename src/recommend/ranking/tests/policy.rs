//! Slates under every option: their limits, their order, and the same on any number of threads.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::linalg::dense::Matrix;
use crate::random::Random;
use crate::recommend::ranking::{Explore, diversity};

const ITEMS: usize = 30;

struct Fixture {
    pools: TopK,
    probabilities: Vec<f32>,
    is_new: Vec<bool>,
    vectors: Matrix,
}

impl Fixture {
    /// Users with pools of so many of the items, each third of which is new.
    fn new(users: usize, pool: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let pools = TopK::from_rows((0..users).map(|_| {
            let mut items = (0..ITEMS as u32).collect::<Vec<_>>();
            random.shuffle(&mut items);
            items.truncate(pool);
            items.into_iter().map(|item| (item, random.normal() as f32)).collect::<Vec<_>>()
        }));
        let probabilities = pools.scores().iter().map(|score| 1.0 / (1.0 + (2.0 - score).exp())).collect();
        let vectors = Matrix::new(ITEMS, 4, (0..ITEMS * 4).map(|_| random.normal() as f32).collect());
        Self { pools, probabilities, is_new: (0..ITEMS).map(|item| item % 3 == 0).collect(), vectors }
    }

    fn select(&self, options: &SelectOptions) -> Slates {
        let vectors = Some(&self.vectors);
        let info = PoolInfo { probabilities: &self.probabilities, is_new: &self.is_new, vectors };
        select(&self.pools, &info, options, &|| false).unwrap()
    }

    fn new_in(&self, items: &[u32]) -> usize {
        items.iter().filter(|item| self.is_new[**item as usize]).count()
    }
}

fn slate(slates: &Slates, user: usize) -> &[u32] {
    &slates.items()[slates.range(user)]
}

#[test]
fn without_options_slates_are_the_heads_of_the_pools() {
    let fixture = Fixture::new(9, 12, 1);
    for max_exposure in [None, Some(9)] {
        let slates = fixture.select(&SelectOptions { k: 5, max_exposure, ..SelectOptions::default() });
        assert_eq!(slates.users(), 9);
        for user in 0..9 {
            let (items, scores) = fixture.pools.row(user);
            assert_eq!(slate(&slates, user), &items[..5]);
            assert_eq!(&slates.scores()[slates.range(user)], &scores[..5]);
            let first = fixture.pools.range(user).start;
            assert_eq!(&slates.probabilities()[slates.range(user)], &fixture.probabilities[first..first + 5]);
        }
        assert!(slates.propensities().iter().all(|propensity| *propensity == 1.0));
    }
}

#[test]
fn shares_round_up_and_only_what_is_over_a_whole_number() {
    for (share, k, expected) in [(0.07, 100, 7), (0.3, 10, 3), (0.31, 10, 4), (0.0, 10, 0), (1.0, 7, 7), (9.0, 7, 7)] {
        let options = SelectOptions { k, min_new_share: share, ..SelectOptions::default() };
        assert_eq!(new_items(&options), expected, "{share} of {k}");
    }
    assert_eq!(new_items(&SelectOptions { min_new_share: f64::NAN, ..SelectOptions::default() }), 0);
}

#[test]
fn a_share_of_new_items_displaces_the_worst_old_ones() {
    let pools = TopK::from_rows([[(1, 9.0), (2, 8.0), (4, 7.0), (0, 2.0), (3, 1.0)]]);
    let is_new = [true, false, false, true, false];
    let info = PoolInfo { probabilities: &[], is_new: &is_new, vectors: None };
    for (min_new_share, expected) in [(0.0, [1, 2, 4]), (0.3, [1, 2, 0]), (0.5, [1, 0, 3]), (1.0, [1, 0, 3])] {
        for max_exposure in [None, Some(1)] {
            let options = SelectOptions { k: 3, min_new_share, max_exposure, ..SelectOptions::default() };
            let slates = select(&pools, &info, &options, &|| false).unwrap();
            assert_eq!(slates.items(), expected, "share {min_new_share}");
        }
    }
}

#[test]
fn diversity_changes_slates_and_lowers_their_cosines() {
    let fixture = Fixture::new(40, 20, 2);
    let cosine = |slates: &Slates| {
        let mut all = Vec::new();
        let mut sum = 0.0;
        for user in 0..40 {
            diversity::similarities(&fixture.vectors, slate(slates, user), &mut all);
            sum += all.iter().sum::<f32>() - 5.0;
        }
        sum
    };
    let plain = fixture.select(&SelectOptions { k: 5, ..SelectOptions::default() });
    for max_exposure in [None, Some(40)] {
        let diverse = fixture.select(&SelectOptions { k: 5, diversity: 0.7, max_exposure, ..SelectOptions::default() });
        assert!(cosine(&diverse) < 0.6 * cosine(&plain), "{} {}", cosine(&diverse), cosine(&plain));
    }
}

// Slates of one of two items. Beta(3, 1) is above Beta(2, 2) with the probability 1 - E[Y^3] = 0.8 for Y from Beta(2, 2).
#[test]
fn propensities_are_the_probabilities_of_being_shown() {
    let explore = Explore { strength: 4.0, new_boost: 1.0, redraws: 3000 };
    for (first, expected) in [(0.75, 0.8), (0.5, 0.5)] {
        for max_exposure in [None, Some(1)] {
            let pools = TopK::from_rows([[(0, 1.0), (1, 0.0)]]);
            let info = PoolInfo { probabilities: &[first, 0.5], is_new: &[], vectors: None };
            let options = SelectOptions { k: 1, max_exposure, explore: Some(explore), ..SelectOptions::default() };
            let slates = select(&pools, &info, &options, &|| false).unwrap();
            let of_first =
                if slates.items() == [0] { slates.propensities()[0] } else { 1.0 - slates.propensities()[0] };
            // Standard error .009.
            assert!((of_first - expected).abs() < 0.04, "{of_first}, not {expected}");
        }
    }
}

#[test]
fn exploration_shows_new_items_more_often_with_a_boost() {
    let fixture = Fixture::new(60, 20, 3);
    let shown = |new_boost| {
        let explore = Some(Explore { new_boost, redraws: 0, ..Explore::default() });
        let slates = fixture.select(&SelectOptions { k: 5, explore, ..SelectOptions::default() });
        fixture.new_in(slates.items())
    };
    assert!(shown(3.0) > shown(1.0) + 60, "{} {}", shown(3.0), shown(1.0));
}

#[test]
fn stops_when_told() {
    let fixture = Fixture::new(9, 12, 1);
    let info = PoolInfo { probabilities: &fixture.probabilities, is_new: &fixture.is_new, vectors: None };
    for max_exposure in [None, Some(2)] {
        let options = SelectOptions { max_exposure, ..SelectOptions::default() };
        assert_eq!(select(&fixture.pools, &info, &options, &|| true), Err(Cancelled));
    }
}

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn slates_keep_to_what_was_asked(
        (users, pool, seed) in (0usize..8, 0usize..20, 0u64..1000),
        (k, diversity, min_new_share) in (0usize..8, prop::sample::select(vec![0.0, 0.3, 0.8]), 0.0f64..1.0),
        max_exposure in prop::option::of(0usize..5),
        explore in prop::option::of(Just(Explore { redraws: 20, ..Explore::default() })),
    ) {
        let fixture = Fixture::new(users, pool, seed);
        let options = SelectOptions { k, diversity, max_exposure, min_new_share, explore, seed };
        let slates = on_threads(1, || fixture.select(&options));
        prop_assert_eq!(slates.users(), users);
        for user in 0..users {
            let items = slate(&slates, user);
            let pool = fixture.pools.row(user).0;
            prop_assert!(items.iter().all(|item| pool.contains(item)));
            let mut distinct = items.to_vec();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(distinct.len(), items.len());
            if max_exposure.is_none() {
                prop_assert_eq!(items.len(), k.min(pool.len()));
                prop_assert!(fixture.new_in(items) >= new_items(&options).min(fixture.new_in(pool)));
            } else {
                prop_assert!(items.len() <= k);
            }
        }
        if let Some(limit) = max_exposure {
            for item in 0..ITEMS as u32 {
                prop_assert!(slates.items().iter().filter(|other| **other == item).count() <= limit);
            }
        }
        prop_assert!(slates.propensities().iter().all(|propensity| *propensity > 0.0 && *propensity <= 1.0));
        if explore.is_none() {
            prop_assert!(slates.propensities().iter().all(|propensity| *propensity == 1.0));
        }
        prop_assert_eq!(slates, on_threads(3, || fixture.select(&options)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn propensities_of_a_pool_sum_to_k(seed in 0u64..500, max_exposure in prop::option::of(Just(1usize))) {
        let fixture = Fixture::new(1, 6, seed);
        let explore = Some(Explore { redraws: 100, strength: 3.0, new_boost: 1.0 });
        // Each seed's slate has the propensities of its own items: slates of many seeds have all of the pool's.
        let mut propensities = [None; ITEMS];
        let mut inverse = 0.0;
        for seed in 0..80 {
            let options = SelectOptions { k: 3, explore, max_exposure, seed, ..SelectOptions::default() };
            let slates = fixture.select(&options);
            for (item, propensity) in slates.items().iter().zip(slates.propensities()) {
                propensities[*item as usize].get_or_insert(f64::from(*propensity));
                inverse += 1.0 / f64::from(*propensity) / 80.0;
            }
        }
        let seen = propensities.iter().flatten().count() as f64;
        let sum = propensities.iter().flatten().sum::<f64>();
        // Six estimates from 101 repetitions each: standard error at most .12.
        prop_assert!((sum - 3.0).abs() < 0.6, "{}", sum);
        // What is shown, weighted by the inverse propensity, counts the pool; an unlikely item's weight varies much.
        prop_assert!((inverse - seen).abs() < 2.0, "{} of {}", inverse, seen);
    }
}
