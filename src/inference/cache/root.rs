//! The cache's folder: how large it may be, what is in it, and what is said of its troubles.

use std::collections::HashSet;
use std::fmt::{self, Debug};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use debut_udfs::config::CacheSize;

use super::{segment, stamps};
use crate::fetch::Progress;

/// The cache takes no more than this by itself.
const LARGEST: u64 = 4 << 30;
/// And no more than one part in so many of what is free on its disk.
const SHARE: u64 = 10;
/// Files of vectors are not larger: what is evicted or healed is rewritten by the file.
const LARGEST_SEGMENT: u64 = 64 << 20;
const SMALLEST_SEGMENT: u64 = 64 << 10;
/// Seconds without another try after a write that failed.
const PAUSE: u64 = 60;

/// The folder.
pub(super) struct Root {
    path: PathBuf,
    size: CacheSize,
    tell: Arc<Progress<'static>>,
    told: Mutex<HashSet<String>>,
    paused_until: AtomicU64,
}

impl Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("path", &self.path).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Root {
    /// The folder at `path`, which may not exist yet; `tell` hears of trouble, each kind once.
    pub(super) fn new(path: PathBuf, size: CacheSize, tell: Arc<Progress<'static>>) -> Self {
        Self { path, size, tell, told: Mutex::default(), paused_until: AtomicU64::new(0) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that the folder may hold, where it holds `used` now.
    pub(super) fn limit(&self, used: u64) -> u64 {
        limit(&self.path, self.size, used)
    }

    /// Says `message`, unless it has said what is called `name` already.
    pub(super) fn say_once(&self, name: &str, message: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(name.to_owned()) {
            tracing::warn!("{message}");
            (self.tell)(&format!("warning: {message}"));
        }
    }

    /// A write has failed: says so once, and has the next ones left out for a while.
    pub(super) fn pause(&self, error: &io::Error) {
        self.paused_until.store(u64::from(now()) + PAUSE, Ordering::Relaxed);
        let path = self.path.display();
        self.say_once("write", &format!("the cache in '{path}' cannot be written ({error}); queries go on without it"));
    }

    /// Whether writes are left out.
    pub(super) fn is_paused(&self) -> bool {
        u64::from(now()) < self.paused_until.load(Ordering::Relaxed)
    }
}

/// Bytes that the folder `path` may hold, where it holds `used` now.
pub(super) fn limit(path: &Path, size: CacheSize, used: u64) -> u64 {
    match size {
        CacheSize::Bytes(bytes) => bytes,
        // What the cache holds would be free without it.
        CacheSize::Auto => free(path).map_or(LARGEST, |free| ((free + used) / SHARE).min(LARGEST)),
    }
}

/// Bytes of the largest file of vectors in a cache of `limit` bytes.
pub(super) fn largest_segment(limit: u64) -> u64 {
    (limit / 16).clamp(SMALLEST_SEGMENT, LARGEST_SEGMENT)
}

/// Bytes that may still be written to the disk that `path` is, or would be, on.
fn free(path: &Path) -> Option<u64> {
    let place = path.ancestors().find(|place| place.exists())?;
    let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
    let system = rustix::fs::statvfs(place).ok()?;
    system.f_bavail.checked_mul(system.f_frsize)
}

/// The folders of models in the cache.
pub(super) fn shelves(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let is_hex = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_hex))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// The names of the files of vectors in the folder of a model, the oldest first, with their sizes.
///
/// # Errors
/// The folder cannot be listed; one that is not there has none.
pub(super) fn segments(shelf: &Path) -> io::Result<Vec<(String, u64)>> {
    let entries = match fs::read_dir(shelf) {
        // What else is in the way is said by who writes.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && name.ends_with(&format!(".{}", segment::EXTENSION))
            // It may have gone meanwhile.
            && let Ok(metadata) = entry.metadata()
        {
            found.push((name, metadata.len()));
        }
    }
    found.sort();
    Ok(found)
}

/// Bytes of all files of the cache.
pub(super) fn used(root: &Path) -> u64 {
    let files = |shelf: PathBuf| fs::read_dir(shelf).into_iter().flatten().flatten();
    let bytes = |entry: fs::DirEntry| entry.metadata().map_or(0, |metadata| metadata.len());
    shelves(root).into_iter().flat_map(files).map(bytes).sum()
}

/// The file of stamps beside a file of vectors.
pub(super) fn stamps_beside(segment: &Path) -> PathBuf {
    segment.with_extension(stamps::EXTENSION)
}

/// Removes a file of vectors and its stamps. Gives whether it was there.
///
/// # Errors
/// The file system's.
pub(super) fn remove(segment: &Path) -> io::Result<bool> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        result => result.map(|()| true),
    };
    let removed = gone(fs::remove_file(segment))?;
    gone(fs::remove_file(stamps_beside(segment)))?;
    Ok(removed)
}

/// Seconds since 1970.
pub(super) fn now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u32::try_from(since.as_secs()).unwrap_or(u32::MAX))
}

/// Bytes as lower-case hexadecimal digits: the name of a model's folder.
pub(super) fn folder_name(identity: &[u8; 32]) -> String {
    crate::fetch::files::hexadecimal(identity)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_default_size_is_a_share_of_what_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let free = free(folder.path()).unwrap();
        let limit = |used| limit(&folder.path().join("not/there/yet"), CacheSize::Auto, used);
        assert!(limit(0) <= LARGEST && limit(0) <= free / SHARE + free / 20);
        assert_eq!(limit(u64::MAX / 2), LARGEST);
        assert_eq!(super::limit(folder.path(), CacheSize::Bytes(7), 0), 7);
    }

    #[test]
    fn files_that_are_not_the_caches_are_not_seen() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine.txt"), "mine").unwrap();
        fs::create_dir(folder.path().join("photos")).unwrap();
        fs::write(folder.path().join("photos/a.vectors"), "mine").unwrap();
        assert!(shelves(folder.path()).is_empty());
        assert_eq!(used(folder.path()), 0);
    }
}
