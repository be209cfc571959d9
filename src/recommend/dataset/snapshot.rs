//! What was known at a moment, or without some items: takes a shop, gives its users' histories as a matrix.
//!
//! Training looks back at each earlier launch window as it was before the window began, so that what is learned from it
//! is what new items will meet.

use super::interactions::InteractionDataset;
use crate::linalg::sparse::Csr;

/// Microseconds in a day.
pub const DAY: i64 = 86_400_000_000;
/// Microseconds in a week.
pub const WEEK: i64 = 7 * DAY;
/// How far back popularity looks, in days: a season.
pub(crate) const RECENT_DAYS: i64 = 84;

/// Users and items with a history.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The users, by number in the shop, ascending.
    pub users: Vec<u32>,
    /// The items that known users have, by number in the shop, ascending.
    pub items: Vec<u32>,
    /// Who has what: users x items. Values have a mean of 1.
    pub history: Csr,
    /// For each item of the shop whether anybody had taken it, unknown users included.
    pub sold: Vec<bool>,
    /// For each of `items`, how many users took it lately.
    pub buyers: Vec<u32>,
    /// For each of `users`, days since they last took anything.
    pub idle: Vec<f32>,
    /// For each of `users`, how many items they took lately.
    pub recent: Vec<u32>,
    /// The moment, in microseconds since 1970: nothing after it is known.
    pub now: i64,
}

impl Snapshot {
    /// Of what happened before `now` with items for which `keep` says so.
    pub fn new(dataset: &InteractionDataset, now: i64, keep: impl Fn(u32) -> bool) -> Self {
        let mut pairs: Vec<(u32, u32, f32, i64)> = Vec::new();
        let mut sold = vec![false; dataset.items.len()];
        for event in dataset.events.iter().filter(|event| event.time < now && keep(event.item)) {
            sold[event.item as usize] = true;
            if let Some(user) = event.user {
                pairs.push((user, event.item, event.weight, event.time));
            }
        }
        // Events come by time: the last of a pair is the latest.
        pairs.sort_by_key(|(user, item, ..)| (*user, *item));
        pairs.dedup_by(|later, first| {
            let same = (later.0, later.1) == (first.0, first.1);
            if same {
                first.2 += later.2;
                first.3 = first.3.max(later.3);
            }
            same
        });
        let users = numbers(pairs.iter().map(|(user, ..)| *user));
        let items = numbers(pairs.iter().map(|(_, item, ..)| *item));
        let place = |numbers: &[u32], number: u32| numbers.binary_search(&number).unwrap_or_default();
        let since = now.saturating_sub(RECENT_DAYS * DAY);
        let (mut buyers, mut recent) = (vec![0; items.len()], vec![0; users.len()]);
        let mut last = vec![i64::MIN; users.len()];
        let mut rows = vec![Vec::new(); users.len()];
        let weighted = dataset.events.iter().any(|event| event.weight != 1.0);
        let mean = pairs.iter().map(|(.., weight, _)| f64::from(*weight)).sum::<f64>() / pairs.len().max(1) as f64;
        for (user, item, weight, time) in &pairs {
            let (user, item) = (place(&users, *user), place(&items, *item));
            // How often somebody bought says little; how much they say it counts, something.
            let value = if weighted { (f64::from(*weight) / mean).min(MOST) as f32 } else { 1.0 };
            rows[user].push((item as u32, value));
            last[user] = last[user].max(*time);
            if *time >= since {
                buyers[item] += 1;
                recent[user] += 1;
            }
        }
        let idle = last.iter().map(|last| (now.saturating_sub(*last) as f64 / DAY as f64) as f32).collect();
        Self { history: Csr::from_rows(items.len(), rows), users, items, sold, buyers, idle, recent, now }
    }

    /// Whether there is anything to learn from.
    pub fn is_empty(&self) -> bool {
        self.history.stored() == 0
    }
}

/// One interaction counts as much as this many of the mean at most.
const MOST: f64 = 10.0;

/// Each number once, ascending.
pub(crate) fn numbers(all: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut numbers: Vec<u32> = all.collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
