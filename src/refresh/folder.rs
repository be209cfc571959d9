//! What is kept beside a table: its lock, what is staged, and what each of its versions is.
//!
//! Takes the path of the target; gives the places of files, and removes those of versions that are no longer wanted.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use debut_udfs::refresh::Format;

use super::manifest::{self, folders};
use super::versions::Versions;
use super::{Error, Result, link};
use crate::fetch::lock::FileLock;
use crate::staging::{self, parent};

/// The folder of a table, locked until it is dropped.
pub(super) struct Folder {
    root: PathBuf,
    /// Its versions.
    pub(super) versions: Box<dyn Versions>,
    _lock: FileLock,
}

impl Folder {
    /// The folder of the table at `target`, which need not be there. What no version in use has is removed, but for what is
    /// staged.
    ///
    /// # Errors
    /// Somebody else has the lock, the target is something else, or the file system fails.
    pub(super) fn open(target: &Path, format: Format) -> Result<Self> {
        let Some(name) = target.file_name() else { return Err(Error::Foreign(target.to_owned())) };
        let root = parent(target).join(staging::kept_name(name));
        check(format, target, &root)?;
        match fs::symlink_metadata(&root) {
            Ok(found) if !found.is_dir() => return Err(Error::Foreign(root)),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::file("read", root)(error)),
            _ => {}
        }
        for folder in [folders(&root), root.join("staging")] {
            fs::create_dir_all(&folder).map_err(Error::file("make the folder", folder))?;
        }
        let lock = lock(&root.join("lock"), target)?;
        // Only now is it said by whom nobody else replaces it.
        let versions = open(format, target, &root)?;
        let folder = Self { root, versions, _lock: lock };
        let current = folder.versions.current();
        folder.remove(|version| Some(version) <= current)?;
        folder.versions.remove_leftovers()?;
        Ok(folder)
    }

    /// Where it is said what a version is.
    pub(super) fn manifest(&self, version: u64) -> PathBuf {
        manifest::folder(&self.root, version)
    }

    /// Where parts are written.
    pub(super) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Removes the versions that have been out of use for longer than `keep`. What cannot be removed now will be later.
    pub(super) fn remove_old(&self, keep: Duration) {
        let Ok(known) = self.known() else { return };
        let is_wanted = |pair: &[u64]| {
            let [_, next] = pair else { return true };
            // What the next one is was written right before it took this one's place.
            let replaced = fs::metadata(self.manifest(*next)).and_then(|found| found.modified());
            let age = replaced.map(|replaced| SystemTime::now().duration_since(replaced).unwrap_or_default());
            age.map_or(true, |age| age < keep)
        };
        let last = known.last().copied();
        let kept = known.windows(2).filter(|pair| is_wanted(pair)).filter_map(|pair| pair.first().copied());
        let kept: Vec<u64> = kept.chain(last).collect();
        // First that they are no longer known: what is in none that is known is removed the next time.
        if self.remove(|version| kept.contains(&version)).is_ok() {
            let _ = self.versions.retain(&kept);
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

    /// The versions of which it is said what they are, in their order.
    fn known(&self) -> Result<Vec<u64>> {
        let folder = folders(&self.root);
        let mut versions = Vec::new();
        for entry in fs::read_dir(&folder).map_err(Error::file("read", &folder))? {
            let name = entry.map_err(Error::file("read", &folder))?.file_name();
            versions.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        versions.sort_unstable();
        Ok(versions)
    }

    /// Forgets versions but for those that `is_kept`.
    fn remove(&self, is_kept: impl Fn(u64) -> bool) -> Result<()> {
        for version in self.known()?.into_iter().filter(|version| !is_kept(*version)) {
            let folder = self.manifest(version);
            fs::remove_dir_all(&folder).map_err(Error::file("remove", folder))?;
        }
        Ok(())
    }
}

/// Refuses a target that is no table of the format, before anything is made beside it.
///
/// # Errors
/// It is something else.
fn check(format: Format, target: &Path, root: &Path) -> Result<()> {
    match format {
        Format::Parquet => link::check(target, root),
        #[cfg(feature = "delta")]
        Format::Delta => super::delta::check(target, root),
        #[cfg(not(feature = "delta"))]
        Format::Delta => Err(NO_DELTA),
    }
}

/// The versions of the table at `target`, whose lock is held.
///
/// # Errors
/// As for [`check`], or it cannot be read.
fn open(format: Format, target: &Path, root: &Path) -> Result<Box<dyn Versions>> {
    match format {
        Format::Parquet => Ok(Box::new(link::Links::open(target, root)?)),
        #[cfg(feature = "delta")]
        Format::Delta => Ok(Box::new(super::delta::Log::open(target, root)?)),
        #[cfg(not(feature = "delta"))]
        Format::Delta => Err(NO_DELTA),
    }
}

/// Plans with a format that this program lacks are refused before.
#[cfg(not(feature = "delta"))]
const NO_DELTA: Error = Error::Internal("a Delta table in a program without the feature 'delta'");

/// Locks the table at `target`, by the file at `path`.
fn lock(path: &Path, target: &Path) -> Result<FileLock> {
    let opened = File::options().create(true).truncate(false).write(true).open(path);
    let file = opened.map_err(Error::file("open", path))?;
    FileLock::try_new(file).map_err(Error::file("lock", path))?.ok_or_else(|| Error::Locked(target.to_owned()))
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use arrow::datatypes::Schema;

    use super::{Duration, Folder, Format, Path, Result, fs};
    use crate::refresh::manifest::{Manifest, Recipe};
    use crate::refresh::versions::Next;

    fn open(target: &Path) -> Result<Folder> {
        Folder::open(target, Format::Parquet)
    }

    fn publish(folder: &mut Folder) {
        fs::create_dir(folder.manifest(folder.versions.next())).unwrap();
        let recipe = Recipe::new(String::new(), String::new(), String::new(), Default::default());
        let manifest = Manifest { recipe, parts: Vec::new() };
        let next = Next { manifest: &manifest, parts: &[], old: None, schema: &Schema::empty() };
        folder.versions.publish(&next).unwrap();
    }

    fn folders(folder: &Folder) -> Vec<String> {
        let entries = fs::read_dir(folder.root.join("versions")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn versions_take_each_others_place() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("t");
        for version in 1..=3 {
            let mut folder = open(&target).unwrap();
            assert_eq!(folder.versions.next(), version);
            publish(&mut folder);
            assert_eq!(fs::read_link(&target).unwrap(), Path::new(&format!(".t.refresh/versions/{version}")));
        }
        let folder = open(&target).unwrap();
        folder.remove_old(Duration::from_secs(60));
        assert_eq!((folder.known().unwrap(), folders(&folder).len()), (vec![1, 2, 3], 3));
        folder.remove_old(Duration::ZERO);
        assert_eq!((folder.known().unwrap(), folders(&folder)), (vec![3], vec!["3".to_owned()]));
        // What was not finished goes, and so does what was not wholly removed.
        fs::create_dir(folder.manifest(4)).unwrap();
        fs::create_dir(folder.root.join("versions/4")).unwrap();
        fs::create_dir(folder.root.join("versions/2")).unwrap();
        drop(folder);
        let folder = open(&target).unwrap();
        folder.remove_old(Duration::ZERO);
        assert_eq!((folder.known().unwrap(), folders(&folder)), (vec![3], vec!["3".to_owned()]));
    }

    #[test]
    fn one_works_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("t");
        let first = open(&target).unwrap();
        assert!(open(&target).map(drop).unwrap_err().to_string().contains("is being refreshed"));
        open(&root.path().join("other")).unwrap();
        drop(first);
        open(&target).unwrap();
    }

    #[test]
    fn what_others_made_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("file"), "").unwrap();
        fs::create_dir(path("folder")).unwrap();
        symlink(Path::new("folder"), path("link")).unwrap();
        symlink(Path::new("."), path(".inside.refresh")).unwrap();
        for name in ["file", "folder", "link", "inside"] {
            let message = open(&path(name)).map(drop).unwrap_err().to_string();
            assert!(message.contains("was not made by refresh"), "{name}: {message}");
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 4);
        }
        fs::create_dir(path("folder/_delta_log")).unwrap();
        let message = open(&path("folder")).map(drop).unwrap_err().to_string();
        assert!(message.contains("is a Delta table"), "{message}");
    }
}
