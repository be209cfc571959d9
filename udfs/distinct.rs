//! The distinct rows of what a model is to see.
//!
//! Takes the bytes of rows, one after the other; gives each row a dense id, the same for equal rows, and the rows of
//! any ids as a model's input.

use std::hash::BuildHasher;

use arrow::array::{BinaryArray, BinaryViewArray, StringArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use datafusion::common::{Result, exec_err};
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::input::{Input, InputKind};

/// A set of rows with dense ids in the order of their first appearance.
///
/// A row is bytes: those of one value, or of the two values of a pair. The bytes of all rows lie in one buffer, so
/// adding a row allocates nothing but the growth of that buffer.
#[derive(Debug, Default)]
pub struct Distinct {
    hasher: DefaultHashBuilder,
    ids: HashTable<u32>,
    bytes: Vec<u8>,
    rows: Vec<Row>,
}

/// Which parts of a text and bytes are there, as the byte that their second part begins with.
pub(crate) fn presence([text, bytes]: [bool; 2]) -> u8 {
    u8::from(text) | u8::from(bytes) << 1
}

/// The first value of a row, or its second.
type Part = for<'a> fn((&'a [u8], &'a [u8])) -> &'a [u8];

/// Where a row lies: `bytes[start..middle]` is its first value, `bytes[middle..end]` its second.
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
    pub fn get(&self, first: &[u8], second: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one((first, second));
        self.ids.find(hash, |&id| self.row(id) == (first, second)).copied()
    }

    /// The id of a row, and whether it is new. A row of one value has an empty second.
    pub fn insert(&mut self, first: &[u8], second: &[u8]) -> (u32, bool) {
        let hash = self.hasher.hash_one((first, second));
        if let Some(&id) = self.ids.find(hash, |&id| row(&self.bytes, &self.rows, id) == (first, second)) {
            return (id, false);
        }
        // Callers bound a set by its memory long before 2^32 rows.
        let id = self.rows.len() as u32;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(first);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(second);
        self.rows.push(Row { start, middle, end: self.bytes.len() });
        let Self { hasher, ids, bytes, rows } = self;
        ids.insert_unique(hash, id, |&id| hasher.hash_one(row(bytes, rows, id)));
        (id, true)
    }

    /// The two values of a row.
    pub fn row(&self, id: u32) -> (&[u8], &[u8]) {
        row(&self.bytes, &self.rows, id)
    }

    /// The given rows as a model's input. Of a text and bytes the second part is a byte that says which of the two are
    /// there, and the bytes.
    ///
    /// # Errors
    /// The rows hold more than 2 GiB, or are to be texts and are not UTF-8.
    pub fn input(&self, ids: &[u32], kind: InputKind) -> Result<Input> {
        let firsts = self.column(ids, |(first, _)| first)?;
        // The bytes of texts are checked where they lie, not copied.
        let texts = StringArray::try_from_binary;
        Ok(match kind {
            InputKind::Texts => Input::Texts(texts(firsts)?),
            InputKind::Pairs => Input::Pairs(texts(firsts)?, texts(self.column(ids, |(_, second)| second)?)?),
            InputKind::Bytes => Input::Bytes(BinaryViewArray::from(&firsts)),
            InputKind::TextAndBytes => {
                let values = self.column(ids, |(_, second)| second.get(1..).unwrap_or_default())?;
                let there = |part: u8| {
                    let flag = |id: &u32| self.row(*id).1.first().is_some_and(|flags| flags & part != 0);
                    Some(ids.iter().map(flag).collect::<NullBuffer>())
                };
                let (offsets, bytes, _) = texts(firsts)?.into_parts();
                let firsts = StringArray::try_new(offsets, bytes, there(1))?;
                let (offsets, bytes, _) = values.into_parts();
                Input::TextAndBytes(firsts, BinaryViewArray::from(&BinaryArray::try_new(offsets, bytes, there(2))?))
            }
        })
    }

    /// One part of the given rows, end to end.
    fn column(&self, ids: &[u32], part: Part) -> Result<BinaryArray> {
        let size = ids.iter().map(|&id| part(self.row(id)).len()).sum();
        if i32::try_from(size).is_err() {
            return exec_err!("{} rows of {size} bytes are more than a model is handed at once, 2 GiB", ids.len());
        }
        let mut values = Vec::with_capacity(size);
        let mut offsets = Vec::with_capacity(ids.len() + 1);
        offsets.push(0);
        for &id in ids {
            values.extend_from_slice(part(self.row(id)));
            offsets.push(values.len() as i32);
        }
        Ok(BinaryArray::try_new(OffsetBuffer::new(ScalarBuffer::from(offsets)), values.into(), None)?)
    }
}

fn row<'a>(bytes: &'a [u8], rows: &[Row], id: u32) -> (&'a [u8], &'a [u8]) {
    let Row { start, middle, end } = rows[id as usize];
    (&bytes[start..middle], &bytes[middle..end])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_share_an_id_and_pairs_do_not_run_together() {
        let mut distinct = Distinct::default();
        assert_eq!(distinct.insert(b"a", b""), (0, true));
        assert_eq!(distinct.insert(b"a", b"b"), (1, true));
        assert_eq!(distinct.insert(b"ab", b""), (2, true));
        assert_eq!(distinct.insert(b"", b"ab"), (3, true));
        assert_eq!(distinct.insert(b"a", b"b"), (1, false));
        assert_eq!(distinct.row(3), (&b""[..], &b"ab"[..]));
        assert_eq!(distinct.get(b"a", b""), Some(0));
        assert_eq!(distinct.get(b"b", b""), None);
        assert_eq!(distinct.len(), 4);
    }

    #[test]
    fn many_rows_keep_their_ids_when_the_table_grows() {
        let mut distinct = Distinct::default();
        for round in 0..2 {
            for i in 0..10_000u32 {
                assert_eq!(distinct.insert(format!("text {i}").as_bytes(), b""), (i, round == 0));
            }
        }
    }

    /// Three rows: two of text and one that is none.
    fn rows() -> Distinct {
        let mut distinct = Distinct::default();
        for (first, second) in [("zoë".as_bytes(), "猫".as_bytes()), (b"", b"b"), (b"\xff\x00", b"")] {
            distinct.insert(first, second);
        }
        distinct
    }

    #[test]
    fn rows_come_back_as_what_they_were() {
        let distinct = rows();
        let Input::Texts(texts) = distinct.input(&[1, 0, 1], InputKind::Texts).unwrap() else { panic!("no texts") };
        assert_eq!(texts, StringArray::from(vec!["", "zoë", ""]));
        let pairs = distinct.input(&[1, 0], InputKind::Pairs).unwrap();
        assert_eq!((pairs.row(0), pairs.row(1)), ((&b""[..], &b"b"[..]), ("zoë".as_bytes(), "猫".as_bytes())));
        let Input::Bytes(values) = distinct.input(&[2, 1], InputKind::Bytes).unwrap() else { panic!("no bytes") };
        assert_eq!(values, BinaryViewArray::from(vec![&b"\xff\x00"[..], b""]));
        for kind in [InputKind::Texts, InputKind::Pairs, InputKind::Bytes] {
            assert_eq!(distinct.input(&[], kind).unwrap().rows(), 0);
        }
    }

    #[test]
    fn a_text_and_bytes_keep_what_is_missing() {
        let mut distinct = Distinct::default();
        for (first, second) in [(&b"zo"[..], &b"\x03\xff"[..]), (b"", b"\x02\xff"), (b"", b"\x03"), (b"a", b"\x01")] {
            assert!(distinct.insert(first, second).1);
        }
        let input = distinct.input(&[0, 1, 2, 3], InputKind::TextAndBytes).unwrap();
        let present = (0..4).map(|row| input.present(row)).collect::<Vec<_>>();
        assert_eq!(present, [[true, true], [false, true], [true, true], [true, false]]);
        assert_eq!((input.row(0), input.row(3)), ((&b"zo"[..], &b"\xff"[..]), (&b"a"[..], &b""[..])));
        let taken = input.take(&[3, 1]).unwrap();
        assert_eq!((taken.present(0), taken.present(1), taken.row(1).1), ([true, false], [false, true], &b"\xff"[..]));
    }

    #[test]
    fn bytes_that_are_no_text_do_not_become_one() {
        let message = rows().input(&[2], InputKind::Texts).unwrap_err().to_string();
        assert!(message.contains("UTF") || message.contains("utf"), "{message}");
    }
}
