//! Files that appear whole or not at all: hashes, and folders that are built beside their place and then renamed. Takes
//! paths.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::{Builder, NamedTempFile, TempDir};

use super::{Error, Result};
use crate::staging::{self, parent};

const BUFFER: usize = 1 << 20;
/// What the names of unfinished files and folders start with.
pub(super) const UNFINISHED: &str = ".unfinished-";

/// The SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// The file cannot be read.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer).map_err(Error::io("read", path))? {
            0 => return Ok(hexadecimal(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Checks that a file has this SHA-256.
///
/// # Errors
/// [`Error::Checksum`] if it has another; [`Error::Io`] if it cannot be read.
pub fn check_sha256(path: &Path, expected: &str) -> Result<()> {
    let found = sha256(path)?;
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Error::Checksum { path: path.to_path_buf(), expected: expected.to_owned(), found })
}

/// Creates a folder and those above it, and makes sure that their names are on the disk.
///
/// # Errors
/// The file system's.
pub fn create_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    // The root, or a path that ends in what has no name.
    if above != path {
        create_folder(above)?;
    }
    match fs::create_dir(path) {
        // Another was faster.
        Err(_) if path.is_dir() => Ok(()),
        Err(source) => Err(Error::io("create the folder", path)(source)),
        Ok(()) => sync_folder(above),
    }
}

/// Writes a file so that it has its old content or the new one, whatever happens.
///
/// # Errors
/// The file system's; the old content is kept then.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(content))
}

/// [`write`](fn@write) for content that is not in memory as a whole.
///
/// # Errors
/// The file system's, or what `content` says; the old content is kept then.
pub fn write_with(path: &Path, content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let folder = parent(path);
    create_folder(folder)?;
    let failed = |source| Error::Io { action: "write", path: path.to_path_buf(), source };
    let mut builder = Builder::new();
    builder.prefix(UNFINISHED);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What any new file gets: the process's umask is taken off.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let file: NamedTempFile = builder.tempfile_in(folder).map_err(failed)?;
    let mut file = BufWriter::with_capacity(BUFFER, file);
    content(&mut file).map_err(failed)?;
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    sync_folder(folder)
}

/// Copies one file.
///
/// # Errors
/// The file system's, naming the side that failed where that can be told.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    create_folder(parent(to))?;
    // Opened first, because the error of a copy does not say which of the two it means.
    let mut source = File::open(from).map_err(Error::io("read", from))?;
    let mut target = File::create(to).map_err(Error::io("write", to))?;
    std::io::copy(&mut source, &mut target).map_err(Error::io("write", to))?;
    Ok(())
}

/// A folder under construction, beside the place that it will have. It is removed if it is dropped unpublished.
#[derive(Debug)]
pub struct Staging {
    folder: TempDir,
    target: PathBuf,
}

impl Staging {
    /// Starts an empty folder that will become `target`. The caller holds the lock of `target`, so unfinished folders
    /// that are already there were left by a process that died, and are removed.
    ///
    /// # Errors
    /// The file system's.
    pub fn beside(target: &Path) -> Result<Self> {
        let parent = parent(target);
        create_folder(parent)?;
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Names of models hold dots but no plus: no name's prefix is that of another.
        let prefix = format!("{UNFINISHED}{name}+");
        remove_stale(parent, &prefix)?;
        let folder =
            Builder::new().prefix(&prefix).tempdir_in(parent).map_err(Error::io("create a folder in", parent))?;
        Ok(Self { folder, target: target.to_path_buf() })
    }

    /// Where the content goes.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes sure that everything is on the disk, then gives the folder its name; a folder that has it is an error.
    ///
    /// # Errors
    /// The file system's; nothing is left behind then.
    pub fn publish(self) -> Result<()> {
        let target = self.target.clone();
        self.publish_at(&target)
    }

    /// [`Self::publish`] under another name, which must be on the same disk.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn publish_at(self, target: &Path) -> Result<()> {
        sync_tree(self.path())?;
        let parent = parent(target);
        create_folder(parent)?;
        open_to_others(self.path())?;
        fs::rename(self.path(), target).map_err(Error::io("create", target))?;
        // The folder has moved: there is nothing left for the temporary one to remove.
        let _ = self.folder.keep();
        sync_folder(parent)
    }
}

/// Temporary folders are private; a home may be shared between users.
fn open_to_others(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(Error::io("open", folder))?;
    }
    let _ = folder;
    Ok(())
}

/// Removes what a process that died has left. The caller holds the lock under which such things are made.
fn remove_stale(folder: &Path, prefix: &str) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            remove_folder(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a folder so that it is there whole or, under its name, not at all.
///
/// # Errors
/// The file system's. A folder that is not there is none.
pub fn remove_folder(path: &Path) -> Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let unfinished = name.starts_with(UNFINISHED);
    let doomed =
        if unfinished { path.to_path_buf() } else { path.with_file_name(format!("{UNFINISHED}{name}.removed")) };
    let gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    if !unfinished {
        // Left by a removal that was cut off.
        match fs::remove_dir_all(&doomed) {
            Err(error) if !gone(&error) => return Err(Error::io("remove", &doomed)(error)),
            _ => {}
        }
        match fs::rename(path, &doomed) {
            Err(error) if gone(&error) => return Ok(()),
            result => result.map_err(Error::io("remove", path))?,
        }
    }
    match fs::remove_dir_all(&doomed) {
        Err(error) if !gone(&error) => Err(Error::io("remove", &doomed)(error)),
        _ => Ok(()),
    }
}

/// Whether the name of a file or folder says that it is not finished.
pub fn is_unfinished(name: &str) -> bool {
    name.starts_with(UNFINISHED)
}

/// Flushes every file and folder under `folder`.
fn sync_tree(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::options()
                .write(true)
                .open(&path)
                .and_then(|file| file.sync_all())
                .map_err(Error::io("write", &path))?;
        }
    }
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> Result<()> {
    staging::sync_folder(folder).map_err(Error::io("write", folder))
}

/// The sizes of all files in a folder; what cannot be read counts nothing.
pub(crate) fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => folder_bytes(&entry.path()),
        _ => fs::metadata(entry.path()).map_or(0, |metadata| metadata.len()),
    };
    entries.flatten().map(bytes).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_hash_that_the_standard_gives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&path).unwrap(), expected);
        check_sha256(&path, expected).unwrap();
        fs::write(&path, "abd").unwrap();
        let message = check_sha256(&path, expected).unwrap_err().to_string();
        assert!(message.contains("abc'") && message.contains(expected), "{message}");
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/ref");
        write(&path, b"1").unwrap();
        write(&path, b"2").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_content_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        write(&path, b"old").unwrap();
        let full = |file: &mut dyn Write| {
            file.write_all(b"half of the new")?;
            Err(std::io::ErrorKind::StorageFull.into())
        };
        let message = write_with(&path, full).unwrap_err().to_string();
        assert!(message.contains("checkpoint") && message.contains("free some space"), "{message}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_staging_folder_appears_whole_or_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let staging = Staging::beside(&target).unwrap();
        fs::write(staging.path().join("a"), "1").unwrap();
        drop(staging);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        let staging = Staging::beside(&target).unwrap();
        create_folder(&staging.path().join("sub")).unwrap();
        fs::write(staging.path().join("sub/a"), "1").unwrap();
        assert!(!target.exists());
        staging.publish().unwrap();
        assert_eq!(fs::read(target.join("sub/a")).unwrap(), b"1");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        // A name that is taken is not overwritten.
        let staging = Staging::beside(&target).unwrap();
        staging.publish().unwrap_err();
        assert_eq!(fs::read(target.join("sub/a")).unwrap(), b"1");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_dead_process_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let dead = Staging::beside(&target).unwrap();
        fs::write(dead.path().join("half"), "1").unwrap();
        let left = dead.folder.keep();
        let other = Staging::beside(&folder.path().join("target.2")).unwrap();
        let staging = Staging::beside(&target).unwrap();
        assert!(!left.exists());
        assert!(other.path().exists() && staging.path().exists());
    }

    #[test]
    fn a_folder_is_removed_and_a_missing_one_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let doomed = folder.path().join("doomed");
        create_folder(&doomed.join("sub")).unwrap();
        remove_folder(&doomed).unwrap();
        remove_folder(&doomed).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn errors_say_what_to_do() {
        let full = Error::io("write", Path::new("/x"))(std::io::ErrorKind::StorageFull.into()).to_string();
        assert!(full.contains("/x") && full.contains("free some space"), "{full}");
        let denied = Error::io("write", Path::new("/x"))(std::io::ErrorKind::PermissionDenied.into()).to_string();
        assert!(denied.contains("DEBUT_HOME"), "{denied}");
    }
}
