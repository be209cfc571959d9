//! Who did something with which item's text: takes the tables `interactions` and `items`, gives [`Interactions`] for `bce`
//! and `bpr`, and the joined rows from which [`super::pairs`] makes pairs.

use std::collections::HashMap;

use arrow::array::{Array, Float64Array, Int64Array};

use super::groups::Groups;
use super::inputs::DistinctInputs;
use super::source::Source;
use super::split::{Features, Sides, last_of_each};
use super::{Error, Notes, Result, Role};

/// The examples of `bce` and `bpr`, an entry of each list for every example.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interactions {
    /// The user, numbered below [`Self::users`]; larger for examples on neither side of the split.
    pub user: Vec<u32>,
    /// The item's text, a row of the dataset's inputs.
    pub text: Vec<u32>,
    /// The probability that the user likes the item, in [0, 1]; empty if there are no labels: then all examples are
    /// positive and negatives are drawn.
    pub label: Vec<f32>,
    /// How much it counts.
    pub weight: Vec<f32>,
    /// Number of users that are trained on.
    pub users: usize,
    /// The texts that each user has, held out ones included: never drawn as negatives.
    pub has: Groups,
    /// The distinct texts of all interactions, ascending: what negatives are drawn from.
    pub pool: Vec<u32>,
}

/// An interaction whose item is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) user: u32,
    pub(super) text: u32,
    /// 0 where times are not read.
    pub(super) time: i64,
    /// The row of the source.
    pub(super) row: usize,
}

/// Interactions with their items' texts.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) events: Vec<Event>,
    pub(super) users: usize,
}

/// Finds the text of each interaction's item. Interactions whose user or item is NULL or unknown are left out and noted.
///
/// # Errors
/// All of them are.
pub(super) fn join<'a>(
    interactions: &Source,
    times: Option<&Int64Array>,
    items: &'a Items,
    texts: &mut DistinctInputs<'a>,
    notes: &mut Notes,
) -> Result<Joined> {
    interactions.not_all_null(Role::User)?;
    interactions.not_all_null(Role::Item)?;
    let by_id = items.by_id(notes);
    let (users, ids) = (interactions.required(Role::User), interactions.required(Role::Item));
    let mut numbers = HashMap::<&str, u32>::new();
    let (mut nulls, mut unknown, mut first) = (0, 0, None);
    let mut events = Vec::with_capacity(interactions.rows());
    for row in 0..interactions.rows() {
        if users.is_null(row) || ids.is_null(row) {
            nulls += 1;
            continue;
        }
        let Some(text) = by_id.get(ids.value(row)) else {
            unknown += 1;
            first = first.filter(|first| interactions.place(*first) < interactions.place(row)).or(Some(row));
            continue;
        };
        let next = numbers.len() as u32;
        let user = *numbers.entry(users.value(row)).or_insert(next);
        let time = times.map_or(0, |times| times.value(row));
        let text = texts.text(text.as_bytes(), interactions.place(row));
        events.push(Event { user, text, time, row });
    }
    let rows = interactions.rows();
    if let Some(first) = first {
        let (item, place) = (ids.value(first).to_owned(), interactions.place(first));
        if unknown == rows - nulls {
            let (left, right) = (interactions.name(Role::Item), items.source.name(Role::Item));
            return Err(Error::UnknownItems { rows: unknown, item, left, right });
        }
        notes.add(unknown, |n| {
            format!("{n} of {rows} interactions name an item that 'items' lacks (the first is '{item}' in row {place})")
        });
    }
    notes.add(nulls, |n| format!("{n} of {rows} interactions have no user or no item"));
    if events.is_empty() {
        let reason = "no interaction has both a user and an item with a text".to_owned();
        return Err(Error::NoPositives { reason });
    }
    Ok(Joined { users: numbers.len(), events })
}

/// The table `items`.
#[derive(Debug)]
pub(super) struct Items {
    pub(super) source: Source,
    ids: arrow::array::StringViewArray,
    texts: arrow::array::StringViewArray,
}

impl Items {
    /// Reads it.
    ///
    /// # Errors
    /// All its ids or texts are NULL.
    pub(super) fn new(source: Source) -> Result<Self> {
        source.not_all_null(Role::Item)?;
        source.not_all_null(Role::Text)?;
        let (ids, texts) = (source.required(Role::Item), source.required(Role::Text));
        Ok(Self { source, ids, texts })
    }

    /// The text of each item: of several the one with the most rows. Rows of one id and text lie together.
    fn by_id(&self, notes: &mut Notes) -> HashMap<&str, &str> {
        let whole = self.ids.iter().zip(&self.texts).filter_map(|(id, text)| Some((id?, text?))).collect::<Vec<_>>();
        let nulls = self.ids.len() - whole.len();
        let mut by_id = HashMap::<&str, (&str, usize)>::with_capacity(whole.len());
        let mut seconds = 0;
        for run in whole.chunk_by(|a, b| a == b) {
            let (id, text) = run[0];
            let (best, rows) = by_id.entry(id).or_insert((text, 0));
            seconds += usize::from(*rows > 0);
            if run.len() > *rows {
                (*best, *rows) = (text, run.len());
            }
        }
        let rows = self.ids.len();
        notes.add(nulls, |n| format!("{n} of {rows} rows of 'items' have no id or no text"));
        notes.add(seconds, |n| {
            format!("{n} other texts of items are not used: an item has the text of most of its rows")
        });
        by_id.into_iter().map(|(id, (text, _))| (id, text)).collect()
    }
}

impl Interactions {
    /// The examples of the joined rows: every row if there are labels, otherwise each user and text once, at its first
    /// time and with the sum of its weights.
    ///
    /// # Errors
    /// A label is not in [0, 1]; none is positive, or all are and none is negative; there is nothing to draw negatives
    /// from.
    pub(super) fn new(
        source: &Source,
        joined: Joined,
        liked_only: bool,
        timed: bool,
        seed: u64,
        notes: &mut Notes,
    ) -> Result<(Self, Features)> {
        let labels = source.numbers(Role::Label)?;
        let weights = source.weights()?;
        let Joined { mut events, users } = joined;
        if let Some(labels) = &labels {
            check_labels(source, labels, &events, liked_only)?;
            if liked_only {
                let rows = events.len();
                events.retain(|event| labels.value(event.row) >= 0.5);
                notes.add(rows - events.len(), |n| {
                    format!("{n} of {rows} interactions have a label below 0.5 and are left out")
                });
            }
        }
        // Labelled probabilities need every row.
        let labels = labels.filter(|_| !liked_only);
        events.sort_unstable_by_key(|event| (event.user, event.text, event.time, event.row));
        let pool = texts_of(&events);
        if labels.is_none() {
            leave_out_full(&mut events, users, pool.len(), notes)?;
        }
        let mut examples = Self { users, ..Self::default() };
        let mut features = Features::default();
        for event in &events {
            let same = examples.user.last() == Some(&event.user) && examples.text.last() == Some(&event.text);
            if let (None, true, Some(weight)) = (&labels, same, examples.weight.last_mut()) {
                *weight += weights[event.row];
                continue;
            }
            examples.user.push(event.user);
            examples.text.push(event.text);
            examples.weight.push(weights[event.row]);
            examples.label.extend(labels.as_ref().map(|labels| labels.value(event.row) as f32));
            features.keys.push(u64::from(event.user) << 32 | u64::from(event.text));
            if timed {
                features.times.push(event.time);
            }
        }
        if timed {
            features.last = last_of_each(&examples.user, &features.times, seed);
        }
        let liked = |example: usize| examples.label.get(example).is_none_or(|label| *label >= 0.5);
        let members = (0..examples.user.len()).filter(|example| liked(*example));
        examples.has = Groups::new(members.map(|at| (examples.user[at], examples.text[at])).collect(), users);
        examples.pool = pool;
        Ok((examples, features))
    }

    /// Leaves out the held out examples of users that are not trained on, and numbers the others anew.
    pub(super) fn known_users_only(&mut self, sides: &mut Sides, notes: &mut Notes) {
        const NONE: u32 = u32::MAX;
        let mut number = vec![NONE; self.users];
        let mut old = Vec::new();
        for example in &sides.train {
            let user = self.user[*example as usize];
            if number[user as usize] == NONE {
                number[user as usize] = old.len() as u32;
                old.push(user);
            }
        }
        let before = sides.validation.len();
        sides.validation.retain(|example| number[self.user[*example as usize] as usize] != NONE);
        notes.add(before - sides.validation.len(), |n| {
            format!("{n} of {before} held out examples are of users who have no others")
        });
        let members = (0u32..).zip(&old).flat_map(|(new, old)| self.has.of(*old).iter().map(move |text| (new, *text)));
        self.has = Groups::new(members.collect(), old.len());
        self.users = old.len();
        self.user.iter_mut().for_each(|user| *user = number[*user as usize]);
    }
}

/// The distinct texts of events, ascending.
fn texts_of(events: &[Event]) -> Vec<u32> {
    let mut texts = events.iter().map(|event| event.text).collect::<Vec<_>>();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// Leaves out the users who have every text: no negative can be drawn for them. `events` are sorted by user and text.
fn leave_out_full(events: &mut Vec<Event>, users: usize, texts: usize, notes: &mut Notes) -> Result<()> {
    let mut has = vec![0usize; users];
    for own in events.chunk_by(|a, b| (a.user, a.text) == (b.user, b.text)) {
        has[own[0].user as usize] += 1;
    }
    let before = events.len();
    events.retain(|event| has[event.user as usize] < texts);
    if events.is_empty() {
        let hint = "Every user has every item, so that no negatives can be drawn; give a column 'label'";
        return Err(Error::OneClass { label: "1".into(), examples: before, hint });
    }
    let full = has.iter().filter(|count| **count == texts).count();
    notes.add(full, |n| format!("{n} of {users} users have every item, so that nothing can be told apart for them"));
    Ok(())
}

fn check_labels(source: &Source, labels: &Float64Array, events: &[Event], liked_only: bool) -> Result<()> {
    source.check(Role::Label, labels, "between 0 and 1, true or false", |label| (0.0..=1.0).contains(&label))?;
    let positives = events.iter().filter(|event| labels.value(event.row) >= 0.5).count();
    if positives == 0 {
        let reason = format!("all {} labels in '{}' are below 0.5", events.len(), source.name(Role::Label));
        return Err(Error::NoPositives { reason });
    }
    if positives == events.len() && !liked_only {
        return Err(Error::OneClass {
            label: "1".into(),
            examples: positives,
            hint: "Add rows with the label 0, or leave the column 'label' out: then negatives are drawn",
        });
    }
    Ok(())
}
