//! When each vector of a file was last used: takes and gives seconds since 1970, kept in a file beside it.
//!
//! A stamp has a checksum of its own, and one that does not fit is as old as the file: it decides what is evicted first, and
//! nothing else. Processes write theirs without a lock, the last one wins.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::segment::number;

/// What the files of stamps end in.
pub(super) const EXTENSION: &str = "used";
/// Bytes of a stamp.
pub(super) const STAMP: usize = 8;
/// A vector is stamped at most once in as many seconds.
const RESOLUTION: u32 = 60;

/// The stamps of a file as this process knows them.
#[derive(Debug)]
pub(super) struct Stamps(Vec<u32>);

impl Stamps {
    /// Reads the stamps of `records` vectors; those that are missing or damaged are `default`.
    pub(super) fn load(path: &Path, records: usize, default: u32) -> Self {
        let bytes = std::fs::read(path).unwrap_or_default();
        let (found, _) = bytes.as_chunks::<STAMP>();
        let mut stamps: Vec<u32> = found
            .iter()
            .take(records)
            .enumerate()
            .map(|(n, bytes)| {
                let stamp = number(bytes);
                if encode(n, stamp) == *bytes { stamp } else { default }
            })
            .collect();
        stamps.resize(records, default);
        Self(stamps)
    }

    /// When a vector was last used.
    pub(super) fn get(&self, record: usize) -> u32 {
        self.0.get(record).copied().unwrap_or_default()
    }

    /// Notes that the vectors `records`, ascending, are used `now`.
    ///
    /// # Errors
    /// The file cannot be written; nothing depends on it.
    pub(super) fn touch(&mut self, path: &Path, records: &[u32], now: u32) -> io::Result<()> {
        let mut old = Vec::new();
        for &record in records {
            if let Some(stamp) = self.0.get_mut(record as usize)
                && now.saturating_sub(*stamp) >= RESOLUTION
            {
                *stamp = now;
                old.push(record);
            }
        }
        if old.is_empty() {
            return Ok(());
        }
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        // Vectors that were written together are used together: few runs.
        for run in old.chunk_by(|a, b| a + 1 == *b) {
            write(&file, run[0] as usize, run.iter().map(|_| now))?;
        }
        Ok(())
    }
}

/// Writes stamps from the one of the vector `first` on.
///
/// # Errors
/// The file system's.
pub(super) fn write(file: &File, first: usize, stamps: impl Iterator<Item = u32>) -> io::Result<()> {
    let bytes: Vec<u8> = stamps.enumerate().flat_map(|(n, stamp)| encode(first + n, stamp)).collect();
    file.write_all_at(&bytes, (first * STAMP) as u64)
}

fn encode(record: usize, stamp: u32) -> [u8; STAMP] {
    let mut bytes = [0; STAMP];
    bytes[..4].copy_from_slice(&stamp.to_le_bytes());
    let crc = crc32c::crc32c_append(record as u32, &bytes[..4]);
    bytes[4..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_kept_and_damaged_ones_are_as_old_as_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.used");
        let mut stamps = Stamps::load(&path, 6, 100);
        stamps.touch(&path, &[0, 1, 4], 1000).unwrap();
        // Too soon to be worth a write.
        stamps.touch(&path, &[0], 1001).unwrap();
        let read = |records: usize| {
            let stamps = Stamps::load(&path, records, 100);
            (0..records).map(|n| stamps.get(n)).collect::<Vec<_>>()
        };
        assert_eq!(read(6), [1000, 1000, 100, 100, 1000, 100]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[1] ^= 4;
        bytes.truncate(35);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read(5), [100, 1000, 100, 100, 100]);
    }
}
