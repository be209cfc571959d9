//! Stdout, or a file that appears whole or not at all.
//!
//! Takes bytes; gives them to stdout as they come, or to a file in a hidden folder beside the wanted one, whose place it takes
//! at the end.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Stdout, Write};
use std::path::{Path, PathBuf};

use crate::cli::error::{CliError, Result};
use crate::staging::Staging;

/// Where bytes go.
#[derive(Debug)]
pub(in crate::cli) struct Destination {
    target: Target,
    /// Bytes that were given to it.
    written: u64,
    /// Set when a pipe has lost its reader: the formats' writers turn that into errors of many kinds.
    closed: bool,
}

#[derive(Debug)]
enum Target {
    Stdout(BufWriter<Stdout>),
    /// A file that is no regular one, such as a pipe: there is nothing to put in its place.
    Direct(BufWriter<File>),
    Beside {
        file: BufWriter<File>,
        staging: Staging,
        path: PathBuf,
    },
}

impl Destination {
    /// Stdout, buffered between batches.
    pub(super) fn stdout() -> Self {
        Self { target: Target::Stdout(BufWriter::with_capacity(1 << 16, io::stdout())), written: 0, closed: false }
    }

    /// A file at `path`; what is there now stays until [`Self::commit`].
    ///
    /// # Errors
    /// No file can be made there.
    pub(in crate::cli) fn file(path: &Path) -> Result<Self> {
        let failed = |source| CliError::File { action: "write", path: path.to_path_buf(), source };
        // A link keeps pointing at the file that is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let existing = match fs::metadata(&path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let target = match existing {
            Some(metadata) if metadata.is_dir() => return Err(failed(ErrorKind::IsADirectory.into())),
            Some(metadata) if !metadata.is_file() => {
                Target::Direct(BufWriter::new(File::options().write(true).open(&path).map_err(failed)?))
            }
            _ => {
                let staging = Staging::beside(&path).map_err(failed)?;
                let file = File::create_new(staging.path(path.file_name().unwrap_or_default())).map_err(failed)?;
                Target::Beside { file: BufWriter::with_capacity(1 << 16, file), staging, path }
            }
        };
        Ok(Self { target, written: 0, closed: false })
    }

    /// Whether a person looks at it.
    pub(super) fn is_terminal(&self) -> bool {
        matches!(self.target, Target::Stdout(_)) && io::stdout().is_terminal()
    }

    /// Bytes that were given to it, those that still wait to be written included.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether who read it has gone.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Ends it: the file is on disk under its name, or nothing has changed.
    ///
    /// # Errors
    /// The last bytes or the file's name could not be written.
    pub(in crate::cli) fn commit(self) -> Result<()> {
        match self.target {
            Target::Stdout(mut stdout) => stdout.flush().map_err(|error| match error.kind() {
                ErrorKind::BrokenPipe => CliError::Closed,
                _ => CliError::File { action: "write", path: "stdout".into(), source: error },
            }),
            Target::Direct(mut file) => file.flush().map_err(CliError::part),
            Target::Beside { file, staging, path } => {
                let written = file.into_inner().map_err(io::IntoInnerError::into_error);
                let published = written.and_then(|_| staging.publish(&path));
                published.map_err(|source| CliError::File { action: "write", path, source })
            }
        }
    }

    fn inner(&mut self) -> &mut dyn Write {
        match &mut self.target {
            Target::Stdout(stdout) => stdout,
            Target::Direct(file) => file,
            Target::Beside { file, .. } => file,
        }
    }

    fn watch<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if matches!(&result, Err(error) if error.kind() == ErrorKind::BrokenPipe) {
            self.closed = true;
        }
        result
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner().write(bytes);
        self.written += *written.as_ref().unwrap_or(&0) as u64;
        self.watch(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.inner().flush();
        self.watch(flushed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_appears_at_the_end_or_never() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "old").unwrap();
        let mut dropped = Destination::file(&path).unwrap();
        dropped.write_all(b"half").unwrap();
        drop(dropped);
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names(folder.path()).len()), ("old", 1));
        let mut whole = Destination::file(&path).unwrap();
        whole.write_all(b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        whole.commit().unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names(folder.path()).len()), ("new", 1));
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Destination::file(folder.path()).is_err());
        let missing = Destination::file(&folder.path().join("no/such")).unwrap_err();
        assert!(missing.to_string().contains("no/such"), "{missing}");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_stay() {
        use std::fs::Permissions;
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("out"), folder.path().join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        symlink(&path, &link).unwrap();
        Destination::file(&link).unwrap().commit().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }
}
