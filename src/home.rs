//! Where Debut keeps what it downloads and imports.
//!
//! Takes nothing but the environment; gives the folders that `fetch`, `registry` and `inference` use.

use std::env;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use sha2::{Digest, Sha256};

/// The root folder and the names of what lies under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// `DEBUT_HOME` if it is set, else `$XDG_DATA_HOME/debut`, else `~/.local/share/debut`, else `./.debut`.
    pub fn from_env() -> Self {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = set("DEBUT_HOME")
            .or_else(|| set("XDG_DATA_HOME").map(|dir| dir.join("debut")))
            .or_else(|| env::home_dir().map(|dir| dir.join(".local/share/debut")))
            .unwrap_or_else(|| PathBuf::from(".debut"));
        Self::at(root)
    }

    /// A home in a folder of the caller's choice.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself. It may not exist yet.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Model versions, in the layout of the Hugging Face cache.
    pub fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    /// The numbers that versions of models have had, one file for each name; never deleted, so that no number is given
    /// to something else.
    pub fn versions(&self) -> PathBuf {
        self.root.join("versions")
    }

    /// Downloaded runtime libraries, one folder per package and version.
    pub fn runtimes(&self) -> PathBuf {
        self.root.join("runtimes")
    }

    /// Training runs, one folder each.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Evaluations, one file each.
    pub fn evaluations(&self) -> PathBuf {
        self.root.join("evaluations")
    }

    /// Vectors that models made, a folder for each model.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Runs of jobs: one folder a job, one file a run.
    pub fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    /// Lock files; a lock is never deleted, so that two processes always lock the same inode.
    pub fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }
}

/// The name of what is kept under the instant of its making: `20261124-222308-4be1c7`. Takes seconds since 1970, and a text
/// that tells apart what is made in the same second. Names sort as their instants, in UTC.
pub fn dated_id(seconds: u64, seed: &str) -> String {
    let instant = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    // What no calendar can name is still the number that was given.
    let instant = instant.map_or_else(|| seconds.to_string(), |instant| instant.format("%Y%m%d-%H%M%S").to_string());
    let digest = Sha256::digest(seed);
    format!("{instant}-{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dated_ids_sort_as_their_instants_and_differ_within_a_second() {
        // As `date -u -d @N` and `printf first | sha256sum` have them.
        assert_eq!(dated_id(1_735_689_599, "first"), "20241231-235959-a7937b");
        assert_eq!(dated_id(1_735_689_600, "first"), "20250101-000000-a7937b");
        assert_ne!(dated_id(1_735_689_599, "second"), "20241231-235959-a7937b");
    }
}
