//! How slates are chosen from pools, and how often it would have been the same ones.
//!
//! Takes pools and options; gives slates ([`select`]). The order of the parts: the pool's values are
//! its scores, or draws around its probabilities (`explore`); diversity lowers them (`diversity`); then rows are taken by
//! value, each slate's share of new items first, and over all users where an item's exposure is limited (`exposure`). All of
//! it is repeated with other draws for the propensities.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::blocks::TopK;
use super::slates::{PoolInfo, SelectOptions, Slates};
use super::{diversity, exposure};
use crate::cancellation::{Cancelled, Stop, check};

/// Repetitions that are valued at once where users are allocated together: each user's cosines are computed once for them.
const TOGETHER: usize = 16;

/// The slates of all users of `pools`. `stop` is asked for each user or repetition.
///
/// A user whose pool holds less than `k` items gets fewer, and so does one whose pool's items are all in as many slates
/// as `max_exposure` allows: [`super::select_from_all`] widens pools that are too short. With a limit and
/// exploration together all users' slates are repeated [`super::Explore::redraws`] times as one; without a limit, each user's alone.
pub fn select(pools: &TopK, info: &PoolInfo<'_>, options: &SelectOptions, stop: Stop<'_>) -> Result<Slates, Cancelled> {
    Policy { pools, info, options, new: new_items(options) }.slates(stop)
}

/// How many new items a slate has at least.
pub(super) fn new_items(options: &SelectOptions) -> usize {
    // 0.07 * 100 is a little above 7 in floating point.
    let share = options.min_new_share.clamp(0.0, 1.0) * options.k as f64;
    (share - 1e-9).ceil().max(0.0) as usize
}

/// What is chosen from, and by which options.
pub(super) struct Policy<'a> {
    pub(super) pools: &'a TopK,
    pub(super) info: &'a PoolInfo<'a>,
    pub(super) options: &'a SelectOptions,
    /// New items that a slate has at least, if its pool has them.
    pub(super) new: usize,
}

impl Policy<'_> {
    /// The slates of all users.
    pub(super) fn slates(&self, stop: Stop<'_>) -> Result<Slates, Cancelled> {
        match self.options.max_exposure {
            None => self.each_user(stop),
            Some(limit) => self.all_users(limit, stop),
        }
    }

    fn probability(&self, row: usize) -> f32 {
        self.info.probabilities.get(row).copied().unwrap_or(0.0)
    }

    fn is_new(&self, item: u32) -> bool {
        self.info.is_new.get(item as usize).copied().unwrap_or(false)
    }

    fn repetitions(&self) -> u32 {
        self.options.explore.map_or(0, |explore| explore.redraws)
    }

    /// What a user's rows are ranked by in one repetition. `similarities` is of the same user.
    fn values(&self, user: usize, repetition: u32, similarities: &[f32], values: &mut Vec<f32>) {
        let range = self.pools.range(user);
        let (items, scores) = self.pools.row(user);
        match &self.options.explore {
            None => {
                values.clear();
                values.extend_from_slice(scores);
            }
            Some(explore) => {
                let rows = range.zip(items).map(|(row, item)| (self.probability(row), self.is_new(*item)));
                explore.draw(self.options.seed, user, repetition, rows, values);
            }
        }
        if !similarities.is_empty() {
            // Beyond the slate the order only matters where rows are passed over.
            let all = self.new > 0 || self.options.max_exposure.is_some();
            let steps = if all { values.len() } else { self.options.k };
            diversity::lower(values, similarities, self.options.diversity, steps);
        }
    }

    /// The cosines of a user's pool; empty where they are not asked for.
    fn similarities(&self, user: usize, out: &mut Vec<f32>) {
        out.clear();
        if let Some(vectors) = self.info.vectors
            && self.options.diversity > 0.0
        {
            diversity::similarities(vectors, self.pools.row(user).0, out);
        }
    }

    /// Slates without a limit on exposure: every user alone.
    fn each_user(&self, stop: Stop<'_>) -> Result<Slates, Cancelled> {
        let slates = (0..self.pools.rows())
            .into_par_iter()
            .map_init(Scratch::default, |room, user| {
                check(stop)?;
                self.similarities(user, &mut room.similarities);
                self.values(user, 0, &room.similarities, &mut room.values);
                let shown = self.choose(user, room).to_vec();
                let mut times = vec![1u32; shown.len()];
                for repetition in 1..=self.repetitions() {
                    self.values(user, repetition, &room.similarities, &mut room.values);
                    self.choose(user, room);
                    shown
                        .iter()
                        .zip(&mut times)
                        .for_each(|(place, times)| *times += u32::from(room.taken[*place as usize]));
                }
                Ok((shown, times))
            })
            .collect::<Result<Vec<_>, Cancelled>>()?;
        let mut out = Slates { starts: vec![0], ..Slates::default() };
        for (user, (shown, times)) in slates.iter().enumerate() {
            let first = self.pools.range(user).start;
            self.push(&mut out, shown.iter().map(|place| first + *place as usize).zip(times.iter().copied()));
        }
        Ok(out)
    }

    /// The places in a user's pool that are shown, best first, by `room.values`; `room.taken` marks them.
    fn choose<'r>(&self, user: usize, room: &'r mut Scratch) -> &'r [u32] {
        let (items, _) = self.pools.row(user);
        let Scratch { values, order, taken, shown, .. } = room;
        order.clear();
        order.extend(0..items.len() as u32);
        order.sort_unstable_by(|a, b| values[*b as usize].total_cmp(&values[*a as usize]).then(a.cmp(b)));
        taken.clear();
        taken.resize(items.len(), false);
        // The best new ones have their share; what is left goes to the best of all.
        let new = order.iter().filter(|place| self.is_new(items[**place as usize])).take(self.new.min(self.options.k));
        let mut count = 0;
        for place in new {
            taken[*place as usize] = true;
            count += 1;
        }
        for place in order.iter() {
            if count == self.options.k {
                break;
            }
            count += usize::from(!taken[*place as usize]);
            taken[*place as usize] = true;
        }
        shown.clear();
        shown.extend(order.iter().filter(|place| taken[**place as usize]));
        shown
    }

    /// Slates with a limit on exposure: all users together.
    fn all_users(&self, max_exposure: usize, stop: Stop<'_>) -> Result<Slates, Cancelled> {
        let limits = exposure::Limits {
            k: self.options.k,
            max_exposure,
            new: self.new.min(self.options.k),
            is_new: self.info.is_new,
            seed: self.options.seed,
        };
        let shown_by = self.all_values(0..1, stop)?;
        let shown = exposure::allocate(self.pools, &shown_by, &limits, stop)?;
        let times = shown.iter().map(|shown| AtomicU32::new(u32::from(*shown))).collect::<Vec<_>>();
        for first in (1..=self.repetitions()).step_by(TOGETHER) {
            let some = first..(first + TOGETHER as u32).min(self.repetitions() + 1);
            let values = self.all_values(some.clone(), stop)?;
            (0..some.len()).into_par_iter().try_for_each(|repetition| {
                let values = self.of_repetition(&values, repetition, some.len());
                let taken = exposure::allocate(self.pools, &values, &limits, stop)?;
                for (times, taken) in times.iter().zip(taken) {
                    times.fetch_add(u32::from(taken), Ordering::Relaxed);
                }
                Ok(())
            })?;
        }
        let mut out = Slates { starts: vec![0], ..Slates::default() };
        for user in 0..self.pools.rows() {
            let mut rows = self.pools.range(user).filter(|row| shown[*row]).collect::<Vec<_>>();
            rows.sort_unstable_by(|a, b| shown_by[*b].total_cmp(&shown_by[*a]).then(a.cmp(b)));
            self.push(&mut out, rows.into_iter().map(|row| (row, times[row].load(Ordering::Relaxed))));
        }
        Ok(out)
    }

    /// The values of all rows of the pools in some repetitions: for each user one repetition behind the other.
    fn all_values(&self, repetitions: Range<u32>, stop: Stop<'_>) -> Result<Vec<f32>, Cancelled> {
        let mut all = vec![0.0; self.pools.indices().len() * repetitions.len()];
        let mut rest = all.as_mut_slice();
        let mut users = Vec::with_capacity(self.pools.rows());
        for user in 0..self.pools.rows() {
            let (row, behind) = rest.split_at_mut(self.pools.range(user).len() * repetitions.len());
            users.push(row);
            rest = behind;
        }
        users.into_par_iter().enumerate().try_for_each_init(Scratch::default, |room, (user, out)| {
            check(stop)?;
            self.similarities(user, &mut room.similarities);
            let length = self.pools.range(user).len().max(1);
            for (repetition, out) in repetitions.clone().zip(out.chunks_exact_mut(length)) {
                self.values(user, repetition, &room.similarities, &mut room.values);
                out.copy_from_slice(&room.values);
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// One repetition's values out of [`Self::all_values`] of `repetitions`, in the order of the pools' rows.
    fn of_repetition(&self, all: &[f32], repetition: usize, repetitions: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.pools.indices().len());
        for user in 0..self.pools.rows() {
            let range = self.pools.range(user);
            let first = range.start * repetitions + repetition * range.len();
            values.extend_from_slice(&all[first..first + range.len()]);
        }
        values
    }

    /// Adds a user's rows, each with how many repetitions had it.
    fn push(&self, out: &mut Slates, rows: impl Iterator<Item = (usize, u32)>) {
        let all = f64::from(self.repetitions()) + 1.0;
        for (row, times) in rows {
            out.items.push(self.pools.indices()[row]);
            out.scores.push(self.pools.scores()[row]);
            out.probabilities.push(self.probability(row));
            out.propensities.push((f64::from(times) / all) as f32);
        }
        out.starts.push(out.items.len());
    }
}

/// What a thread needs for one user after another.
#[derive(Default)]
struct Scratch {
    similarities: Vec<f32>,
    values: Vec<f32>,
    order: Vec<u32>,
    taken: Vec<bool>,
    shown: Vec<u32>,
}

#[cfg(test)]
#[path = "tests/policy.rs"]
mod tests;
