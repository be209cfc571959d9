//! What is held out: takes the examples' keys, times and classes, gives the examples to train on and those to validate
//! with.
//!
//! Examples with one key (the same text, pair of texts, or user and item) are never on both sides: what was trained on
//! would be asked for again.

use std::collections::{HashMap, HashSet};

use debut_udfs::finetune::Split;

use super::{Error, Result};
use crate::train::random::Purpose;

/// What a split looks at, an entry for each example.
#[derive(Debug, Default)]
pub(super) struct Features {
    /// Examples with the same key stay together.
    pub(super) keys: Vec<u64>,
    /// When it happened; empty where unknown.
    pub(super) times: Vec<i64>,
    /// Whether it is its user's last; empty where there are no users.
    pub(super) last: Vec<bool>,
    /// Its class; empty where there are none.
    pub(super) classes: Vec<u32>,
}

/// The two sides: numbers of examples, ascending.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) train: Vec<u32>,
    pub(super) validation: Vec<u32>,
    /// Examples on neither side, because they would be held out but their key is trained on.
    pub(super) repeated: usize,
}

/// Splits the examples. `share` is between 0 and 0.9, and `features` has what `split` looks at: [`super::check`] sees to it.
///
/// # Errors
/// One of the sides would be empty.
pub(super) fn split(split: Split, share: f64, features: &Features, seed: u64) -> Result<Sides> {
    if share == 0.0 && split != Split::Last {
        return Ok(Sides { train: (0..features.keys.len() as u32).collect(), ..Sides::default() });
    }
    let held_out = match split {
        Split::Random => random(share, features, seed),
        Split::Time => latest(share, &features.times),
        Split::Last => features.last.clone(),
    };
    let trained = features.keys.iter().zip(&held_out).filter(|(_, out)| !**out).map(|(key, _)| *key);
    let trained = trained.collect::<HashSet<u64>>();
    let mut sides = Sides::default();
    for (example, (key, held_out)) in (0u32..).zip(features.keys.iter().zip(held_out)) {
        match (held_out, trained.contains(key)) {
            (false, _) => sides.train.push(example),
            (true, false) => sides.validation.push(example),
            (true, true) => sides.repeated += 1,
        }
    }
    let nothing = match (sides.train.is_empty(), sides.validation.is_empty()) {
        (true, _) => "leaves nothing to train on",
        (_, true) if split == Split::Time => {
            "leaves nothing to validate with: all examples are of one time, or what is last was there before"
        }
        (_, true) => "leaves nothing to validate with: there are too few different examples",
        _ => return Ok(sides),
    };
    let reason = format!("{nothing}; split => 'random' with validation => 0 holds nothing out");
    Err(Error::Option { option: "split", value: format!("'{split}'"), reason })
}

/// Holds out a share of the keys of each class; the first example of a key tells its class.
fn random(share: f64, features: &Features, seed: u64) -> Vec<bool> {
    let mut classes = Vec::<Vec<u64>>::new();
    let mut seen = HashSet::with_capacity(features.keys.len());
    for (example, key) in features.keys.iter().enumerate() {
        if seen.insert(*key) {
            let class = features.classes.get(example).copied().unwrap_or_default() as usize;
            if classes.len() <= class {
                classes.resize_with(class + 1, Vec::new);
            }
            classes[class].push(*key);
        }
    }
    let mut random = Purpose::Split.random(seed);
    let mut held_out = HashSet::new();
    // A small share of few examples is one; of a class it may be none.
    let least = usize::from(features.classes.is_empty());
    // What rounding down leaves of one class is carried to the next, so that many small classes give their share together.
    let mut owed = 0.0;
    for mut keys in classes {
        random.shuffle(&mut keys);
        owed += share * keys.len() as f64;
        let take = (owed as usize).max(least).min(keys.len().saturating_sub(1));
        owed -= take as f64;
        held_out.extend(keys.drain(..take));
    }
    features.keys.iter().map(|key| held_out.contains(key)).collect()
}

/// Holds out the examples from the time on that cuts off about `share`; those of one time stay together.
fn latest(share: f64, times: &[i64]) -> Vec<bool> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let Some(first) = sorted.first() else { return Vec::new() };
    let out = ((share * sorted.len() as f64).round() as usize).clamp(1, sorted.len());
    let cut = sorted[sorted.len() - out];
    // Where the cut falls into the first time of all, only what is later can be held out.
    let cut = cut.max(first.saturating_add(1));
    times.iter().map(|time| *time >= cut).collect()
}

/// Marks each user's last example: the latest, of several the one that a seeded draw takes.
pub(super) fn last_of_each(users: &[u32], times: &[i64], seed: u64) -> Vec<bool> {
    let mut random = Purpose::Split.random(seed);
    let mut best = HashMap::<u32, (i64, usize, usize)>::new();
    for (example, (user, time)) in users.iter().zip(times).enumerate() {
        let (latest, ties, chosen) = best.entry(*user).or_insert((*time, 0, example));
        if *time > *latest {
            (*latest, *ties, *chosen) = (*time, 1, example);
        } else if *time == *latest {
            // Reservoir sampling: the n-th of equal ones takes the place with probability 1/n.
            *ties += 1;
            if random.below(*ties) == 0 {
                *chosen = example;
            }
        }
    }
    let mut last = vec![false; times.len()];
    best.into_values().for_each(|(_, _, example)| last[example] = true);
    last
}
