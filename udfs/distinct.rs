//! The distinct rows of the texts or pairs that a model is to see.
//!
//! Takes rows, one after the other; gives each a dense id, the same for equal rows. Called by `crate::inference` for
//! one array, and by the engine's inference node across the batches of a query.

use std::hash::BuildHasher;

use arrow::array::{StringArray, StringBuilder};
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::model::Input;

/// A set of rows with dense ids in the order of their first appearance.
///
/// A row is one text or a pair of texts. The bytes of all rows lie in one buffer, so adding a row allocates nothing but
/// the growth of that buffer.
#[derive(Debug, Default)]
pub struct Distinct {
    hasher: DefaultHashBuilder,
    ids: HashTable<u32>,
    bytes: String,
    rows: Vec<Row>,
}

/// Where a row lies: `bytes[start..middle]` is its first text, `bytes[middle..end]` its second.
#[derive(Debug, Clone, Copy)]
struct Row {
    start: usize,
    middle: usize,
    end: usize,
}

impl Distinct {
    /// Number of distinct rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.rows.capacity() * size_of::<Row>() + self.ids.capacity() * (size_of::<u32>() + 1)
    }

    /// The id of a row, if it was added before.
    pub fn get(&self, first: &str, second: &str) -> Option<u32> {
        let hash = self.hasher.hash_one((first, second));
        self.ids.find(hash, |&id| self.row(id) == (first, second)).copied()
    }

    /// The id of a row, and whether it is new. A single text has an empty second part.
    pub fn insert(&mut self, first: &str, second: &str) -> (u32, bool) {
        let hash = self.hasher.hash_one((first, second));
        if let Some(&id) = self.ids.find(hash, |&id| row(&self.bytes, &self.rows, id) == (first, second)) {
            return (id, false);
        }
        // Callers bound a set by its memory long before 2^32 rows.
        let id = self.rows.len() as u32;
        let start = self.bytes.len();
        self.bytes.push_str(first);
        let middle = self.bytes.len();
        self.bytes.push_str(second);
        self.rows.push(Row { start, middle, end: self.bytes.len() });
        let Self { hasher, ids, bytes, rows } = self;
        ids.insert_unique(hash, id, |&id| hasher.hash_one(row(bytes, rows, id)));
        (id, true)
    }

    /// The two texts of a row.
    pub fn row(&self, id: u32) -> (&str, &str) {
        row(&self.bytes, &self.rows, id)
    }

    /// The given rows as a model's input.
    pub fn input(&self, ids: &[u32], pairs: bool) -> Input {
        let column = |part: for<'a> fn((&'a str, &'a str)) -> &'a str| -> StringArray {
            let bytes = ids.iter().map(|&id| part(self.row(id)).len()).sum();
            let mut builder = StringBuilder::with_capacity(ids.len(), bytes);
            for &id in ids {
                builder.append_value(part(self.row(id)));
            }
            builder.finish()
        };
        let firsts = column(|(first, _)| first);
        if pairs { Input::Pairs(firsts, column(|(_, second)| second)) } else { Input::Texts(firsts) }
    }
}

fn row<'a>(bytes: &'a str, rows: &[Row], id: u32) -> (&'a str, &'a str) {
    let Row { start, middle, end } = rows[id as usize];
    (&bytes[start..middle], &bytes[middle..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_share_an_id_and_pairs_do_not_run_together() {
        let mut distinct = Distinct::default();
        assert_eq!(distinct.insert("a", ""), (0, true));
        assert_eq!(distinct.insert("a", "b"), (1, true));
        assert_eq!(distinct.insert("ab", ""), (2, true));
        assert_eq!(distinct.insert("", "ab"), (3, true));
        assert_eq!(distinct.insert("a", "b"), (1, false));
        assert_eq!(distinct.row(3), ("", "ab"));
        assert_eq!(distinct.get("a", ""), Some(0));
        assert_eq!(distinct.get("b", ""), None);
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn many_rows_keep_their_ids_when_the_table_grows() {
        let mut distinct = Distinct::default();
        for round in 0..2 {
            for i in 0..10_000u32 {
                assert_eq!(distinct.insert(&format!("text {i}"), ""), (i, round == 0));
            }
        }
    }
}
