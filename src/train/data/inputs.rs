//! What the examples of a dataset are of: takes texts or pictures where they lie, gives each a number, the same for equal
//! ones.

use std::collections::HashMap;

use arrow::array::{Array, BinaryViewArray, StringViewArray};
use debut_udfs::model::Modality;

use super::{Error, Result};

/// Distinct texts or pictures. Examples point at them by row.
#[derive(Debug, Clone, PartialEq)]
pub enum InputColumn {
    /// For models that read texts.
    Texts(StringViewArray),
    /// For models that read pictures.
    Pictures(PictureColumn),
}

/// Pictures as the bytes of their files: pixels are made of them when they are needed.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureColumn {
    /// The files.
    pub bytes: BinaryViewArray,
    /// The first row of the query's result that has each, from 1.
    pub rows: Vec<u32>,
}

impl InputColumn {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Pictures(pictures) => pictures.bytes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Distinct values in the order in which they were first asked for.
#[derive(Debug, Default)]
pub(super) struct Distinct<'a> {
    numbers: HashMap<&'a [u8], u32>,
    values: Vec<&'a [u8]>,
    rows: Vec<u32>,
}

impl<'a> Distinct<'a> {
    /// The number of a value that is in `row` of the query's result.
    pub(super) fn number(&mut self, value: &'a [u8], row: usize) -> u32 {
        let number = *self.numbers.entry(value).or_insert_with(|| {
            self.values.push(value);
            self.rows.push(u32::MAX);
            // A table has fewer than 2^31 rows of at most three texts.
            (self.values.len() - 1) as u32
        });
        let first = &mut self.rows[number as usize];
        *first = (*first).min(row as u32);
        number
    }

    /// The values by number, as what `modality` says they are.
    ///
    /// # Errors
    /// None in practice: texts are UTF-8.
    pub(super) fn finish(self, table: &'static str, modality: Modality) -> Result<InputColumn> {
        let bytes = BinaryViewArray::from_iter_values(self.values);
        Ok(match modality {
            Modality::Text => InputColumn::Texts(bytes.to_string_view().map_err(Error::arrow(table))?),
            Modality::Bytes => InputColumn::Pictures(PictureColumn { bytes, rows: self.rows }),
        })
    }
}
