//! The vectors of one model: takes keys, gives the vectors that there are, from memory before disk; appends new ones.
//!
//! What other processes append is seen when something is missing, and what they remove when the folder has changed. A vector
//! that is found damaged is missing, and its file is written anew without it at the next [`Shelf::append`].

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::appender::{Appender, lock};
use super::index::{INDEX_RECORD, Index, Place, Segment, written};
use super::key::Key;
use super::memory::Memory;
use super::root::{self, Root};
use super::segment::{self, BLOCK_RECORDS, Damage, HEADER, Header, Record};
use super::stamps::Stamps;

/// Seconds after which a file without a head is not one that is being made.
const MAKING: u32 = 60;

/// The vectors of a model.
#[derive(Debug)]
pub(crate) struct Shelf {
    root: Arc<Root>,
    memory: Arc<Memory>,
    /// Bytes that [`Index`] may take.
    index_bytes: u64,
    folder: PathBuf,
    header: Header,
    index: Mutex<Index>,
    appender: Mutex<Option<Appender>>,
}

/// What was found of some keys.
#[derive(Debug)]
pub(super) struct Found {
    /// Row-major; zeros for what is missing.
    pub(super) values: Vec<f32>,
    /// Tokens of each row; 0 for what is missing.
    pub(super) tokens: Vec<u32>,
    /// The rows that are missing, ascending.
    pub(super) missing: Vec<u32>,
}

/// A file of vectors as eviction sees it.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) name: String,
    /// When each vector was last used, in the order of the file.
    pub(super) used: Vec<u32>,
}

impl Shelf {
    /// The vectors with `header` in the cache at `root`.
    pub(super) fn new(root: Arc<Root>, memory: Arc<Memory>, index_bytes: u64, header: Header) -> Self {
        let folder = root.path().join(root::folder_name(&header.identity));
        Self { root, memory, index_bytes, folder, header, index: Mutex::default(), appender: Mutex::default() }
    }

    /// Numbers a vector.
    pub(super) fn width(&self) -> usize {
        self.header.width
    }

    /// Where its files are.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The model's identity.
    pub(super) fn identity(&self) -> &[u8; 32] {
        &self.header.identity
    }

    /// Looks `keys` up, all at once, and notes that they are used `now`.
    pub(super) fn lookup(&self, keys: &[Key], now: u32) -> Found {
        let width = self.width();
        let mut found =
            Found { values: vec![0.0; keys.len() * width], tokens: vec![0; keys.len()], missing: Vec::new() };
        {
            let mut index = self.index();
            if fs::metadata(&self.folder).and_then(|folder| folder.modified()).ok() != index.listed {
                self.refresh(&mut index);
            }
        }
        let mut open: Vec<u32> = Vec::new();
        for (row, (key, values)) in keys.iter().zip(found.values.chunks_exact_mut(width)).enumerate() {
            match self.memory.get(key, values) {
                Some(tokens) => found.tokens[row] = tokens,
                None => open.push(row as u32),
            }
        }
        if !open.is_empty() {
            self.read(keys, open, now, &mut found);
        }
        found
    }

    /// Reads the rows `open` from disk.
    fn read(&self, keys: &[Key], mut open: Vec<u32>, now: u32, found: &mut Found) {
        let width = self.width();
        let mut places: Vec<(Place, u32)> = Vec::with_capacity(open.len());
        {
            let mut index = self.index();
            let mut locate = |index: &Index, open: &mut Vec<u32>| {
                open.retain(|&row| {
                    let place = index.find(&keys[row as usize]);
                    places.extend(place.map(|place| (place, row)));
                    place.is_none()
                });
            };
            locate(&index, &mut open);
            if !open.is_empty() {
                self.refresh(&mut index);
                locate(&index, &mut open);
            }
        }
        // In the order of the disk.
        places.sort_unstable_by_key(|(place, _)| (place.segment, place.record));
        let mut buffer = Vec::new();
        for group in places.chunk_by(|a, b| a.0.segment == b.0.segment) {
            let segment = group[0].0.segment;
            let read: Vec<(Record, u32, u32)>;
            let file;
            {
                let index = self.index();
                // It may have gone since.
                let Some(known) = &index.segments[segment as usize] else {
                    open.extend(group.iter().map(|(_, row)| *row));
                    continue;
                };
                file = Arc::clone(&known.file);
                let record = |(place, row): &(Place, u32)| (known.records[place.record as usize], place.record, *row);
                read = group.iter().map(record).collect();
            }
            let mut used = Vec::with_capacity(read.len());
            let (mut damage, mut damaged) = (None, Vec::new());
            for (record, number, row) in read {
                let values = &mut found.values[row as usize * width..][..width];
                match segment::read(&file, &record, values, &mut buffer) {
                    Ok(tokens) => {
                        found.tokens[row as usize] = tokens;
                        self.memory.insert(record.key, tokens, values);
                        used.push(number);
                    }
                    Err(why) => {
                        open.push(row);
                        damaged.push(record.key);
                        damage = Some(why);
                    }
                }
            }
            let mut index = self.index();
            if let Some(why) = damage {
                index.set_damaged(segment, &damaged);
                self.say_damaged(index.segments[segment as usize].as_ref().map(|known| known.name.as_str()), &why);
            }
            index.touch(segment, &self.folder, &used, now);
        }
        open.sort_unstable();
        found.missing = open;
    }

    /// Appends vectors that are not there yet, as used `now`, and writes damaged files anew. `largest` is the size of a file.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn append(
        &self,
        keys: &[Key],
        tokens: &[u32],
        values: &[f32],
        largest: u64,
        now: u32,
    ) -> io::Result<()> {
        self.heal(largest)?;
        let width = self.width();
        let mut new: Vec<usize> = Vec::with_capacity(keys.len());
        {
            let mut index = self.index();
            self.refresh(&mut index);
            new.extend((0..keys.len()).filter(|&row| index.find(&keys[row]).is_none()));
        }
        if new.is_empty() {
            return Ok(());
        }
        let rows = rows_of_block(width, largest);
        for rows in new.chunks(rows) {
            let keys: Vec<Key> = rows.iter().map(|&row| keys[row]).collect();
            let tokens: Vec<u32> = rows.iter().map(|&row| tokens[row]).collect();
            let values: Vec<f32> = rows.iter().flat_map(|&row| &values[row * width..][..width]).copied().collect();
            self.append_block(&keys, &tokens, &values, &vec![now; rows.len()], largest)?;
        }
        self.refresh(&mut self.index());
        Ok(())
    }

    fn append_block(&self, keys: &[Key], tokens: &[u32], values: &[f32], used: &[u32], largest: u64) -> io::Result<()> {
        let mut appender = self.appender.lock().unwrap_or_else(PoisonError::into_inner);
        if appender.as_ref().is_some_and(|appender| appender.is_done(largest)) {
            *appender = None;
        }
        let open = match &mut *appender {
            Some(open) => open,
            none => none.insert(Appender::open(&self.folder, &self.header, largest)?),
        };
        open.append(keys, tokens, values, used)
    }

    /// Writes the files that were found damaged anew, without what cannot be read.
    fn heal(&self, largest: u64) -> io::Result<()> {
        let damaged: Vec<String> = {
            let index = self.index();
            index
                .segments
                .iter()
                .flatten()
                .filter(|segment| segment.damaged)
                .map(|segment| segment.name.clone())
                .collect()
        };
        for name in damaged {
            self.rewrite(&name, |_| true, largest)?;
        }
        Ok(())
    }

    /// Moves the vectors for which `keep` says so, by their number in the file, to another file, and removes this one. Leaves
    /// it alone where another process appends to it.
    ///
    /// # Errors
    /// The file system's; the file is still there then.
    pub(super) fn rewrite(&self, name: &str, keep: impl Fn(usize) -> bool, largest: u64) -> io::Result<()> {
        let path = self.folder.join(name);
        {
            let mut appender = self.appender.lock().unwrap_or_else(PoisonError::into_inner);
            if appender.as_ref().is_some_and(|appender| appender.is(&path)) {
                *appender = None;
            }
        }
        let Some(file) = lock(&path)? else { return Ok(()) };
        let (records, used) = self.load(&path, &file);
        let width = self.width();
        let mut kept = (0..records.len()).filter(|&number| keep(number)).peekable();
        let rows = rows_of_block(width, largest);
        let mut buffer = Vec::new();
        while kept.peek().is_some() {
            let (mut keys, mut tokens, mut stamps) = (Vec::new(), Vec::new(), Vec::new());
            let mut values = Vec::with_capacity(rows * width);
            for number in kept.by_ref().take(rows) {
                let start = values.len();
                values.resize(start + width, 0.0);
                match segment::read(&file, &records[number], &mut values[start..], &mut buffer) {
                    Ok(count) => {
                        keys.push(records[number].key);
                        tokens.push(count);
                        stamps.push(used.get(number));
                    }
                    Err(_) => values.truncate(start),
                }
            }
            if !keys.is_empty() {
                self.append_block(&keys, &tokens, &values, &stamps, largest)?;
            }
        }
        root::remove(&path)?;
        self.refresh(&mut self.index());
        Ok(())
    }

    /// The records of a file and when they were used. A damaged file has those in front of the damage.
    fn load(&self, path: &Path, file: &File) -> (Vec<Record>, Stamps) {
        let mut records = Vec::new();
        if matches!(Header::read(file), Ok(Some(header)) if header.is_same_model(&self.header)) {
            // What is behind a damaged head cannot be told apart.
            let _ = segment::scan(file, self.width(), HEADER, &mut records);
        }
        let stamps = Stamps::load(&root::stamps_beside(path), records.len(), written(file));
        (records, stamps)
    }

    /// The files of this model as they are on disk now.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub(super) fn contents(&self) -> io::Result<Vec<Contents>> {
        let mut contents = Vec::new();
        for (name, _) in root::segments(&self.folder)? {
            let path = self.folder.join(&name);
            let Ok(file) = File::open(&path) else { continue };
            let (records, stamps) = self.load(&path, &file);
            let used = (0..records.len()).map(|number| stamps.get(number)).collect();
            contents.push(Contents { name, used });
        }
        Ok(contents)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the index up to what is in the folder.
    fn refresh(&self, index: &mut Index) {
        // Before the list: what changes in between changes the time again.
        let listed = fs::metadata(&self.folder).and_then(|folder| folder.modified()).ok();
        let names = match root::segments(&self.folder) {
            Ok(names) => names,
            Err(error) => {
                let folder = self.folder.display();
                self.root.say_once(
                    "list",
                    &format!("the cache in '{folder}' cannot be read ({error}); queries go on without it"),
                );
                Vec::new()
            }
        };
        // Emptied by somebody who wants the vectors gone.
        if listed.is_none() && index.listed.is_some() {
            self.memory.clear();
        }
        index.listed = listed;
        // Where there are more than the index may know, it is the oldest that are left out.
        let mut room = self.index_bytes.saturating_sub(index.bytes());
        for (name, bytes) in names.iter().rev().filter(|(name, _)| !index.by_name.contains_key(name)) {
            let bytes = bytes / segment::record_bytes(self.width()) as u64 * INDEX_RECORD;
            if *name > index.floor && bytes > room {
                index.floor.clone_from(name);
            }
            room = room.saturating_sub(bytes);
        }
        for (name, bytes) in &names {
            match index.by_name.get(name) {
                Some(&at) => self.grow(index, at, *bytes),
                None if *name > index.floor => self.add(index, name),
                None => {}
            }
        }
        let gone: Vec<u32> = index
            .by_name
            .iter()
            .filter(|(name, _)| names.binary_search_by(|(other, _)| other.cmp(name)).is_err())
            .map(|(_, at)| *at)
            .collect();
        for at in gone {
            index.forget(at);
        }
        // What was appended since may have been too much.
        while index.bytes() > self.index_bytes
            && index.by_name.len() > 1
            && let Some((name, at)) = index.by_name.iter().min().map(|(name, at)| (name.clone(), *at))
        {
            index.forget(at);
            index.floor = name;
        }
    }

    fn add(&self, index: &mut Index, name: &str) {
        let Ok(file) = File::open(self.folder.join(name)) else { return };
        let damaged = match Header::read(&file) {
            Ok(Some(header)) => !header.is_same_model(&self.header),
            // It is being made, or was when its process died.
            Ok(None) if root::now().saturating_sub(written(&file)) < MAKING => return,
            Ok(None) | Err(_) => true,
        };
        if damaged {
            self.say_damaged(Some(name), &Damage::Bytes(0));
        }
        let at = index.segments.len() as u32;
        let end = if damaged { u64::MAX } else { HEADER };
        let segment =
            Segment { name: name.to_owned(), file: Arc::new(file), records: Vec::new(), end, stamps: None, damaged };
        index.segments.push(Some(segment));
        index.by_name.insert(name.to_owned(), at);
        self.grow(index, at, u64::MAX);
    }

    /// Adds the blocks that a file, now of `bytes`, has more than before.
    fn grow(&self, index: &mut Index, at: u32, bytes: u64) {
        let Some(segment) = &mut index.segments[at as usize] else { return };
        if segment.damaged || bytes <= segment.end {
            return;
        }
        let first = segment.records.len();
        match segment::scan(&segment.file, self.header.width, segment.end, &mut segment.records) {
            Ok(end) => segment.end = end,
            Err((end, why)) => {
                segment.end = end;
                segment.damaged = true;
                self.say_damaged(Some(&segment.name), &why);
            }
        }
        if segment.records.len() > first {
            segment.stamps = None;
        }
        index.insert(at, first);
    }

    fn say_damaged(&self, name: Option<&str>, why: &Damage) {
        let path = self.folder.join(name.unwrap_or_default());
        let message = format!(
            "the cache's file '{}' is damaged: {why}; what cannot be read is computed again and the file replaced",
            path.display()
        );
        self.root.say_once(&path.to_string_lossy(), &message);
    }
}

/// The records of a block, of which several are in a file of `largest` bytes.
fn rows_of_block(width: usize, largest: u64) -> usize {
    let rows = largest / 4 / (segment::record_bytes(width) + size_of::<Key>()) as u64;
    usize::try_from(rows).unwrap_or(BLOCK_RECORDS).clamp(1, BLOCK_RECORDS)
}
