//! Folders for as long as they are used: takes a folder, gives an empty one in it, which is removed when it is dropped, or by the
//! next who asks where the process died before that.

use std::fs::{self, File};
use std::path::Path;

use tempfile::{Builder, TempDir};

use super::files::{UNFINISHED, create_folder, remove_folder};
use super::lock::FileLock;
use super::{Error, Result};

/// The file whose lock says that the folder is used.
const USED: &str = "used";

/// An empty folder. Unfinished models are not listed, and neither is it.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    _used: Option<FileLock>,
}

impl Scratch {
    /// A folder in `parent`, called after `name`.
    ///
    /// # Errors
    /// The file system's.
    pub fn within(parent: &Path, name: &str) -> Result<Self> {
        create_folder(parent)?;
        let prefix = format!("{UNFINISHED}{name}+");
        remove_unused(parent, &prefix)?;
        let folder =
            Builder::new().prefix(&prefix).tempdir_in(parent).map_err(Error::io("create a folder in", parent))?;
        // Locked before it has its name, so that nobody finds it and takes it for one that is left.
        let (first, path) = (folder.path().join("locking"), folder.path().join(USED));
        let file = File::create(&first).map_err(Error::io("create", &first))?;
        let used = FileLock::try_new(file).map_err(Error::io("lock", &first))?;
        fs::rename(&first, &path).map_err(Error::io("create", &path))?;
        Ok(Self { folder, _used: used })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes what processes that died have left.
fn remove_unused(parent: &Path, prefix: &str) -> Result<()> {
    for entry in fs::read_dir(parent).map_err(Error::io("list", parent))? {
        let entry = entry.map_err(Error::io("list", parent))?;
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let Ok(file) = File::open(entry.path().join(USED)) else { continue };
        // Held until it is gone.
        if let Ok(Some(_unused)) = FileLock::try_new(file) {
            remove_folder(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_was_left_goes() {
        let parent = tempfile::tempdir().unwrap();
        let left = parent.path().join(format!("{UNFINISHED}a+left"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join(USED), "").unwrap();
        let first = Scratch::within(parent.path(), "a").unwrap();
        assert!(!left.exists());
        let second = Scratch::within(parent.path(), "a").unwrap();
        assert!(first.path().is_dir() && second.path().is_dir());
        let path = first.path().to_path_buf();
        drop((first, second));
        assert!(!path.exists() && fs::read_dir(parent.path()).unwrap().next().is_none());
    }
}
