//! What the machine has: instructions, Python, space on disk, folders that can be written.
//!
//! Takes paths; asks the system, never for long.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::inference::vnni;

/// A program that has not answered by then hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which Python with pip there is.
///
/// # Errors
/// What is missing, as a sentence.
pub(super) fn python() -> Result<String, String> {
    let mut missing = "there is no Python".to_string();
    for program in ["python3", "python"] {
        let Some(version) = answer(program, &["--version"]) else { continue };
        match answer(program, &["-m", "pip", "--version"]) {
            // pip says where it lies and for which Python it is, too.
            Some(pip) => return Ok(format!("{version} with {}", first_words(&pip, 2))),
            None => missing = format!("{version} has no pip"),
        }
    }
    Err(missing)
}

/// Whether products in eight bits can be faster here.
pub(super) fn int8() -> &'static str {
    if vnni::is_here() {
        "the processor multiplies bytes; compress(to => 'int8') measures how much faster a model becomes"
    } else {
        "the processor has no VNNI instructions: products of bytes gain nothing here"
    }
}

/// Bytes that can be written to the disk that `path` is or would be on.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let place = existing(path)?;
    let table = answer("df", &["-Pk", place.to_str()?])?;
    // POSIX: one line a file system; its fourth column is what is available, in units of 1024 bytes.
    let kilobytes: u64 = table.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Whether files can be made in `path`, or in the folder where it would be made. Leaves nothing behind.
///
/// # Errors
/// Why not.
pub(super) fn writable(path: &Path) -> io::Result<()> {
    let place = existing(path).ok_or(io::ErrorKind::NotFound)?;
    if !place.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    tempfile::tempfile_in(place).map(drop)
}

/// The path itself, or the nearest folder above it that is there.
fn existing(path: &Path) -> Option<&Path> {
    let above = path.ancestors().find(|ancestor| ancestor.exists());
    above.map(|place| if place.as_os_str().is_empty() { Path::new(".") } else { place })
}

/// What a program prints, if it succeeds in time.
fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody listens any more when it took too long.
        let _ = sender.send(command.output());
    });
    let output: Output = receiver.recv_timeout(PATIENCE).ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}

fn first_words(text: &str, count: usize) -> String {
    text.split_whitespace().take(count).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fetch::files;

    #[test]
    fn a_folder_that_is_not_there_lies_in_one_that_is() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        assert_eq!(existing(&below), Some(folder.path()));
        assert!(writable(&below).is_ok());
        fs::write(folder.path().join("a"), "1234").unwrap();
        assert!(writable(&below).is_err());
        assert_eq!(files::folder_bytes(folder.path()), 4);
    }

    #[cfg(unix)]
    #[test]
    fn the_disk_has_a_size() {
        assert!(free_bytes(Path::new("/no/such/folder")).is_some());
    }

    #[test]
    fn a_program_that_is_not_there_says_nothing() {
        assert_eq!(answer("no-such-program", &[]), None);
    }
}
