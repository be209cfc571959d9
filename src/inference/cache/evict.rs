//! The bound on the cache's size: takes the shelves and the bytes that may stay, removes what was used least recently.
//!
//! Vectors leave one by one, not by the file: a file whose vectors are all older goes, one with some older is written anew
//! without them. One process evicts at a time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::appender::lock;
use super::key::Key;
use super::root::{self, Root};
use super::segment::{Header, record_bytes};
use super::shelf::{Contents, Shelf};
use super::stamps::STAMP;

/// The file whose lock is held meanwhile.
const LOCK: &str = "evict.lock";

/// Removes the least recently used vectors until the files hold about `target` bytes. Gives whether it was this process that
/// did.
///
/// # Errors
/// The file system's. What was not removed is still there.
pub(super) fn evict(root: &Root, shelves: &[Arc<Shelf>], target: u64, largest: u64) -> io::Result<bool> {
    fs::create_dir_all(root.path())?;
    let lock = File::options().create(true).truncate(false).write(true).open(root.path().join(LOCK))?;
    if lock.try_lock().is_err() {
        return Ok(false);
    }
    let is_known = |folder: &PathBuf| shelves.iter().any(|shelf| shelf.folder() == folder);
    for folder in root::shelves(root.path()).iter().filter(|folder| !is_known(folder)) {
        remove_strange(folder)?;
    }
    let mut all: Vec<(&Shelf, Vec<Contents>)> = Vec::with_capacity(shelves.len());
    for shelf in shelves {
        all.push((shelf, shelf.contents()?));
    }
    let stays = cutoff(&all, target);
    for (shelf, contents) in &all {
        for file in contents {
            // What came to the file since it was listed is new.
            let used = |number: usize| file.used.get(number).copied();
            let stays = |number| used(number).is_none_or(|used| (used, file.name.as_str(), number) >= stays);
            // A file without a vector that can be read goes too.
            if !(0..file.used.len()).all(stays) || file.used.is_empty() {
                shelf.rewrite(&file.name, stays, largest)?;
            }
        }
    }
    Ok(true)
}

/// Removes the files of a model's folder of which none says that it is that model's: nobody looks for what is in them. A file
/// that a process is making has its lock, or is the loss of one block.
///
/// # Errors
/// The file system's.
fn remove_strange(folder: &Path) -> io::Result<()> {
    for (name, _) in root::segments(folder)? {
        let path = folder.join(name);
        // With the lock: another process may have begun the file since.
        if let Some(file) = lock(&path)?
            && !matches!(Header::read(&file), Ok(Some(header)) if folder.ends_with(root::folder_name(&header.identity)))
        {
            root::remove(&path)?;
        }
    }
    Ok(())
}

/// The least recently used vector that stays: when it was used, and where it is among those of the same second.
fn cutoff<'a>(all: &'a [(&Shelf, Vec<Contents>)], target: u64) -> (u32, &'a str, usize) {
    let mut order: Vec<((u32, &str, usize), u64)> = Vec::new();
    for (shelf, contents) in all {
        let bytes = (record_bytes(shelf.width()) + size_of::<Key>() + STAMP) as u64;
        for file in contents {
            order.extend(
                file.used.iter().enumerate().map(|(number, used)| ((*used, file.name.as_str(), number), bytes)),
            );
        }
    }
    order.sort_unstable_by(|a, b| b.cmp(a));
    let mut held = 0;
    let first_to_go = order.iter().position(|(_, bytes)| {
        held += bytes;
        held > target
    });
    match first_to_go {
        // None of it fits.
        Some(0) => (u32::MAX, "\u{10ffff}", usize::MAX),
        Some(place) => order[place - 1].0,
        None => (0, "", 0),
    }
}
