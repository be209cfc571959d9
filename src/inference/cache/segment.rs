//! A file of vectors: takes keys with their vectors, appended in blocks; gives where each is, and reads it checked.
//!
//! ```text
//! header   magic, version, numbers a vector, the model's identity and name, CRC-32C of all that
//! block    magic, number of records, CRC-32C of the head; the keys; the records
//! record   CRC-32C of key, tokens and values; tokens; values, f32
//! ```
//! All numbers are little-endian. Blocks are only ever appended, by the one process that holds the file's lock; what a
//! process that died left at the end is a block that is not whole, and is cut off by the next to append. Nobody who reads
//! needs a lock: a checksum covers every byte, and nothing is read by mapping the file, so that a file that gets shorter
//! under a reader is an error and not a signal.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::key::Key;

/// What files of vectors end in.
pub(super) const EXTENSION: &str = "vectors";
/// Bytes in front of the first block.
pub(super) const HEADER: u64 = 320;
const MAGIC: &[u8; 8] = b"DEBUTVEC";
/// The version of the format; files of another are in another folder.
pub(super) const VERSION: u32 = 1;
const LONGEST_NAME: usize = 256;
const BLOCK_MAGIC: &[u8; 4] = b"BLK1";
const BLOCK_HEAD: usize = 12;
/// Records of a block at most.
pub(super) const BLOCK_RECORDS: usize = 4096;
/// Bytes that are read at once while keys are collected: the keys of many small blocks, or the head of a large one.
const SCAN_BYTES: usize = 16 << 10;

/// What stands at the beginning of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Numbers a vector.
    pub(super) width: usize,
    /// The model's identity.
    pub(super) identity: [u8; 32],
    /// The model, for people: `name@version on cpu`.
    pub(super) model: String,
}

impl Header {
    /// Whether the vectors behind both are the same model's; its name may have changed.
    pub(super) fn is_same_model(&self, other: &Self) -> bool {
        self.identity == other.identity && self.width == other.width
    }

    /// The bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut model = self.model.as_str();
        while model.len() > LONGEST_NAME {
            model = &model[..model.floor_char_boundary(LONGEST_NAME)];
        }
        let mut bytes = Vec::with_capacity(HEADER as usize);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.width as u32).to_le_bytes());
        bytes.extend_from_slice(&self.identity);
        bytes.extend_from_slice(&(model.len() as u32).to_le_bytes());
        bytes.extend_from_slice(model.as_bytes());
        bytes.resize(HEADER as usize - 4, 0);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads it. `None` if the file is too short to have one, as it is for a moment after its making.
    ///
    /// # Errors
    /// It is damaged, or of another version of the format.
    pub(super) fn read(file: &File) -> Result<Option<Self>, Damage> {
        let mut bytes = [0; HEADER as usize];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let body = &bytes[..HEADER as usize - 4];
        let length = number(&bytes[48..]) as usize;
        if &bytes[..8] != MAGIC
            || number(&bytes[8..]) != VERSION
            || crc32c::crc32c(body) != number(&bytes[HEADER as usize - 4..])
            || length > LONGEST_NAME
        {
            return Err(Damage::Bytes(0));
        }
        let mut identity = [0; 32];
        identity.copy_from_slice(&bytes[16..48]);
        let model = String::from_utf8_lossy(&bytes[52..52 + length]).into_owned();
        Ok(Some(Self { width: number(&bytes[12..]) as usize, identity, model }))
    }
}

/// Why bytes of a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    /// They are not what was written.
    #[error("the bytes at {0} are not those that were written")]
    Bytes(u64),
    /// The file system fails.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A record of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Its key.
    pub(super) key: Key,
    /// Where it begins in the file.
    pub(super) offset: u32,
}

/// Bytes of a record of `width` numbers.
pub(super) fn record_bytes(width: usize) -> usize {
    8 + 4 * width
}

/// The bytes of a block: `keys`, and for each its tokens and its `width` values, one after the other.
pub(super) fn block(keys: &[Key], tokens: &[u32], values: &[f32], width: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BLOCK_HEAD + keys.len() * (size_of::<Key>() + record_bytes(width)));
    bytes.extend_from_slice(BLOCK_MAGIC);
    bytes.extend_from_slice(&(keys.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(keys.as_flattened());
    let crc = head_crc(&bytes);
    bytes[8..BLOCK_HEAD].copy_from_slice(&crc.to_le_bytes());
    for (row, key) in keys.iter().enumerate() {
        let start = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&tokens[row].to_le_bytes());
        bytes.extend(values[row * width..(row + 1) * width].iter().flat_map(|value| value.to_le_bytes()));
        let crc = crc32c::crc32c_append(crc32c::crc32c(key), &bytes[start + 4..]);
        bytes[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

/// Where the records of a block of `rows` begin, counted from the block's own beginning.
pub(super) fn first_record(rows: usize) -> u64 {
    (BLOCK_HEAD + rows * size_of::<Key>()) as u64
}

/// Collects the records of the whole blocks from `start` on; gives where they end.
///
/// # Errors
/// A block is damaged. What stood before it has been collected.
pub(super) fn scan(file: &File, width: usize, start: u64, records: &mut Vec<Record>) -> Result<u64, (u64, Damage)> {
    let mut at = start;
    let mut buffer = Vec::new();
    let (mut from, mut keys) = (0_u64, Vec::new());
    let length = file.metadata().map_err(|error| (at, error.into()))?.len();
    while at + BLOCK_HEAD as u64 <= length {
        let within = |from: u64, buffer: &[u8], bytes: u64| at >= from && at + bytes <= from + buffer.len() as u64;
        if !within(from, &buffer, BLOCK_HEAD as u64) {
            refill(file, at, length, &mut buffer).map_err(|error| (at, error.into()))?;
            from = at;
        }
        let head = &buffer[(at - from) as usize..][..BLOCK_HEAD];
        let rows = number(&head[4..]) as usize;
        if &head[..4] != BLOCK_MAGIC || rows == 0 || rows > BLOCK_RECORDS {
            return Err((at, Damage::Bytes(at)));
        }
        let records_at = first_record(rows);
        let bytes = records_at + (rows * record_bytes(width)) as u64;
        let whole = if within(from, &buffer, records_at) {
            &buffer[(at - from) as usize..][..records_at as usize]
        } else {
            keys.resize(records_at as usize, 0);
            match file.read_exact_at(&mut keys, at) {
                // It is being written, or was when its process died.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(at),
                read => read.map_err(|error| (at, error.into()))?,
            }
            &keys
        };
        if head_crc(whole) != number(&whole[8..]) || at + bytes > u64::from(u32::MAX) {
            return Err((at, Damage::Bytes(at)));
        }
        if at + bytes > length {
            return Ok(at);
        }
        let offsets = (0..rows).map(|row| (at + records_at) as u32 + (row * record_bytes(width)) as u32);
        let (found, _) = whole[BLOCK_HEAD..].as_chunks::<{ size_of::<Key>() }>();
        records.extend(found.iter().zip(offsets).map(|(key, offset)| Record { key: *key, offset }));
        at += bytes;
    }
    Ok(at)
}

/// Reads a record into `values`; gives its tokens. `buffer` is only kept so that the next call need not make one.
///
/// # Errors
/// It is damaged, or the file has become shorter.
pub(super) fn read(file: &File, record: &Record, values: &mut [f32], buffer: &mut Vec<u8>) -> Result<u32, Damage> {
    buffer.resize(record_bytes(values.len()), 0);
    file.read_exact_at(buffer, record.offset.into())?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&record.key), &buffer[4..]);
    if crc != number(buffer) {
        return Err(Damage::Bytes(record.offset.into()));
    }
    let (numbers, _) = buffer[8..].as_chunks::<4>();
    for (value, bytes) in values.iter_mut().zip(numbers) {
        *value = f32::from_le_bytes(*bytes);
    }
    Ok(number(&buffer[4..]))
}

fn refill(file: &File, at: u64, length: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.resize((length - at).min(SCAN_BYTES as u64) as usize, 0);
    file.read_exact_at(buffer, at)
}

/// The checksum of a block's head: all but the checksum itself.
fn head_crc(head: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head[..8]), &head[BLOCK_HEAD..])
}

/// The first four bytes as a number.
pub(super) fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        Header { width: 3, identity: [7; 32], model: "small@1 on cpu".into() }
    }

    /// A file of blocks with these numbers of records; record n has the key n and the values n, n + 1/4 and n + 1/2.
    fn file(blocks: &[usize]) -> (File, Vec<Record>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&header().encode()).unwrap();
        let mut next = 0;
        for &rows in blocks {
            let numbers: Vec<u32> = (next..).take(rows).collect();
            let keys: Vec<Key> = numbers.iter().map(|n| key(*n)).collect();
            let values: Vec<f32> = numbers.iter().flat_map(|n| values(*n)).collect();
            file.write_all(&block(&keys, &numbers, &values, 3)).unwrap();
            next += rows as u32;
        }
        let mut records = Vec::new();
        let end = scan(&file, 3, HEADER, &mut records).unwrap();
        assert_eq!((end, records.len()), (file.metadata().unwrap().len(), next as usize));
        (file, records)
    }

    fn key(n: u32) -> Key {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&n.to_le_bytes());
        key
    }

    fn values(n: u32) -> [f32; 3] {
        [0.0, 0.25, 0.5].map(|part| n as f32 + part)
    }

    fn check(file: &File, records: &[Record]) {
        let mut found = [0.0; 3];
        for record in records {
            let n = number(&record.key);
            assert_eq!(read(file, record, &mut found, &mut Vec::new()).unwrap(), n);
            assert_eq!(found, values(n));
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let (file, records) = file(&[1, 1, 4096, 1, 700, 2]);
        assert_eq!(Header::read(&file).unwrap().unwrap(), header());
        assert!(records.iter().enumerate().all(|(n, record)| record.key == key(n as u32)));
        check(&file, &records);
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let long = Header { model: "ü".repeat(200), ..header() };
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&long.encode()).unwrap();
        assert_eq!(Header::read(&file).unwrap().unwrap().model, "ü".repeat(128));
    }

    #[test]
    fn a_block_that_is_not_whole_is_not_there_yet() {
        let (file, records) = file(&[2, 3]);
        let length = file.metadata().unwrap().len();
        let mut first = Vec::new();
        let begin = HEADER + first_record(2) + 2 * record_bytes(3) as u64;
        for end in (begin..length).rev() {
            file.set_len(end).unwrap();
            first.clear();
            assert_eq!(scan(&file, 3, HEADER, &mut first).unwrap(), begin, "{end} of {length}");
            assert_eq!(first, records[..2]);
        }
        file.set_len(HEADER - 1).unwrap();
        assert!(Header::read(&file).unwrap().is_none());
    }

    proptest! {
        /// A flipped bit anywhere is found, or is in a record that is found to be damaged when it is read.
        #[test]
        fn every_flipped_bit_is_found(place in any::<prop::sample::Index>(), bit in 0u8..8) {
            let (file, records) = file(&[1, 5, 2]);
            let at = place.index(file.metadata().unwrap().len() as usize) as u64;
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
            let mut found = Vec::new();
            let scanned = scan(&file, 3, HEADER, &mut found);
            prop_assert_eq!(&found[..], &records[..found.len()]);
            let damaged = found.iter().filter(|record| read(&file, record, &mut [0.0; 3], &mut Vec::new()).is_err());
            let damaged = damaged.count();
            let noticed = Header::read(&file).is_err() || scanned.is_err() || damaged == 1 || found.len() < records.len();
            prop_assert!(noticed, "byte {at}");
        }
    }
}
