//! What the examples of a dataset are of: takes texts, pictures or both where they lie, gives each a number, the same for
//! equal ones.

use std::collections::HashMap;

use arrow::array::{Array, BinaryViewArray, StringViewArray};
use debut_udfs::model::Modality;

use super::{Error, Result};

/// Distinct texts or pictures, or texts with pictures. Examples point at them by row.
#[derive(Debug, Clone, PartialEq)]
pub enum InputColumn {
    /// For models that read texts.
    Texts(StringViewArray),
    /// For models that read pictures.
    Pictures(PictureColumn),
    /// For models that read both.
    Pairs(PairColumn),
}

/// Pictures as the bytes of their files: pixels are made of them when they are needed.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureColumn {
    /// The files.
    pub bytes: BinaryViewArray,
    /// The first row of the query's result that has each, from 1.
    pub rows: Vec<u32>,
}

/// Texts with pictures, each text and each picture kept once.
#[derive(Debug, Clone, PartialEq)]
pub struct PairColumn {
    /// The distinct texts.
    pub texts: StringViewArray,
    /// The distinct pictures.
    pub pictures: PictureColumn,
    /// The distinct pairs: a row of each of the two, of which one may be missing.
    pub pairs: Vec<[Option<u32>; 2]>,
}

impl InputColumn {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Pictures(pictures) => pictures.bytes.len(),
            Self::Pairs(pairs) => pairs.pairs.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Distinct values in the order in which they were first asked for.
#[derive(Debug, Default)]
struct Distinct<'a> {
    numbers: HashMap<&'a [u8], u32>,
    values: Vec<&'a [u8]>,
    rows: Vec<u32>,
}

impl<'a> Distinct<'a> {
    fn number(&mut self, value: &'a [u8], row: usize) -> u32 {
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

    fn texts(self, table: &'static str) -> Result<StringViewArray> {
        BinaryViewArray::from_iter_values(self.values).to_string_view().map_err(Error::arrow(table))
    }

    fn pictures(self) -> PictureColumn {
        PictureColumn { bytes: BinaryViewArray::from_iter_values(self.values), rows: self.rows }
    }
}

/// What examples are of, while they are read.
#[derive(Debug, Default)]
pub(super) struct DistinctInputs<'a> {
    texts: Distinct<'a>,
    pictures: Distinct<'a>,
    pairs: HashMap<[Option<u32>; 2], u32>,
    in_order: Vec<[Option<u32>; 2]>,
}

impl<'a> DistinctInputs<'a> {
    /// The number of a text that is in `row` of the query's result.
    pub(super) fn text(&mut self, text: &'a [u8], row: usize) -> u32 {
        self.texts.number(text, row)
    }

    /// The number of a picture that is in `row` of the query's result.
    pub(super) fn picture(&mut self, file: &'a [u8], row: usize) -> u32 {
        self.pictures.number(file, row)
    }

    /// The number of a text with a picture, one of which may be missing.
    pub(super) fn pair(&mut self, text: Option<&'a [u8]>, file: Option<&'a [u8]>, row: usize) -> u32 {
        let pair = [text.map(|text| self.text(text, row)), file.map(|file| self.picture(file, row))];
        *self.pairs.entry(pair).or_insert_with(|| {
            self.in_order.push(pair);
            (self.in_order.len() - 1) as u32
        })
    }

    /// The numbers of the text and of the picture of a pair.
    pub(super) fn parts(&self, pair: u32) -> [Option<u32>; 2] {
        self.in_order[pair as usize]
    }

    /// All by number, as what `modality` says they are.
    ///
    /// # Errors
    /// None in practice: texts are UTF-8.
    pub(super) fn finish(self, table: &'static str, modality: Modality) -> Result<InputColumn> {
        Ok(match modality {
            Modality::Text => InputColumn::Texts(self.texts.texts(table)?),
            Modality::Bytes => InputColumn::Pictures(self.pictures.pictures()),
            Modality::TextAndBytes => InputColumn::Pairs(PairColumn {
                texts: self.texts.texts(table)?,
                pictures: self.pictures.pictures(),
                pairs: self.in_order,
            }),
        })
    }
}
