//! What is known of each key: the digest and the part of its row in the version in use, among the parts that a killed refresh
//! left, and in the version that is made.
//!
//! Takes the keys and digests of the source's rows; says which rows have to be computed. A key takes about 100 bytes.

use std::collections::HashMap;

/// The place of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// There is no such row.
    Absent,
    /// A filter took the row away.
    Filtered,
    /// In the part of this number.
    Part(u32),
}

/// A place in four bytes: the last two numbers are not those of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packed(u32);

impl Packed {
    const ABSENT: Self = Self(u32::MAX);
    const FILTERED: Self = Self(u32::MAX - 1);

    fn of(part: Option<u32>) -> Self {
        part.map_or(Self::FILTERED, Self)
    }

    fn place(self) -> Place {
        match self {
            Self::ABSENT => Place::Absent,
            Self::FILTERED => Place::Filtered,
            Self(part) => Place::Part(part),
        }
    }
}

/// The row of a key, three times: a digest, and a place.
#[derive(Debug, Clone, Copy)]
struct Row {
    old: u128,
    staged: u128,
    new: u128,
    old_place: Packed,
    staged_place: Packed,
    new_place: Packed,
}

const NOTHING: Row = Row {
    old: 0,
    staged: 0,
    new: 0,
    old_place: Packed::ABSENT,
    staged_place: Packed::ABSENT,
    new_place: Packed::ABSENT,
};

/// Whether a row has to be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is there already.
    Known,
    /// It is new, or changed.
    Fresh,
    /// The source has had a row of this key before.
    Twice,
}

/// How the rows of the version that is made differ from those of the version in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Rows of keys that had none.
    pub(crate) added: u64,
    /// Rows with another digest than before.
    pub(crate) changed: u64,
    /// Rows that are as they were.
    pub(crate) unchanged: u64,
    /// Keys that have no row any more.
    pub(crate) removed: u64,
}

impl Counts {
    /// Rows of the version that is made.
    pub(crate) fn rows(self) -> u64 {
        self.added + self.changed + self.unchanged
    }
}

/// All keys.
#[derive(Debug, Default)]
pub(crate) struct Ledger(HashMap<u128, Row>);

impl Ledger {
    /// Adds a row of the version in use. `part` is `None` for one that a filter took away.
    pub(super) fn add_old(&mut self, key: u128, digest: u128, part: Option<u32>) {
        let row = self.0.entry(key).or_insert(NOTHING);
        (row.old, row.old_place) = (digest, Packed::of(part));
    }

    /// Adds a row that was computed for a version that was never made.
    pub(super) fn add_staged(&mut self, key: u128, digest: u128, part: u32) {
        let row = self.0.entry(key).or_insert(NOTHING);
        (row.staged, row.staged_place) = (digest, Packed(part));
    }

    /// Takes a row of the source. A fresh one is one that a filter takes away until it is [`put`](Self::put) somewhere.
    pub(crate) fn see(&mut self, key: u128, digest: u128) -> Found {
        let row = self.0.entry(key).or_insert(NOTHING);
        if row.new_place != Packed::ABSENT {
            return Found::Twice;
        }
        let known = if row.old_place != Packed::ABSENT && row.old == digest {
            Some(row.old_place)
        } else if row.staged_place != Packed::ABSENT && row.staged == digest {
            Some(row.staged_place)
        } else {
            None
        };
        (row.new, row.new_place) = (digest, known.unwrap_or(Packed::FILTERED));
        if known.is_some() { Found::Known } else { Found::Fresh }
    }

    /// Says which part the row of a key is in now, and gives its digest. `None` if the source has no such key.
    pub(super) fn put(&mut self, key: u128, part: u32) -> Option<u128> {
        let row = self.0.get_mut(&key).filter(|row| row.new_place != Packed::ABSENT)?;
        row.new_place = Packed(part);
        Some(row.new)
    }

    /// Whether the version that is made has the row of this key in this part.
    pub(super) fn is_in(&self, key: u128, part: u32) -> bool {
        self.0.get(&key).is_some_and(|row| row.new_place == Packed(part))
    }

    /// The keys of the version that is made: key, digest and place.
    pub(super) fn state(&self) -> impl Iterator<Item = (u128, u128, Place)> {
        let there = self.0.iter().filter(|(_, row)| row.new_place != Packed::ABSENT);
        there.map(|(key, row)| (*key, row.new, row.new_place.place()))
    }

    /// Whether the version that is made has every key, digest and place of the version in use, and no other.
    pub(super) fn is_as_before(&self) -> bool {
        self.0
            .values()
            .all(|row| row.new_place == row.old_place && (row.new_place == Packed::ABSENT || row.new == row.old))
    }

    /// How both versions differ.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for row in self.0.values() {
            match (row.old_place.place(), row.new_place.place()) {
                (Place::Part(_), Place::Part(_)) if row.old == row.new => counts.unchanged += 1,
                (Place::Part(_), Place::Part(_)) => counts.changed += 1,
                (_, Place::Part(_)) => counts.added += 1,
                (Place::Part(_), _) => counts.removed += 1,
                _ => {}
            }
        }
        counts
    }

    /// Bytes that it takes.
    pub(crate) fn memory(&self) -> usize {
        // One byte of control beside each place.
        self.0.capacity() * (size_of::<(u128, Row)>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_computed_once_until_they_change() {
        let mut ledger = Ledger::default();
        ledger.add_old(1, 10, Some(0));
        ledger.add_old(2, 20, None);
        ledger.add_old(3, 30, Some(0));
        ledger.add_old(6, 60, Some(0));
        ledger.add_staged(3, 31, 1);
        let found = [(1, 10), (1, 10), (2, 20), (3, 31), (4, 40)].map(|(key, digest)| ledger.see(key, digest));
        assert_eq!(found, [Found::Known, Found::Twice, Found::Known, Found::Known, Found::Fresh]);
        assert_eq!(ledger.counts(), Counts { added: 0, changed: 1, unchanged: 1, removed: 1 });
        assert_eq!(ledger.put(4, 2), Some(40));
        assert_eq!((ledger.put(5, 2), ledger.put(6, 2)), (None, None), "no rows of the source");
        assert!(ledger.is_in(1, 0) && ledger.is_in(3, 1) && ledger.is_in(4, 2) && !ledger.is_in(3, 0));
        assert!(!ledger.is_in(2, 0), "a filter took it away");
        assert_eq!(ledger.counts(), Counts { added: 1, changed: 1, unchanged: 1, removed: 1 });
        assert_eq!(ledger.state().count(), 4);
    }

    #[test]
    fn a_version_without_changes_is_known() {
        let mut ledger = Ledger::default();
        ledger.add_old(1, 10, Some(0));
        ledger.add_old(2, 20, None);
        ledger.see(1, 10);
        assert!(!ledger.is_as_before(), "a key is missing");
        ledger.see(2, 20);
        assert!(ledger.is_as_before());
        ledger.see(3, 30);
        assert!(!ledger.is_as_before(), "a key is new, though a filter took its row away");
    }
}
