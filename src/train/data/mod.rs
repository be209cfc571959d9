//! Training data: takes the results of `finetune`'s sub-queries, gives a [`Dataset`] of distinct texts, pictures or both and
//! examples that point at them, split into what is trained on and what is held out. [`check`] says while a query is planned whether the
//! tables are those that its objective reads.
//!
//! # Layout, in the order in which data flows
//! - `role`: what columns mean; [`columns`]: which column is what
//! - [`table`]: the tables, and which columns of them are read for which form of examples
//! - [`source`], [`form`]: a table's columns in one form each, its rows in one order
//! - [`inputs`]: distinct texts, pictures, or both; [`interactions`], [`pairs`], [`text_images`], [`labelled`], [`unlabelled`]: examples
//! - [`groups`]: which texts belong to whom
//! - [`split`](mod@split): what is held out
//!
//! Equal rows in any order make an equal dataset; nothing here depends on threads or on the time of day.

mod columns;
mod error;
mod form;
mod groups;
mod inputs;
mod interactions;
mod labelled;
mod pairs;
mod role;
mod source;
mod split;
mod table;
#[cfg(test)]
mod tests;
mod text_images;
mod unlabelled;

use std::fmt::{self, Display};

use arrow::datatypes::{DataType, Schema, SchemaRef};
use debut_udfs::finetune::Objective;
use debut_udfs::model::Modality;
use debut_udfs::options::Inputs;
use debut_udfs::trainer::Table;
use sha2::{Digest, Sha256};

pub use columns::Columns;
pub use debut_udfs::finetune::{ExampleForm, Split};
pub use error::{Error, Result};
pub use groups::Groups;
pub use inputs::{InputColumn, PairColumn, PictureColumn};
pub use interactions::Interactions;
pub use labelled::{Labels, Numbers, ScoredPairs};
pub use pairs::Pairs;
pub use role::Role;
pub use table::Tables;
pub use text_images::TextImages;
pub use unlabelled::Texts;

use inputs::DistinctInputs;
use interactions::{Items, join};
use labelled::LabelledColumns;
use pairs::PairColumns;
use source::{Source, resolve};
use split::{Features, Sides};
use table::layout;

use super::random::Purpose;
use crate::registry::manifest::Until;

/// How tables become a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What is learnt; its form of examples is made.
    pub objective: Objective,
    /// The version that is trained, for messages.
    pub base: String,
    /// What that version reads.
    pub modality: Modality,
    /// Columns that have other names than their roles.
    pub columns: Columns,
    /// How examples are held out.
    pub split: Split,
    /// The share that is held out, from 0 (nothing) to 0.9. [`Split::Last`] holds out one of each user's instead.
    pub validation: f64,
    /// Only rows that are new by this are trained on.
    pub since: Option<Since>,
    /// The labels of the version that training goes on from, ascending: they stay, whether there are new rows of them or not.
    pub labels: Vec<String>,
    /// The share, below 1, of the rows that are older than `since`, so that what they taught is not forgotten.
    pub replay: f64,
    /// Most pairs of one user for [`ExampleForm::Pairs`], so that those with long histories do not drown the others.
    pub pairs_per_user: usize,
    /// Seed of everything that is drawn.
    pub seed: u64,
}

/// Which rows are new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// Those of this time or later: a time as text, or an integer if the timestamps are integers.
    Time(String),
    /// Those of which a version knew nothing when it was trained.
    Version {
        /// The version.
        version: String,
        /// The first moment of which it knew nothing.
        until: Until,
    },
}

impl Since {
    /// The first moment that is new, in the form of the column of times.
    fn moment(&self, column: &DataType) -> Result<i64> {
        let (version, until) = match self {
            Self::Time(text) => return form::since(text, column),
            Self::Version { version, until } => (version, *until),
        };
        let (value, was, is) = match (until, form::is_integer(column)) {
            (Until::Integer(value), true) | (Until::Time(value), false) => return Ok(value),
            (Until::Integer(value), false) => (value, "integers", "times"),
            (Until::Time(value), true) => (value, "times", "integers"),
        };
        let reason = format!(
            "the timestamps that {version} was trained on were {was} (up to {value}), and these are {is} ({column}); give them \
             the same type"
        );
        Err(Error::Option { option: "since", value: self.to_string(), reason })
    }
}

impl Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(text) => write!(f, "'{text}'"),
            Self::Version { .. } => f.write_str("'last'"),
        }
    }
}

impl Options {
    /// Whether anything is held out.
    fn holds_out(&self) -> bool {
        self.validation > 0.0 || self.split == Split::Last
    }
}

/// What a run trains on.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The distinct texts, pictures, or texts with pictures. Examples point at them by row.
    pub inputs: InputColumn,
    /// The examples, both sides of the split.
    pub examples: Examples,
    /// The examples to train on, ascending.
    pub train: Vec<u32>,
    /// The examples to validate with, ascending.
    pub validation: Vec<u32>,
    /// The first moment of which the examples to train on say nothing; `None` where they have no times.
    pub until: Option<Until>,
    /// Sixteen hexadecimal digits over every value that was read, in an order that does not depend on the query's.
    pub fingerprint: String,
    /// What was left out and why, for people; a sentence each.
    pub notes: Vec<String>,
}

/// The examples of a run, by their form.
#[derive(Debug, Clone, PartialEq)]
pub enum Examples {
    /// [`ExampleForm::Interactions`] and [`ExampleForm::Likes`].
    Interactions(Interactions),
    /// [`ExampleForm::Pairs`].
    Pairs(Pairs),
    /// [`ExampleForm::Pairs`] of a text and a picture each.
    TextImages(TextImages),
    /// [`ExampleForm::Labels`].
    Labels(Labels),
    /// [`ExampleForm::Numbers`].
    Numbers(Numbers),
    /// [`ExampleForm::ScoredPairs`].
    ScoredPairs(ScoredPairs),
    /// [`ExampleForm::Texts`].
    Texts(Texts),
}

/// Sentences on what was left out.
#[derive(Debug, Default)]
struct Notes(Vec<String>);

impl Notes {
    /// Adds a sentence if it is about more than none.
    fn add(&mut self, count: usize, sentence: impl FnOnce(usize) -> String) {
        if count > 0 {
            self.0.push(sentence(count));
        }
    }
}

/// Checks what can be checked before a row is read: the tables, the columns and their types, and the options.
///
/// # Errors
/// Names the table, the column or the option, and what to do.
pub fn check(options: &Options, schemas: &Inputs<SchemaRef>) -> Result<()> {
    let (objective, form) = (options.objective.name(), options.objective.examples());
    form.check(objective, schemas).map_err(Error::Tables)?;
    let layouts = layout(form, schemas.examples.is_some(), options.modality);
    check_modality(options, form, schemas)?;
    let layouts = [
        (layouts.interactions, &schemas.interactions),
        (layouts.items, &schemas.items),
        (layouts.examples, &schemas.examples),
    ];
    let mut roles = Vec::new();
    for (layout, schema) in layouts {
        let (Some(layout), Some(schema)) = (layout, schema) else { continue };
        roles.extend(resolve(schema, &layout, form, &options.columns)?.into_iter().map(|(role, _)| role));
        if let (Some(since), true) = (&options.since, layout.optional.contains(&Role::Timestamp)) {
            let index = options.columns.find(layout.table, schema, Role::Timestamp)?;
            let index = index.ok_or_else(|| options.columns.missing(layout.table, schema, Role::Timestamp))?;
            since.moment(schema.field(index).data_type())?;
        }
    }
    if let Some(role) = options.columns.roles().find(|role| !roles.contains(role)) {
        return Err(Error::UnusedRole { role, objective });
    }
    let option = |option, value: String, reason: &str| Err(Error::Option { option, value, reason: reason.to_owned() });
    if !(0.0..=0.9).contains(&options.validation) {
        return option("validation", options.validation.to_string(), "must be a share between 0 and 0.9");
    }
    if !(0.0..1.0).contains(&options.replay) {
        return option("replay", options.replay.to_string(), "must be a share of 0 or more, and below 1");
    }
    if options.pairs_per_user == 0 {
        return option("pairs_per_user", "0".into(), "must be at least 1");
    }
    if options.holds_out() && options.split != Split::Random {
        let split = format!("'{}'", options.split);
        if options.split == Split::Last && !roles.contains(&Role::User) {
            return option("split", split, "there are no users, of whom the last interaction could be held out");
        }
        if !roles.contains(&Role::Timestamp) {
            let reason = "needs a column 'timestamp'; select one, name it with columns => 'timestamp=...', or use \
                          split => 'random'";
            return option("split", split, reason);
        }
    }
    Ok(())
}

impl Dataset {
    /// Makes the dataset of a run.
    ///
    /// # Errors
    /// As for [`check`], and whatever is wrong with the rows: no positives, one class, NULL labels, texts that are all
    /// NULL, items that are unknown, a split that leaves nothing on one side.
    pub fn build(tables: &Tables, options: &Options) -> Result<Self> {
        check(options, &tables.map(|table| SchemaRef::clone(&table.schema)))?;
        let form = options.objective.examples();
        let layouts = layout(form, tables.examples.is_some(), options.modality);
        let open = |table: &Option<Table>, layout| match (table, layout) {
            (Some(table), Some(layout)) => Source::open(table, &layout, form, &options.columns).map(Some),
            _ => Ok(None),
        };
        let items = open(&tables.items, layouts.items)?;
        let rows = match open(&tables.interactions, layouts.interactions)? {
            Some(interactions) => Some(interactions),
            None => open(&tables.examples, layouts.examples)?,
        };
        let Some(mut rows) = rows else {
            return Err(Error::Empty { table: "examples" });
        };
        let mut hash = Sha256::new();
        items.iter().chain([&rows]).for_each(|source| source.hash(&mut hash));
        let digest = hash.finalize();
        let fingerprint = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();

        let mut notes = Notes::default();
        let first_new = renew(&mut rows, options, &mut notes)?;
        let timed = options.holds_out() && options.split != Split::Random;
        let times = if timed { rows.times()? } else { None };
        let items = items.map(Items::new).transpose()?;
        let (pair_columns, columns) = (PairColumns::new(&rows), LabelledColumns::new(&rows));
        let mut inputs = DistinctInputs::default();
        let (examples, features) = match (&items, form) {
            (Some(items), form) => {
                let joined = join(&rows, times.as_ref(), items, &mut inputs, &mut notes)?;
                if form == ExampleForm::Pairs {
                    let most = options.pairs_per_user;
                    let made = Pairs::of_users(&rows, joined, most, timed, options.seed, &mut notes)?;
                    (Examples::Pairs(made.0), made.1)
                } else {
                    let liked_only = form == ExampleForm::Likes;
                    let made = Interactions::new(&rows, joined, liked_only, timed, options.seed, &mut notes)?;
                    (Examples::Interactions(made.0), made.1)
                }
            }
            (None, ExampleForm::Labels) => {
                let made = Labels::new(&rows, &columns, &options.labels, times.as_ref(), &mut inputs, &mut notes)?;
                (Examples::Labels(made.0), made.1)
            }
            (None, ExampleForm::Numbers) => {
                let made = Numbers::new(&rows, &columns, times.as_ref(), &mut inputs, &mut notes)?;
                (Examples::Numbers(made.0), made.1)
            }
            (None, ExampleForm::ScoredPairs) => {
                let made = ScoredPairs::new(&rows, &columns, times.as_ref(), &mut inputs, &mut notes)?;
                (Examples::ScoredPairs(made.0), made.1)
            }
            (None, ExampleForm::Pairs) if options.modality == Modality::TextAndBytes => {
                let made = TextImages::new(&rows, &columns, times.as_ref(), &mut inputs, &mut notes)?;
                (Examples::TextImages(made.0), made.1)
            }
            (None, ExampleForm::Texts) => {
                let made = Texts::new(&rows, &columns, times.as_ref(), &mut inputs, &mut notes)?;
                (Examples::Texts(made.0), made.1)
            }
            (None, _) => {
                let made = Pairs::of_examples(&rows, &pair_columns, times.as_ref(), &mut inputs, &mut notes)?;
                (Examples::Pairs(made.0), made.1)
            }
        };
        let of_integers = rows.found(Role::Timestamp).is_some_and(form::is_integer);
        let (latest, notes) = (rows.latest(), notes.0);
        let dataset = Self {
            inputs: inputs.finish(rows.table(), options.modality)?,
            examples,
            train: vec![],
            validation: vec![],
            until: None,
            fingerprint,
            notes,
        };
        let mut dataset = dataset.held_out(&features, options)?;
        // What the latest rows are held out for is not learnt: they are new to the next training.
        let learnt = dataset.train.iter().filter_map(|example| features.times.get(*example as usize)).max();
        let latest = if features.times.is_empty() { latest } else { learnt.copied() };
        if let (Some(since), Some(_)) = (&options.since, first_new.filter(|first| latest.is_some_and(|at| at < *first)))
        {
            let reason = format!(
                "all new rows are held out by split => '{}' with validation => {}, and replay => {} leaves older ones alone \
                 to train on; make one of them smaller",
                options.split, options.validation, options.replay
            );
            return Err(Error::Option { option: "since", value: since.to_string(), reason });
        }
        let until = latest.map(|latest| latest.saturating_add(1));
        dataset.until = until.map(if of_integers { Until::Integer } else { Until::Time });
        Ok(dataset)
    }

    /// Splits the examples.
    fn held_out(mut self, features: &Features, options: &Options) -> Result<Self> {
        let mut notes = Notes(std::mem::take(&mut self.notes));
        let mut sides = split::split(options.split, options.validation, features, options.seed)?;
        notes.add(sides.repeated, |n| format!("{n} examples that would be held out are trained on elsewhere"));
        if let Examples::Interactions(interactions) = &mut self.examples {
            interactions.known_users_only(&mut sides, &mut notes);
            if sides.validation.is_empty() && options.holds_out() {
                return Err(Error::Option {
                    option: "split",
                    value: format!("'{}'", options.split),
                    reason: "leaves nothing to validate with: no user who is trained on has a held out interaction"
                        .into(),
                });
            }
        }
        let Sides { train, validation, .. } = sides;
        Ok(Self { train, validation, notes: notes.0, ..self })
    }
}

/// Whether the table `examples` has texts and pictures.
///
/// # Errors
/// A column that was asked for by name is not there.
pub fn has_both(examples: &Schema, columns: &Columns) -> Result<bool> {
    let has = |role| columns.find("examples", examples, role).map(|found| found.is_some());
    Ok(has(Role::Text)? && has(Role::Image)?)
}

/// Whether what a text of the table `examples` is paired with is a picture, and no other text.
///
/// # Errors
/// As for [`has_both`].
pub fn pairs_with_image(examples: &Schema, columns: &Columns) -> Result<bool> {
    let has = |role| columns.find("examples", examples, role).map(|found| found.is_some());
    Ok(has(Role::Image)? && !has(Role::Positive)?)
}

/// Fails where the base reads something else than the examples are of.
fn check_modality(options: &Options, form: ExampleForm, schemas: &Inputs<SchemaRef>) -> Result<()> {
    let base = || options.base.clone();
    let with_image = match &schemas.examples {
        Some(schema) if form == ExampleForm::Pairs && options.modality == Modality::TextAndBytes => {
            pairs_with_image(schema, &options.columns)?
        }
        _ => false,
    };
    if options.modality != Modality::Text && !form.is_of_one_input() && !with_image {
        return Err(Error::OnlyTexts { base: base(), objective: options.objective.name() });
    }
    let Some(schema) = schemas.examples.as_ref().filter(|_| form.is_of_one_input()) else { return Ok(()) };
    let (needed, other, reads) = match options.modality {
        Modality::Text => (Role::Text, Role::Image, "texts"),
        Modality::Bytes => (Role::Image, Role::Text, "pictures"),
        // Whichever is missing is named as any column that is.
        Modality::TextAndBytes => return Ok(()),
    };
    let has = |role| options.columns.find("examples", schema, role).map(|found| found.is_some());
    if !has(needed)? && has(other)? {
        return Err(Error::OtherInput { base: base(), reads, needed, other });
    }
    Ok(())
}

/// Keeps the rows that are new and a seeded draw of the others; gives the first moment that is new.
fn renew(rows: &mut Source, options: &Options, notes: &mut Notes) -> Result<Option<i64>> {
    let (Some(since), Some(column)) = (&options.since, rows.found(Role::Timestamp)) else { return Ok(None) };
    let (first, of_integers) = (since.moment(column)?, form::is_integer(column));
    let Some(times) = rows.times()? else { return Ok(None) };
    let (new, old): (Vec<u32>, Vec<u32>) = (0..times.len() as u32).partition(|row| times.value(*row as usize) >= first);
    let moment = |value: i64| if of_integers { Until::Integer(value) } else { Until::Time(value) };
    if new.is_empty() {
        let (count, table) = (rows.rows(), rows.table());
        let newest = rows.latest().map_or_else(String::new, |latest| format!(": the newest is of {}", moment(latest)));
        let reason = match since {
            Since::Time(_) => format!("none of the {count} rows of '{table}' is of that time or later{newest}"),
            Since::Version { version, .. } => format!(
                "there is nothing new: {version}, in use, was trained on rows up to {}, and none of the {count} rows of \
                 '{table}' is later{newest}",
                moment(first.saturating_sub(1))
            ),
        };
        return Err(Error::Option { option: "since", value: since.to_string(), reason });
    }
    // So many that they are this share of all, as far as there are so many.
    let count = (options.replay / (1.0 - options.replay) * new.len() as f64).round() as usize;
    let replayed = Purpose::Replay.random(options.seed).sample(old.len(), count.min(old.len()));
    let mut kept = replayed.iter().map(|place| old[*place]).chain(new.iter().copied()).collect::<Vec<_>>();
    kept.sort_unstable();
    notes.add(old.len(), |n| {
        format!(
            "{} rows are of {} or later; of {n} older ones {} are replayed",
            new.len(),
            moment(first),
            replayed.len()
        )
    });
    rows.keep(&kept)?;
    Ok(Some(first))
}
