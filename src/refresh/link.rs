//! A folder of Parquet files: a symbolic link to the folder of the version in use.
//!
//! Takes the parts of a version; gives a folder that has them and nothing else, and makes the link name it in one step.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use arrow::datatypes::Schema;

use super::part;
use super::versions::{Next, Versions};
use super::{Error, Result};
use crate::staging::{parent, sync_folder};

/// Where the folders of versions are, below the folder that is kept beside the table.
const VERSIONS: &str = "versions";

/// The versions of such a table.
#[derive(Debug)]
pub(super) struct Links {
    target: PathBuf,
    root: PathBuf,
    current: Option<u64>,
}

impl Links {
    /// The versions of the table at `target`.
    ///
    /// # Errors
    /// The target is something else, or the file system fails.
    pub(super) fn open(target: &Path, root: &Path) -> Result<Self> {
        let folder = root.join(VERSIONS);
        fs::create_dir_all(&folder).map_err(Error::file("make the folder", folder))?;
        Ok(Self { target: target.to_owned(), root: root.to_owned(), current: current(target, root)? })
    }

    fn folder(&self, version: u64) -> PathBuf {
        self.root.join(VERSIONS).join(version.to_string())
    }

    /// Removes the folders of versions but for those that `is_kept`.
    fn remove(&self, is_kept: impl Fn(u64) -> bool) -> Result<()> {
        let folder = self.root.join(VERSIONS);
        for entry in fs::read_dir(&folder).map_err(Error::file("read", &folder))? {
            let path = entry.map_err(Error::file("read", &folder))?.path();
            let version = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            if version.is_some_and(|version| !is_kept(version)) {
                fs::remove_dir_all(&path).map_err(Error::file("remove", path))?;
            }
        }
        Ok(())
    }
}

impl Versions for Links {
    fn current(&self) -> Option<u64> {
        self.current
    }

    fn next(&self) -> u64 {
        self.current.unwrap_or(0) + 1
    }

    fn part(&self, version: u64, name: &str) -> PathBuf {
        self.folder(version).join(name)
    }

    fn stored(&self, columns: &Schema) -> Result<Schema> {
        Ok(columns.clone())
    }

    fn publish(&mut self, next: &Next<'_>) -> Result<()> {
        let version = self.next();
        let folder = self.folder(version);
        fs::create_dir(&folder).map_err(Error::file("make the folder", &folder))?;
        for path in next.parts {
            part::link(path, &folder)?;
        }
        for folder in [folder.as_path(), parent(&folder)] {
            sync_folder(folder).map_err(Error::file("write", folder))?;
        }
        let link = self.root.join("link");
        let failed = |error| Error::file("replace the link", &self.target)(error);
        match fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let root = Path::new(self.root.file_name().unwrap_or_default());
        symlink(&root.join(VERSIONS).join(version.to_string()), &link)
            .map_err(|source| Error::NoLink { target: self.target.clone(), source })?;
        sync_folder(&self.root).map_err(failed)?;
        fs::rename(&link, &self.target).map_err(failed)?;
        sync_folder(parent(&self.target)).map_err(failed)?;
        self.current = Some(version);
        Ok(())
    }

    fn remove_leftovers(&self) -> Result<()> {
        self.remove(|version| Some(version) <= self.current)
    }

    fn retain(&self, kept: &[u64]) -> Result<()> {
        self.remove(|version| kept.contains(&version))
    }
}

/// Refuses a target that is no such table.
///
/// # Errors
/// It is something else.
pub(super) fn check(target: &Path, root: &Path) -> Result<()> {
    current(target, root).map(drop)
}

/// The version that the link names. `None` if there is nothing at `target`.
fn current(target: &Path, root: &Path) -> Result<Option<u64>> {
    let foreign = || Error::Foreign(target.to_owned());
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("read", target)(error)),
        Ok(found) if found.is_symlink() => {}
        Ok(_) if target.join("_delta_log").is_dir() => {
            return Err(Error::OtherFormat { target: target.to_owned(), found: "a Delta table", asked: "parquet" });
        }
        Ok(_) => return Err(foreign()),
    }
    let link = fs::read_link(target).map_err(Error::file("read", target))?;
    let inside = link.strip_prefix(root.file_name().unwrap_or_default()).map_err(|_| foreign())?;
    let version = inside.strip_prefix(VERSIONS).ok().and_then(Path::to_str).and_then(|name| name.parse().ok());
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
