//! The folders of a table: its lock, its versions, and the link to the one in use.
//!
//! Takes the path of the target; gives the places of a version's files, and makes a version the one in use in one step.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Error, Result};
use crate::fetch::lock::FileLock;
use crate::staging::{self, parent, sync_folder};

/// The folders of a table, locked until they are dropped.
#[derive(Debug)]
pub(super) struct Folder {
    target: PathBuf,
    root: PathBuf,
    current: Option<u64>,
    _lock: FileLock,
}

impl Folder {
    /// The folders of the table at `target`, which need not be there. What no version in use has is removed, but for what is
    /// staged.
    ///
    /// # Errors
    /// Somebody else has the lock, the target is something else, or the file system fails.
    pub(super) fn open(target: &Path) -> Result<Self> {
        let Some(name) = target.file_name() else { return Err(Error::Foreign(target.to_owned())) };
        let root = parent(target).join(staging::kept_name(name));
        current(target, &root)?;
        match fs::symlink_metadata(&root) {
            Ok(found) if !found.is_dir() => return Err(Error::Foreign(root)),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::file("read", root)(error)),
            _ => {}
        }
        for folder in [root.join("versions"), root.join("manifests"), root.join("staging")] {
            fs::create_dir_all(&folder).map_err(Error::file("make the folder", folder))?;
        }
        let lock = lock(&root.join("lock"), target)?;
        // Only now is it said by whom nobody else replaces it.
        let current = current(target, &root)?;
        let folder = Self { target: target.to_owned(), root, current, _lock: lock };
        for version in folder.versions()?.into_iter().filter(|version| *version >= folder.next()) {
            folder.remove(version)?;
        }
        Ok(folder)
    }

    /// The version in use.
    pub(super) fn current(&self) -> Option<u64> {
        self.current
    }

    /// The version that is made.
    pub(super) fn next(&self) -> u64 {
        self.current.unwrap_or(0) + 1
    }

    /// Where the parts of a version are.
    pub(super) fn parts(&self, version: u64) -> PathBuf {
        self.root.join("versions").join(version.to_string())
    }

    /// Where it is said what a version is.
    pub(super) fn manifest(&self, version: u64) -> PathBuf {
        self.root.join("manifests").join(version.to_string())
    }

    /// Where parts are written.
    pub(super) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Makes the next version the one in use. Everything that it has is on the disk.
    ///
    /// # Errors
    /// The link cannot be replaced; the version in use is still the old one.
    pub(super) fn publish(&mut self) -> Result<()> {
        let version = self.next();
        let link = self.root.join("link");
        let failed = |error| Error::file("replace the link", &self.target)(error);
        match fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let root = Path::new(self.root.file_name().unwrap_or_default());
        symlink(&root.join("versions").join(version.to_string()), &link)
            .map_err(|source| Error::NoLink { target: self.target.clone(), source })?;
        sync_folder(&self.root).map_err(failed)?;
        fs::rename(&link, &self.target).map_err(failed)?;
        sync_folder(parent(&self.target)).map_err(failed)?;
        self.current = Some(version);
        Ok(())
    }

    /// Removes the versions that have been out of use for longer than `keep`. What cannot be removed now will be later.
    pub(super) fn remove_old(&self, keep: Duration) {
        let mut versions = self.versions().unwrap_or_default();
        versions.sort_unstable();
        for pair in versions.windows(2) {
            let [version, next] = pair else { continue };
            // The next one's parts were put into its folder right before it took this one's place.
            let replaced = fs::metadata(self.parts(*next)).and_then(|found| found.modified());
            let age = replaced.map(|replaced| SystemTime::now().duration_since(replaced).unwrap_or_default());
            if age.is_ok_and(|age| age >= keep) && self.remove(*version).is_err() {
                return;
            }
        }
    }

    /// Removes what is staged.
    pub(super) fn clear_staging(&self) {
        let entries = fs::read_dir(self.staging()).into_iter().flatten().flatten();
        for entry in entries {
            // What cannot be removed now, the next refresh will remove.
            let _ = fs::remove_file(entry.path());
        }
    }

    fn versions(&self) -> Result<Vec<u64>> {
        let mut versions = Vec::new();
        for folder in [self.root.join("versions"), self.root.join("manifests")] {
            let entries = fs::read_dir(&folder).map_err(Error::file("read", &folder))?;
            for entry in entries {
                let name = entry.map_err(Error::file("read", &folder))?.file_name();
                versions.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
            }
        }
        versions.sort_unstable();
        versions.dedup();
        Ok(versions)
    }

    fn remove(&self, version: u64) -> Result<()> {
        for folder in [self.parts(version), self.manifest(version)] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::file("remove", folder)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The version that the link names. `None` if there is nothing at `target`.
fn current(target: &Path, root: &Path) -> Result<Option<u64>> {
    let foreign = || Error::Foreign(target.to_owned());
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("read", target)(error)),
        Ok(found) if !found.is_symlink() => return Err(foreign()),
        Ok(_) => {}
    }
    let link = fs::read_link(target).map_err(Error::file("read", target))?;
    let inside = link.strip_prefix(root.file_name().unwrap_or_default()).map_err(|_| foreign())?;
    let version = inside.strip_prefix("versions").ok().and_then(Path::to_str).and_then(|name| name.parse().ok());
    version.map(Some).ok_or_else(foreign)
}

#[cfg(unix)]
fn symlink(to: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(to, link)
}

#[cfg(not(unix))]
fn symlink(_to: &Path, _link: &Path) -> std::io::Result<()> {
    // Elsewhere links need rights that few have, and cannot be replaced in one step.
    Err(ErrorKind::Unsupported.into())
}

/// Puts a part into another folder: both names are those of one file, where the file system can do that.
///
/// # Errors
/// The file cannot be put there.
pub(super) fn link_part(from: &Path, folder: &Path, name: &OsStr) -> Result<()> {
    let to = folder.join(name);
    let linked = match fs::hard_link(from, &to) {
        // To copy would write into another part.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        Err(_) => fs::copy(from, &to).and_then(|_| File::open(&to)?.sync_all()),
        Ok(()) => Ok(()),
    };
    linked.map_err(Error::file("write", to))
}

/// Locks the table at `target`, by the file at `path`.
fn lock(path: &Path, target: &Path) -> Result<FileLock> {
    let opened = File::options().create(true).truncate(false).write(true).open(path);
    let file = opened.map_err(Error::file("open", path))?;
    FileLock::try_new(file).map_err(Error::file("lock", path))?.ok_or_else(|| Error::Locked(target.to_owned()))
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn publish(folder: &mut Folder) {
        fs::create_dir(folder.parts(folder.next())).unwrap();
        fs::create_dir(folder.manifest(folder.next())).unwrap();
        folder.publish().unwrap();
    }

    #[test]
    fn versions_take_each_others_place() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("t");
        for version in 1..=3 {
            let mut folder = Folder::open(&target).unwrap();
            assert_eq!(folder.next(), version);
            publish(&mut folder);
            assert_eq!(fs::read_link(&target).unwrap(), Path::new(&format!(".t.refresh/versions/{version}")));
        }
        let folder = Folder::open(&target).unwrap();
        folder.remove_old(Duration::from_secs(60));
        assert_eq!(folder.versions().unwrap(), [1, 2, 3]);
        folder.remove_old(Duration::ZERO);
        assert_eq!(folder.versions().unwrap(), [3]);
        // What was not finished goes.
        fs::create_dir(folder.parts(4)).unwrap();
        drop(folder);
        assert_eq!(Folder::open(&target).unwrap().versions().unwrap(), [3]);
    }

    #[test]
    fn one_works_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("t");
        let first = Folder::open(&target).unwrap();
        assert!(Folder::open(&target).unwrap_err().to_string().contains("is being refreshed"));
        Folder::open(&root.path().join("other")).unwrap();
        drop(first);
        Folder::open(&target).unwrap();
    }

    #[test]
    fn what_others_made_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("file"), "").unwrap();
        fs::create_dir(path("folder")).unwrap();
        symlink(Path::new("folder"), &path("link")).unwrap();
        symlink(Path::new("."), &path(".inside.refresh")).unwrap();
        for name in ["file", "folder", "link", "inside"] {
            let message = Folder::open(&path(name)).unwrap_err().to_string();
            assert!(message.contains("was not made by refresh"), "{name}: {message}");
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 4);
        }
    }
}
