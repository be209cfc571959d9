//! The texts of a call: takes its rows in any order, gives different texts in two halves, one to fit and one to measure.

use arrow::array::{Array, ArrayRef, StringArray};
use debut_udfs::text::text_views;
use debut_udfs::trainer::Table;

use super::error::{Error, FEWEST_TEXTS};
use crate::random::Random;
use crate::train::failure::{Result, failed};

/// Most texts that are read; of more, so many are drawn.
const MOST_TEXTS: usize = 8000;

/// Different texts: first those that are held out, then those that fit.
#[derive(Debug)]
pub(super) struct Texts {
    all: StringArray,
    held_out: usize,
    /// How many there were.
    found: usize,
}

impl Texts {
    /// The different texts of a table's one column; NULL is none. Which half a text is in depends on the texts and the seed alone.
    ///
    /// # Errors
    /// They are too few.
    pub(super) fn of(table: &Table, seed: u64) -> Result<Self> {
        let columns = table.batches.iter().filter_map(|batch| batch.columns().first());
        let columns = columns.map(|column: &ArrayRef| text_views(column)).collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(failed)?;
        let mut texts = columns.iter().flat_map(|column| column.iter().flatten()).collect::<Vec<_>>();
        texts.sort_unstable();
        texts.dedup();
        let found = texts.len();
        if found < FEWEST_TEXTS {
            return Err(failed(Error::TooFew { found }));
        }
        let drawn = Random::new(seed, 0).sample(found, found.min(MOST_TEXTS));
        let all = StringArray::from_iter_values(drawn.into_iter().map(|place| texts[place]));
        Ok(Self { held_out: all.len() / 2, all, found })
    }

    /// All of them.
    pub(super) fn all(&self) -> &StringArray {
        &self.all
    }

    /// How many of the first are held out.
    pub(super) fn held_out(&self) -> usize {
        self.held_out
    }

    /// What a person should know of them.
    pub(super) fn note(&self) -> String {
        let Self { all, held_out, found } = self;
        let drawn = if all.len() < *found { format!("{} drawn of ", all.len()) } else { String::new() };
        format!("{drawn}{found} different examples: {held_out} are held out, {} fit", all.len() - held_out)
    }
}
