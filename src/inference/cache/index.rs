//! Where the vectors of a model are on disk: takes the records of files, gives the file and the place of a key.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hashbrown::HashTable;

use super::key::Key;
use super::root;
use super::segment::Record;
use super::stamps::Stamps;

/// Bytes of the index for each record: about what [`Index::bytes`] comes to.
pub(super) const INDEX_RECORD: u64 = 40;

/// The files that are known, and their records by key.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) table: HashTable<Place>,
    pub(super) segments: Vec<Option<Segment>>,
    pub(super) by_name: HashMap<String, u32>,
    /// The folder's time when it was listed last.
    pub(super) listed: Option<SystemTime>,
    /// Files with this name, and older ones, are left out: the index would get too large.
    pub(super) floor: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) record: u32,
}

/// A file of vectors that is known.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) file: Arc<File>,
    pub(super) records: Vec<Record>,
    /// Where the whole blocks end.
    pub(super) end: u64,
    pub(super) stamps: Option<Stamps>,
    pub(super) damaged: bool,
}

impl Index {
    pub(super) fn find(&self, key: &Key) -> Option<Place> {
        let same = |place: &Place| self.record(*place).is_some_and(|record| record.key == *key);
        self.table.find(hash(key), same).copied()
    }

    fn record(&self, place: Place) -> Option<&Record> {
        self.segments[place.segment as usize].as_ref()?.records.get(place.record as usize)
    }

    /// Enters the records of a file from `first` on. Of two with the same key the one that is entered last counts: what is
    /// rewritten is entered before the file that it came from is left out.
    pub(super) fn insert(&mut self, at: u32, first: usize) {
        let Self { table, segments, .. } = self;
        let Some(added) = &segments[at as usize] else { return };
        let key = |place: &Place| {
            segments[place.segment as usize].as_ref().map(|segment| segment.records[place.record as usize].key)
        };
        for (number, record) in added.records.iter().enumerate().skip(first) {
            let place = Place { segment: at, record: number as u32 };
            let same = |other: &Place| key(other).is_some_and(|other| other == record.key);
            match table.find_mut(hash(&record.key), same) {
                Some(other) => *other = place,
                None => {
                    table.insert_unique(hash(&record.key), place, |other| key(other).map_or(0, |key| hash(&key)));
                }
            }
        }
    }

    /// Leaves a file out.
    pub(super) fn forget(&mut self, at: u32) {
        self.table.retain(|place| place.segment != at);
        if let Some(segment) = self.segments[at as usize].take() {
            self.by_name.remove(&segment.name);
        }
    }

    /// Records of a file cannot be used: they are missing from now on.
    pub(super) fn set_damaged(&mut self, at: u32, keys: &[Key]) {
        for key in keys {
            let Self { table, segments, .. } = self;
            let same = |place: &Place| {
                let segment = segments[place.segment as usize].as_ref();
                place.segment == at && segment.is_some_and(|segment| segment.records[place.record as usize].key == *key)
            };
            if let Ok(entry) = table.find_entry(hash(key), same) {
                entry.remove();
            }
        }
        if let Some(segment) = &mut self.segments[at as usize] {
            segment.damaged = true;
        }
    }

    pub(super) fn touch(&mut self, at: u32, folder: &Path, records: &[u32], now: u32) {
        let Some(segment) = &mut self.segments[at as usize] else { return };
        let path = root::stamps_beside(&folder.join(&segment.name));
        let (count, file) = (segment.records.len(), &segment.file);
        let stamps = segment.stamps.get_or_insert_with(|| Stamps::load(&path, count, written(file)));
        if let Err(error) = stamps.touch(&path, records, now) {
            tracing::debug!("{}: {error}", path.display());
        }
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> u64 {
        let records: usize = self.segments.iter().flatten().map(|segment| segment.records.capacity()).sum();
        // The table keeps an eighth of its places empty, and a byte for each; a stamp may be beside each record.
        let places = self.table.capacity() * 8 / 7 * (size_of::<Place>() + 1);
        (records * (size_of::<Record>() + size_of::<u32>()) + places) as u64
    }
}

/// When a file was written last, in seconds since 1970.
pub(super) fn written(file: &File) -> u32 {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    let since = modified.ok().and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u32::try_from(since.as_secs()).unwrap_or(u32::MAX))
}

/// Keys are hashes already.
fn hash(key: &Key) -> u64 {
    key.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
