//! The one file of a model that this process appends to: takes blocks, gives a file that only holds whole ones.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::key::Key;
use super::segment::{self, EXTENSION, HEADER, Header};
use super::{root, stamps};

/// A file with its lock. Dropping it gives up the lock.
#[derive(Debug)]
pub(super) struct Appender {
    path: PathBuf,
    file: File,
    end: u64,
    records: usize,
    width: usize,
}

impl Appender {
    /// Takes on a file in `folder` that is smaller than `largest` and that nobody appends to, or begins one.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn open(folder: &Path, header: &Header, largest: u64) -> io::Result<Self> {
        // The newest is the likeliest to have room.
        for (name, bytes) in root::segments(folder)?.into_iter().rev() {
            if bytes < largest
                && let Some(file) = lock(&folder.join(&name))?
                && let Some(found) = Self::take_on(folder.join(&name), file, header)?
            {
                return Ok(found);
            }
        }
        Self::begin(folder, header)
    }

    /// Cuts off what is not whole. `None` if the file is damaged, or another model's.
    fn take_on(path: PathBuf, file: File, header: &Header) -> io::Result<Option<Self>> {
        if !matches!(Header::read(&file), Ok(Some(found)) if found.is_same_model(header)) {
            return Ok(None);
        }
        let mut records = Vec::new();
        let Ok(end) = segment::scan(&file, header.width, HEADER, &mut records) else { return Ok(None) };
        file.set_len(end)?;
        Ok(Some(Self { path, file, end, records: records.len(), width: header.width }))
    }

    fn begin(folder: &Path, header: &Header) -> io::Result<Self> {
        // Names sort by the time of their making; the counter and the process keep them apart.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{since:024x}-{:x}-{next:x}.{EXTENSION}", std::process::id()));
        fs::create_dir_all(folder)?;
        let file = File::options().create_new(true).read(true).write(true).open(&path)?;
        file.lock()?;
        if let Err(error) = file.write_all_at(&header.encode(), 0) {
            // An empty file would be nobody's.
            let _ = root::remove(&path);
            return Err(error);
        }
        Ok(Self { path, file, end: HEADER, records: 0, width: header.width })
    }

    /// Whether the next block goes elsewhere: the file is `largest`, or was removed meanwhile.
    pub(super) fn is_done(&self, largest: u64) -> bool {
        self.end >= largest || self.file.metadata().map_or(true, |metadata| metadata.nlink() == 0)
    }

    /// Whether it is this file.
    pub(super) fn is(&self, path: &Path) -> bool {
        self.path == path
    }

    /// Appends a block of vectors that were last used at `used`.
    ///
    /// # Errors
    /// The file system's. The file has the whole block or nothing of it.
    pub(super) fn append(&mut self, keys: &[Key], tokens: &[u32], values: &[f32], used: &[u32]) -> io::Result<()> {
        let bytes = segment::block(keys, tokens, values, self.width);
        if let Err(error) = self.file.write_all_at(&bytes, self.end) {
            // What cannot be cut off now is cut off by the next to append.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        let first = self.records;
        self.end += bytes.len() as u64;
        self.records += keys.len();
        let stamps = File::options().create(true).truncate(false).write(true).open(root::stamps_beside(&self.path));
        stamps.and_then(|file| stamps::write(&file, first, used.iter().copied()))
    }
}

/// Opens a file for writing and takes its lock. `None` if another has it, or if the file has gone.
///
/// # Errors
/// The file system's.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = match File::options().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Whoever had the lock before may have removed the file.
    Ok((file.metadata()?.nlink() > 0).then_some(file))
}
