//! Texts, pictures or both with what is to be learned about them: takes the table `examples`, gives [`Labels`], [`Numbers`] or
//! [`ScoredPairs`].

use std::collections::HashMap;

use arrow::array::{Array, BinaryViewArray, Int64Array, StringViewArray};

use super::inputs::DistinctInputs;
use super::source::Source;
use super::split::Features;
use super::{Error, Notes, Result, Role};

/// Texts, pictures or both with a label, an entry of each list for every example.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    /// What is encoded, a row of the dataset's inputs.
    pub input: Vec<u32>,
    /// The label, an entry of [`Self::labels`].
    pub class: Vec<u32>,
    /// How much it counts.
    pub weight: Vec<f32>,
    /// The labels, in ascending order: those of the examples and those before.
    pub labels: Vec<String>,
    /// The labels of the version that training goes on from, in ascending order; none where it does not go on.
    pub before: Vec<String>,
}

/// Texts, pictures or both with a number, an entry of each list for every example.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Numbers {
    /// What is encoded, a row of the dataset's inputs.
    pub input: Vec<u32>,
    /// Its number, finite.
    pub value: Vec<f32>,
    /// How much it counts.
    pub weight: Vec<f32>,
}

/// Pairs of texts with the cosine that they should have, an entry of each list for every example.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScoredPairs {
    /// The first text, a row of the dataset's inputs.
    pub text: Vec<u32>,
    /// The second text.
    pub other: Vec<u32>,
    /// The cosine that the two should have, in [-1, 1].
    pub value: Vec<f32>,
    /// How much it counts.
    pub weight: Vec<f32>,
}

/// The columns of texts or pictures, and of labels, of the table `examples`.
#[derive(Debug)]
pub(super) struct LabelledColumns {
    pub(super) text: Option<BinaryViewArray>,
    pub(super) image: Option<BinaryViewArray>,
    other: Option<StringViewArray>,
    label: Option<StringViewArray>,
}

impl LabelledColumns {
    /// Takes them from the table.
    pub(super) fn new(source: &Source) -> Self {
        Self {
            text: source.texts(Role::Text).map(|texts| texts.to_binary_view()),
            image: source.pictures(Role::Image),
            other: source.texts(Role::Other),
            label: source.texts(Role::Label),
        }
    }

    /// The rows that have all that is encoded; the others are noted.
    pub(super) fn rows(&self, source: &Source, notes: &mut Notes) -> Result<Vec<usize>> {
        [Role::Text, Role::Image, Role::Other].into_iter().try_for_each(|role| source.not_all_null(role))?;
        let has =
            |column: &Option<BinaryViewArray>, row: usize| column.as_ref().is_some_and(|column| column.is_valid(row));
        let count = |column| (0..source.rows()).filter(|row| has(column, *row)).count();
        let valid = |row: &usize| {
            // One of a text and a picture is enough.
            (has(&self.text, *row) || has(&self.image, *row))
                && self.other.as_ref().is_none_or(|other| other.is_valid(*row))
        };
        let rows = (0..source.rows()).filter(valid).collect::<Vec<_>>();
        let all = source.rows();
        let what = match (&self.text, &self.image) {
            (Some(_), Some(_)) => "neither a text nor a picture",
            (None, Some(_)) => "no picture",
            _ => "no text",
        };
        notes.add(all - rows.len(), |n| format!("{n} of {all} examples have {what}"));
        if self.text.is_some() && self.image.is_some() {
            let (texts, images) = (count(&self.text), count(&self.image));
            notes.add(rows.len() - texts, |n| format!("{n} of {all} examples have a picture alone"));
            notes.add(rows.len() - images, |n| format!("{n} of {all} examples have a text alone"));
        }
        if rows.is_empty() {
            let reason = format!("none of the {} rows has both its texts", source.rows());
            return Err(Error::NoPositives { reason });
        }
        Ok(rows)
    }

    /// The number of what is encoded in a row.
    pub(super) fn number<'a>(&'a self, source: &Source, inputs: &mut DistinctInputs<'a>, row: usize) -> u32 {
        let value = |column: &'a Option<BinaryViewArray>| {
            column.as_ref().filter(|column| column.is_valid(row)).map(|column| column.value(row))
        };
        let (place, text, image) = (source.place(row), value(&self.text), value(&self.image));
        match (&self.text, &self.image) {
            (Some(_), Some(_)) => inputs.pair(text, image, place),
            (None, Some(_)) => inputs.picture(image.unwrap_or_default(), place),
            _ => inputs.text(text.unwrap_or_default(), place),
        }
    }
}

impl Labels {
    /// Reads the table.
    ///
    /// # Errors
    /// A label is NULL, all are equal, or there are fewer than two examples a label.
    pub(super) fn new<'a>(
        source: &Source,
        columns: &'a LabelledColumns,
        before: &'a [String],
        times: Option<&Int64Array>,
        inputs: &mut DistinctInputs<'a>,
        notes: &mut Notes,
    ) -> Result<(Self, Features)> {
        source.not_all_null(Role::Label)?;
        source.without_nulls(Role::Label)?;
        let weights = source.weights()?;
        let rows = columns.rows(source, notes)?;
        let label = |row: usize| columns.label.as_ref().map_or("", |labels| labels.value(row));
        let mut labels = rows.iter().map(|row| label(*row)).collect::<Vec<_>>();
        labels.sort_unstable();
        labels.dedup();
        if labels.len() * 2 > rows.len() && labels.len() > 1 {
            let column = source.name(Role::Label);
            return Err(Error::TooManyClasses { classes: labels.len(), examples: rows.len(), column });
        }
        labels.extend(before.iter().map(String::as_str));
        labels.sort_unstable();
        labels.dedup();
        if let [only] = labels.as_slice() {
            let hint = "Is the right column the label, and did the query leave out the other labels?";
            return Err(Error::OneClass { label: (*only).to_owned(), examples: rows.len(), hint });
        }
        let numbers = labels.iter().copied().zip(0u32..).collect::<HashMap<_, _>>();
        let mut classes = Self {
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            before: before.to_vec(),
            ..Self::default()
        };
        for row in &rows {
            classes.input.push(columns.number(source, inputs, *row));
            classes.class.push(numbers.get(label(*row)).copied().unwrap_or_default());
            classes.weight.push(weights[*row]);
        }
        let keys = classes.input.iter().map(|text| u64::from(*text)).collect();
        let times = timed(&rows, times);
        let features = Features { keys, times, classes: classes.class.clone(), ..Features::default() };
        Ok((classes, features))
    }
}

impl Numbers {
    /// Reads the table.
    ///
    /// # Errors
    /// A label is NULL or not finite, or all are equal.
    pub(super) fn new<'a>(
        source: &Source,
        columns: &'a LabelledColumns,
        times: Option<&Int64Array>,
        inputs: &mut DistinctInputs<'a>,
        notes: &mut Notes,
    ) -> Result<(Self, Features)> {
        let (rows, value) = values(source, columns, notes, "finite numbers", |label| (label as f32).is_finite())?;
        let weights = source.weights()?;
        let numbers = Self {
            input: rows.iter().map(|row| columns.number(source, inputs, *row)).collect(),
            weight: rows.iter().map(|row| weights[*row]).collect(),
            value,
        };
        let keys = numbers.input.iter().map(|text| u64::from(*text)).collect();
        Ok((numbers, Features { keys, times: timed(&rows, times), ..Features::default() }))
    }
}

impl ScoredPairs {
    /// Reads the table.
    ///
    /// # Errors
    /// A label is NULL or not in [-1, 1], or all are equal.
    pub(super) fn new<'a>(
        source: &Source,
        columns: &'a LabelledColumns,
        times: Option<&Int64Array>,
        inputs: &mut DistinctInputs<'a>,
        notes: &mut Notes,
    ) -> Result<(Self, Features)> {
        let expected = "between -1 and 1, as cosines are; scale them in the query, for example label / 5.0";
        let (rows, value) = values(source, columns, notes, expected, |label| (-1.0..=1.0).contains(&label))?;
        let weights = source.weights()?;
        let other = columns.other.as_ref();
        let pairs = Self {
            text: rows.iter().map(|row| columns.number(source, inputs, *row)).collect(),
            other: rows
                .iter()
                .filter_map(|row| Some(inputs.text(other?.value(*row).as_bytes(), source.place(*row))))
                .collect(),
            weight: rows.iter().map(|row| weights[*row]).collect(),
            value,
        };
        let both = pairs.text.iter().zip(&pairs.other);
        let keys = both.map(|(a, b)| u64::from(*a.min(b)) << 32 | u64::from(*a.max(b))).collect();
        Ok((pairs, Features { keys, times: timed(&rows, times), ..Features::default() }))
    }
}

/// The rows that have their texts, and their labels as numbers.
fn values(
    source: &Source,
    columns: &LabelledColumns,
    notes: &mut Notes,
    expected: &'static str,
    accepted: impl Fn(f64) -> bool,
) -> Result<(Vec<usize>, Vec<f32>)> {
    source.not_all_null(Role::Label)?;
    let labels = source.numbers(Role::Label)?.unwrap_or_else(|| Vec::<f64>::new().into());
    source.check(Role::Label, &labels, expected, accepted)?;
    let rows = columns.rows(source, notes)?;
    let values = rows.iter().map(|row| labels.value(*row) as f32).collect::<Vec<_>>();
    if let Some(first) = values.first().filter(|first| values.iter().all(|value| value == *first)) {
        let hint = "Is the right column the label?";
        return Err(Error::OneClass { label: first.to_string(), examples: rows.len(), hint });
    }
    Ok((rows, values))
}

pub(super) fn timed(rows: &[usize], times: Option<&Int64Array>) -> Vec<i64> {
    times.map_or_else(Vec::new, |times| rows.iter().map(|row| times.value(*row)).collect())
}
