//! Texts that belong together: takes joined interactions, or the table `examples` with a positive text in each row, and
//! gives [`Pairs`] for `contrastive`.

use std::collections::HashMap;

use arrow::array::{Array, Int64Array, StringViewArray};

use super::groups::Groups;
use super::inputs::DistinctInputs;
use super::interactions::Joined;
use super::source::Source;
use super::split::Features;
use super::{Error, Notes, Result, Role};
use crate::train::random::Purpose;

/// The examples of `contrastive`, an entry of each list for every example.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pairs {
    /// The first text, a row of the dataset's inputs.
    pub anchor: Vec<u32>,
    /// The text that belongs to it.
    pub positive: Vec<u32>,
    /// A text that is to be told apart from the positive one, where there is one; empty if no example has one.
    pub negative: Vec<Option<u32>>,
    /// How much it counts.
    pub weight: Vec<f32>,
    /// Whose pair it is: a user's, or the anchor's.
    pub group: Vec<u32>,
    /// The texts of each group, held out ones included: no false negatives for it.
    pub has: Groups,
}

impl Pairs {
    fn push(&mut self, features: &mut Features, anchor: u32, positive: u32, weight: f32, group: u32) {
        self.anchor.push(anchor);
        self.positive.push(positive);
        self.weight.push(weight);
        self.group.push(group);
        // A pair is the same the other way around.
        features.keys.push(u64::from(anchor.min(positive)) << 32 | u64::from(anchor.max(positive)));
    }

    /// Pairs of different texts that one user has: all of a user's, or `most` that a seeded draw takes, each turned one
    /// way or the other at random. A pair happened when its later text did; its weight is the geometric mean of the
    /// weights of both first interactions, so that a weight of 0 leaves a text out.
    ///
    /// # Errors
    /// No user has two texts.
    pub(super) fn of_users(
        source: &Source,
        joined: Joined,
        most: usize,
        timed: bool,
        seed: u64,
        notes: &mut Notes,
    ) -> Result<(Self, Features)> {
        let weights = source.weights()?;
        let Joined { mut events, users } = joined;
        let interactions = events.len();
        events.sort_unstable_by_key(|event| (event.user, event.text, event.time, event.row));
        let members = events.iter().map(|event| (event.user, event.text)).collect();
        let mut pairs = Self { has: Groups::new(members, users), ..Self::default() };
        let mut features = Features::default();
        events.dedup_by_key(|event| (event.user, event.text));
        let mut random = Purpose::Pairs.random(seed);
        let mut capped = 0;
        for own in events.chunk_by(|a, b| a.user == b.user) {
            let all = own.len() * (own.len() - 1) / 2;
            capped += usize::from(all > most);
            // Among texts of one time the last is drawn, because their order means nothing.
            let latest = own.iter().map(|event| event.time).max();
            let latest = own.iter().filter(|event| Some(event.time) == latest).collect::<Vec<_>>();
            let last = latest[random.below(latest.len())].text;
            for number in random.sample(all, most) {
                let (first, second) = unrank(number);
                let (mut a, mut b) = (own[first], own[second]);
                if random.below(2) == 1 {
                    std::mem::swap(&mut a, &mut b);
                }
                let weight = (weights[a.row] * weights[b.row]).sqrt();
                pairs.push(&mut features, a.text, b.text, weight, a.user);
                if timed {
                    features.times.push(a.time.max(b.time));
                    features.last.push(a.text == last || b.text == last);
                }
            }
        }
        if pairs.anchor.is_empty() {
            let reason =
                format!("none of {users} users has two items with different texts ({interactions} interactions)");
            return Err(Error::NoPositives { reason });
        }
        notes.add(capped, |n| {
            format!("{n} of {users} users have more than {most} pairs of items, of which {most} were drawn")
        });
        Ok((pairs, features))
    }

    /// The pairs of the table `examples`. Rows without a text or a positive one, or with the same as both, are left out
    /// and noted; a negative text that is NULL, or a positive of the same anchor, is none.
    ///
    /// # Errors
    /// No row is left, or a weight or time is wrong.
    pub(super) fn of_examples<'a>(
        source: &Source,
        columns: &'a PairColumns,
        times: Option<&Int64Array>,
        texts: &mut DistinctInputs<'a>,
        notes: &mut Notes,
    ) -> Result<(Self, Features)> {
        for role in [Role::Text, Role::Positive, Role::Negative] {
            source.not_all_null(role)?;
        }
        let weights = source.weights()?;
        let (mut pairs, mut features) = (Self::default(), Features::default());
        let mut groups = HashMap::<u32, u32>::new();
        let mut members = Vec::new();
        let (mut nulls, mut same) = (0, 0);
        for (row, weight) in weights.iter().enumerate() {
            if columns.text.is_null(row) || columns.positive.is_null(row) {
                nulls += 1;
                continue;
            }
            if columns.text.value(row) == columns.positive.value(row) {
                same += 1;
                continue;
            }
            let mut number = |column: &'a StringViewArray| texts.text(column.value(row).as_bytes(), source.place(row));
            let (anchor, positive) = (number(&columns.text), number(&columns.positive));
            let next = groups.len() as u32;
            let group = *groups.entry(anchor).or_insert(next);
            members.extend([(group, anchor), (group, positive)]);
            pairs.push(&mut features, anchor, positive, *weight, group);
            features.times.extend(times.map(|times| times.value(row)));
            if let Some(negative) = &columns.negative {
                pairs.negative.push(negative.is_valid(row).then(|| number(negative)));
            }
        }
        let rows = source.rows();
        notes.add(nulls, |n| format!("{n} of {rows} examples have no text or no positive text"));
        notes.add(same, |n| format!("{n} of {rows} examples have the same text as their positive one"));
        if pairs.anchor.is_empty() {
            let reason = format!("none of the {rows} rows has a text and another, positive text");
            return Err(Error::NoPositives { reason });
        }
        pairs.has = Groups::new(members, groups.len());
        let (has, mut wrong) = (&pairs.has, 0);
        for (negative, group) in pairs.negative.iter_mut().zip(&pairs.group) {
            if negative.is_some_and(|text| has.contains(*group, text)) {
                *negative = None;
                wrong += 1;
            }
        }
        notes.add(wrong, |n| {
            format!("{n} negative texts of {rows} are positive for the same text elsewhere and not used")
        });
        Ok((pairs, features))
    }
}

/// The text columns of the table `examples`.
#[derive(Debug)]
pub(super) struct PairColumns {
    text: StringViewArray,
    positive: StringViewArray,
    negative: Option<StringViewArray>,
}

impl PairColumns {
    /// Takes them from the table.
    pub(super) fn new(source: &Source) -> Self {
        Self {
            text: source.required(Role::Text),
            positive: source.required(Role::Positive),
            negative: source.texts(Role::Negative),
        }
    }
}

/// The pair of numbers `(i, j)` with `i < j` that has this place in `(0, 1), (0, 2), (1, 2), (0, 3), ...`.
fn unrank(place: usize) -> (usize, usize) {
    // The largest j with j (j - 1) / 2 <= place.
    let mut j = (1 + 8 * place).isqrt().div_ceil(2);
    while j * (j - 1) / 2 > place {
        j -= 1;
    }
    (place - j * (j - 1) / 2, j)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_a_place() {
        let mut place = 0;
        for j in 1..200 {
            for i in 0..j {
                assert_eq!(unrank(place), (i, j));
                place += 1;
            }
        }
        assert_eq!(unrank(5_000_000 * 4_999_999 / 2 + 7), (7, 5_000_000));
    }
}
