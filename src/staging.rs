//! Output that appears whole or not at all.
//!
//! Takes the path of a file or folder that is to be written; gives a hidden folder beside it for what is not finished, and
//! moves what was finished to its place in one step, on disk before anybody sees it. What killed writers left beside a target
//! is removed by the next one: a writer holds a lock on its folder as long as it lives.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const PREFIX: &str = ".debut-";
const SUFFIX: &str = ".part";
const LOCK: &str = ".lock";
const KEPT: &str = ".refresh";

/// A folder for unfinished output, locked, and removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
    // Held as long as the folder is in use.
    _lock: File,
}

impl Staging {
    /// A folder for what will be `target`. Folders of writers that are gone are removed first.
    ///
    /// # Errors
    /// No folder can be made beside `target`.
    pub(crate) fn beside(target: &Path) -> io::Result<Self> {
        Self::at(&place(target))
    }

    /// The folder of the name that [`place`] gave.
    ///
    /// # Errors
    /// As for [`Self::beside`].
    pub(crate) fn at(folder: &Path) -> io::Result<Self> {
        let parent = parent(folder);
        // The error about a folder that is not there should not be about a hidden one.
        if is_kept(&fs::canonicalize(parent)?) {
            return Err(io::Error::new(ErrorKind::PermissionDenied, "only refresh(...) writes there; write elsewhere"));
        }
        remove_abandoned(parent);
        loop {
            match lock_new(folder) {
                // Another writer took the folder for an abandoned one before it was locked.
                Err(error) if error.kind() == ErrorKind::NotFound && parent.is_dir() => {}
                Err(error) => return Err(error),
                Ok(None) => {}
                Ok(Some(lock)) => return Ok(Self { folder: folder.to_owned(), _lock: lock }),
            }
        }
    }

    /// Where output of this name is written until it is finished.
    pub(crate) fn path(&self, name: &OsStr) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes what was written as `target`'s name the `target`. A folder takes the place of the whole folder that was there.
    ///
    /// # Errors
    /// It cannot be written to the disk or moved; what was there is still there.
    pub(crate) fn publish(self, target: &Path) -> io::Result<()> {
        let staged = self.path(target.file_name().unwrap_or_default());
        let is_folder = fs::symlink_metadata(&staged)?.is_dir();
        match fs::metadata(target) {
            // Who may read the old one may read the new one.
            Ok(old) => fs::set_permissions(&staged, old.permissions())?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        sync_tree(&staged)?;
        if is_folder && target.is_dir() {
            self.exchange(&staged, target)?
        } else {
            fs::rename(&staged, target)?
        }
        sync_folder(parent(target))
    }

    /// Puts a folder in the place of another, which is removed with the rest of the staging folder.
    fn exchange(&self, staged: &Path, target: &Path) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
        {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            use rustix::io::Errno;
            match renameat_with(CWD, staged, CWD, target, RenameFlags::EXCHANGE) {
                // A file system that cannot do it in one step.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                exchanged => return Ok(exchanged?),
            }
        }
        let old = self.folder.join(".old");
        fs::rename(target, &old)?;
        fs::rename(staged, target).inspect_err(|_| {
            // Nothing to say besides why the new one could not take its place.
            let _ = fs::rename(&old, target);
        })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now, the next writer will.
        let _ = remove(&self.folder);
    }
}

/// A name for the staging folder of `target`, which nobody else has or will have.
pub(crate) fn place(target: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    parent(target).join(format!("{PREFIX}{since:x}-{}-{number}{SUFFIX}", std::process::id()))
}

/// The folder that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The name of the folder in which `refresh(...)` keeps the versions of a table of this name, beside it.
pub(crate) fn kept_name(table: &OsStr) -> OsString {
    let mut name = OsString::from(".");
    name.push(table);
    name.push(KEPT);
    name
}

/// Whether a path without links is in such a folder.
pub(crate) fn is_kept(path: &Path) -> bool {
    let is_name = |name: &str| name.len() > KEPT.len() + 1 && name.starts_with('.') && name.ends_with(KEPT);
    path.components().any(|part| part.as_os_str().to_str().is_some_and(is_name))
}

/// Makes the folder and its lock. `None` if another writer removed it meanwhile.
fn lock_new(folder: &Path) -> io::Result<Option<File>> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        // What is not finished is nobody's business yet.
        builder.mode(0o700);
    }
    builder.create(folder)?;
    let path = folder.join(LOCK);
    let lock = File::create(&path)?;
    // Whoever removes the folder holds the lock until it is gone.
    lock.lock()?;
    Ok(path.exists().then_some(lock))
}

/// Removes the staging folders in `parent` whose writers are gone. What cannot be removed is left to others.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_staging = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if !is_staging || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let folder = entry.path();
        match File::options().write(true).open(folder.join(LOCK)) {
            Ok(lock) => match lock.try_lock() {
                Ok(()) => drop(remove(&folder)),
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
            },
            // Its writer was killed before it had a lock, or is about to make one: then it begins anew.
            Err(error) if error.kind() == ErrorKind::NotFound => drop(fs::remove_dir(&folder)),
            Err(_) => {}
        }
    }
}

/// Removes a staging folder, the lock last: a folder without one is empty.
fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    fs::remove_file(folder.join(LOCK))?;
    fs::remove_dir(folder)
}

/// Writes a file, or a folder with all that is in it, to the disk.
///
/// # Errors
/// The disk does not take it.
fn sync_tree(path: &Path) -> io::Result<()> {
    if !path.is_dir() {
        return File::open(path)?.sync_all();
    }
    for entry in fs::read_dir(path)? {
        sync_tree(&entry?.path())?;
    }
    sync_folder(path)
}

/// Writes the names in a folder to the disk: they have blocks of their own. Other systems than Unix cannot open a folder, and
/// write its names with the files.
///
/// # Errors
/// The disk does not take it.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_takes_the_place_of_another_whole() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("out");
        for (file, others) in [("a", vec!["a"]), ("b", vec!["b"])] {
            let staging = Staging::beside(&target).unwrap();
            let staged = staging.path(OsStr::new("out"));
            fs::create_dir(&staged).unwrap();
            fs::write(staged.join(file), file).unwrap();
            staging.publish(&target).unwrap();
            assert_eq!(
                (names(&target), names(root.path())),
                (others.into_iter().map(String::from).collect(), vec!["out".into()])
            );
        }
    }

    #[test]
    fn what_dead_writers_left_goes_and_what_living_ones_have_stays() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("out.csv");
        let living = Staging::beside(&target).unwrap();
        fs::write(living.path(OsStr::new("out.csv")), "half").unwrap();
        // As kills leave them: with a lock that nobody holds, and before there was one.
        for (name, lock) in [(".debut-1-1-1.part", true), (".debut-1-1-2.part", false)] {
            fs::create_dir(root.path().join(name)).unwrap();
            if lock {
                fs::write(root.path().join(name).join(LOCK), "").unwrap();
                fs::write(root.path().join(name).join("out.csv#1"), "half").unwrap();
            }
        }
        // Not ours.
        fs::write(root.path().join(".debut-notes.part"), "").unwrap();
        let second = Staging::beside(&target).unwrap();
        assert_eq!(names(root.path()).len(), 3, "{:?}", names(root.path()));
        drop(second);
        living.publish(&target).unwrap();
        assert_eq!(names(root.path()), [".debut-notes.part", "out.csv"]);
        assert_eq!(fs::read_to_string(&target).unwrap(), "half");
    }

    #[test]
    fn many_writers_in_one_folder_do_not_remove_each_other() {
        let root = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let root = root.path();
                scope.spawn(move || {
                    let target = root.join(format!("{writer}.txt"));
                    for round in 0..50 {
                        let staging = Staging::beside(&target).unwrap();
                        fs::write(staging.path(target.file_name().unwrap()), format!("{round}")).unwrap();
                        staging.publish(&target).unwrap();
                        assert_eq!(fs::read_to_string(&target).unwrap(), format!("{round}"));
                    }
                });
            }
        });
        assert_eq!(names(root.path()).len(), 8);
    }
}
