//! Texts about which nothing is said: takes the table `examples`, gives [`Texts`].

use arrow::array::Int64Array;

use super::inputs::DistinctInputs;
use super::labelled::{LabelledColumns, timed};
use super::source::Source;
use super::split::Features;
use super::{Notes, Result};

/// Texts, an entry for every row that has one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Texts {
    /// What is encoded, a row of the dataset's inputs.
    pub input: Vec<u32>,
}

impl Texts {
    /// Reads the table.
    ///
    /// # Errors
    /// All texts are NULL.
    pub(super) fn new<'a>(
        source: &Source,
        columns: &'a LabelledColumns,
        times: Option<&Int64Array>,
        inputs: &mut DistinctInputs<'a>,
        notes: &mut Notes,
    ) -> Result<(Self, Features)> {
        let rows = columns.rows(source, notes)?;
        let input = rows.iter().map(|row| columns.number(source, inputs, *row)).collect::<Vec<_>>();
        let keys = input.iter().map(|text| u64::from(*text)).collect();
        Ok((Self { input }, Features { keys, times: timed(&rows, times), ..Features::default() }))
    }
}
