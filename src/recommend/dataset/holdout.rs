//! Holdout windows: takes a dataset, gives earlier launch windows, what was known before them, and who took what was launched.
//!
//! A holdout window is a launch window: what was known before it began, the items that were first sold within it, and
//! what the users of that time took of them until it ended. Items that were launched within it and that nobody took
//! belong to it too, where it is known when they were launched: a probability that was learned from what was sold is
//! too high for what is launched. Where there are no such windows (a short history, or times that mean nothing) some
//! items are held out with everything that is known of them.

use std::ops::Range;

use super::interactions::InteractionDataset;
use super::snapshot::{DAY, Snapshot, numbers};
use crate::linalg::sparse::Csr;
use crate::random::Random;

/// A holdout window has so many launches at least, and so many users who took any.
const LEAST_LAUNCHES: usize = 5;
/// See [`LEAST_LAUNCHES`].
const LEAST_USERS: usize = 20;
/// Share of items that are held out where there are no windows.
const HELD_OUT: f64 = 0.15;
/// The stream of random numbers that they are drawn from.
const STREAM: u64 = 0x6c65_7373;

/// How holdout windows are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// By time: each window is this many days long, the last one ends with the last interaction.
    Windows {
        /// Days.
        days: u64,
    },
    /// Some items, whenever they were sold.
    Items,
}

/// Something to learn from.
#[derive(Debug, Clone)]
pub struct HoldoutWindow {
    /// What it is about, for people.
    pub title: String,
    /// The first moment of what is held out, in microseconds since 1970.
    pub from: i64,
    /// The first moment after it; `None` where time has no part in it.
    pub until: Option<i64>,
    /// What was known before.
    pub snapshot: Snapshot,
    /// The new items, by number in the shop, ascending.
    pub launches: Vec<u32>,
    /// What they took of them: the snapshot's users x launches.
    pub taken: Csr,
    /// What they took of items with a history that they did not have before: the snapshot's users x its items. `None` where time has
    /// no part in it.
    pub taken_of_known: Option<Csr>,
}

/// The holdout windows of a dataset, the oldest first; there may be none.
pub fn windows(dataset: &InteractionDataset, split: Split, seed: u64) -> Vec<HoldoutWindow> {
    let (Some(first), Some(last)) = (dataset.events.first(), dataset.events.last()) else { return Vec::new() };
    let mut found = Vec::new();
    if let Split::Windows { days } = split {
        let length = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY).max(1);
        let mut end = last.time.saturating_add(1);
        // Before a window there is as much history as in it, or everything would be new.
        while end.saturating_sub(length) >= first.time.saturating_add(length) {
            found.extend(window(dataset, end - length, end));
            end -= length;
        }
        found.reverse();
    }
    if found.is_empty() {
        found.extend(held_out(dataset, last.time.saturating_add(1), seed));
    }
    found
}

fn window(dataset: &InteractionDataset, start: i64, end: i64) -> Option<HoldoutWindow> {
    let snapshot = Snapshot::new(dataset, start, |_| true);
    let within = || dataset.events.iter().filter(|event| (start..end).contains(&event.time));
    let launched = launched(dataset, start..end);
    let sold = within().map(|event| event.item);
    let launches = numbers(sold.chain(launched.iter().copied()).filter(|item| !snapshot.sold[*item as usize]));
    let pairs = within().filter_map(|event| Some((event.user?, event.item)));
    let taken = taken(&snapshot, &launches, pairs.clone());
    let (launches, taken) = without_unknown_buyers(launches, &taken, &launched);
    let known = self::taken(&snapshot, &snapshot.items, pairs);
    let known = less(&known, &snapshot.history);
    let title = format!("launched from {} to {}", day(start), day(end));
    HoldoutWindow { title, from: start, until: Some(end), snapshot, launches, taken, taken_of_known: Some(known) }
        .worth_it()
}

fn held_out(dataset: &InteractionDataset, now: i64, seed: u64) -> Option<HoldoutWindow> {
    let mut random = Random::new(seed, STREAM);
    let out = (0..dataset.items.len()).map(|_| random.uniform() < HELD_OUT).collect::<Vec<_>>();
    let snapshot = Snapshot::new(dataset, now, |item| !out[item as usize]);
    let launched = launched(dataset, i64::MIN..now);
    let sold = dataset.events.iter().map(|event| event.item);
    let launches = numbers(sold.chain(launched.iter().copied()).filter(|item| out[*item as usize]));
    let pairs = dataset.events.iter().filter_map(|event| Some((event.user?, event.item)));
    let taken = taken(&snapshot, &launches, pairs);
    let (launches, taken) = without_unknown_buyers(launches, &taken, &launched);
    let title = "held out".to_owned();
    let from = dataset.events.iter().find(|event| out[event.item as usize]).map_or(now, |event| event.time);
    HoldoutWindow { title, from, until: None, snapshot, launches, taken, taken_of_known: None }.worth_it()
}

impl HoldoutWindow {
    fn worth_it(self) -> Option<Self> {
        let users = self.taken.iter().filter(|(items, _)| !items.is_empty()).count();
        (self.launches.len() >= LEAST_LAUNCHES && users >= LEAST_USERS).then_some(self)
    }
}

/// Which of `items` each of the snapshot's users is paired with.
fn taken(snapshot: &Snapshot, items: &[u32], pairs: impl Iterator<Item = (u32, u32)>) -> Csr {
    let mut rows = vec![Vec::new(); snapshot.users.len()];
    for (user, item) in pairs {
        if let (Ok(user), Ok(item)) = (snapshot.users.binary_search(&user), items.binary_search(&item)) {
            rows[user].push((item as u32, 1.0));
        }
    }
    Csr::from_rows(items.len(), rows).map(|_| 1.0)
}

/// The items that were launched then, as far as it is known; ascending.
fn launched(dataset: &InteractionDataset, then: Range<i64>) -> Vec<u32> {
    let known = (0..).zip(&dataset.items.launched).filter(|(_, at)| at.is_some_and(|at| then.contains(&at)));
    known.map(|(item, _)| item).collect()
}

/// Without those that nobody known took, unless they are among the `launched`: what was sold to unknown users only says nothing.
fn without_unknown_buyers(launches: Vec<u32>, taken: &Csr, launched: &[u32]) -> (Vec<u32>, Csr) {
    let mut places = vec![None; launches.len()];
    let mut kept = Vec::new();
    for (place, (users, _)) in taken.transpose().iter().enumerate() {
        if !users.is_empty() || launched.binary_search(&launches[place]).is_ok() {
            places[place] = Some(kept.len() as u32);
            kept.push(launches[place]);
        }
    }
    let rows = taken
        .iter()
        .map(|(items, _)| items.iter().filter_map(|item| Some((places[*item as usize]?, 1.0))).collect::<Vec<_>>());
    (kept.clone(), Csr::from_rows(kept.len(), rows))
}

/// The entries of `all` that `those` has not.
fn less(all: &Csr, those: &Csr) -> Csr {
    let rows = all.iter().zip(those.iter()).map(|((items, values), (had, _))| {
        items
            .iter()
            .copied()
            .zip(values.iter().copied())
            .filter(|(item, _)| had.binary_search(item).is_err())
            .collect::<Vec<_>>()
    });
    Csr::from_rows(all.columns(), rows)
}

/// The day of an instant, for people.
pub(crate) fn day(microseconds: i64) -> String {
    crate::recommend::error::utc(microseconds).chars().take(10).collect()
}
