//! Which runs are runs of the same job: takes the path of a file of statements; gives the name under which its lock and its
//! records are kept.
//!
//! A job is its file, however the path to it is written. The parameters do not count: runs of one file with different
//! parameters do not overlap either, because they may train the same models and write the same folders.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::fetch::files::hexadecimal;

/// Characters of the file's name in the key.
const NAMED: usize = 40;

/// A file of statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    path: PathBuf,
    key: String,
}

impl Job {
    /// The job of this file.
    ///
    /// # Errors
    /// There is no such file.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let path = std::fs::canonicalize(path)?;
        let digest = hexadecimal(&Sha256::digest(path.as_os_str().as_encoded_bytes()));
        let key = format!("{}-{}", name(&path), &digest[..12]);
        Ok(Self { path, key })
    }

    /// The file, absolute and without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the file without its ending, in characters that file and unit names may have.
    pub fn name(&self) -> String {
        name(&self.path)
    }

    /// The name of the job's folder and lock: it begins as the file does, and differs where the paths differ.
    pub fn key(&self) -> &str {
        &self.key
    }
}

fn name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    stem.chars().take(NAMED).map(plain).collect()
}
