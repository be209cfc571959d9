//! The distinct texts of a dataset: takes texts where they lie, gives each a number, the same for equal ones.

use std::collections::HashMap;

use arrow::array::StringViewArray;

/// Distinct texts in the order in which they were first asked for.
#[derive(Debug, Default)]
pub(super) struct Texts<'a> {
    numbers: HashMap<&'a str, u32>,
    texts: Vec<&'a str>,
}

impl<'a> Texts<'a> {
    /// The number of a text.
    pub(super) fn number(&mut self, text: &'a str) -> u32 {
        *self.numbers.entry(text).or_insert_with(|| {
            self.texts.push(text);
            // A table has fewer than 2^31 rows of at most three texts.
            (self.texts.len() - 1) as u32
        })
    }

    /// The texts by number.
    pub(super) fn finish(self) -> StringViewArray {
        StringViewArray::from_iter_values(self.texts)
    }
}
