//! What made a version, and which parts it has: `manifest.json`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, Result};

/// The name of the file.
pub(super) const FILE: &str = "manifest.json";
/// Changes with the way rows are compared.
const FORMAT: u32 = 1;

/// Where it is said what versions are, for the folder that is kept beside a table.
pub(super) fn folders(root: &Path) -> PathBuf {
    root.join("manifests")
}

/// Where it is said what one version is.
pub(super) fn folder(root: &Path, version: u64) -> PathBuf {
    folders(root).join(version.to_string())
}

/// What makes the rows of a table of its source: where it changed, every row is made anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recipe {
    format: u32,
    /// The digest of the expressions between the rows that are compared and those of the table.
    /// Empty where all rows of the table are compared.
    query: String,
    /// The digest of the columns of the table.
    columns: String,
    /// The column that names a row.
    key: String,
    /// The fingerprints of the models that run, by `name@version`.
    models: BTreeMap<String, String>,
}

impl Recipe {
    /// The recipe of these expressions, columns, key and models.
    pub(crate) fn new(query: String, columns: String, key: String, models: BTreeMap<String, String>) -> Self {
        Self { format: FORMAT, query, columns, key, models }
    }

    /// The column that names a row.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// As text, for digests.
    pub(crate) fn meaning(&self) -> String {
        // Names of models are not what they compute.
        let models: Vec<_> = self.models.values().map(String::as_str).collect();
        format!("{} {} {} {} {}", self.format, self.query, self.columns, self.key, models.join(" "))
    }

    /// Why nothing of a version with the recipe `old` can be kept.
    pub(super) fn reason(&self, old: &Self) -> Option<String> {
        if self.meaning() == old.meaning() {
            return None;
        }
        let compared_alike = self.query.is_empty() == old.query.is_empty();
        if compared_alike && !self.models.values().eq(old.models.values()) {
            let names = |recipe: &Self| match recipe.models.is_empty() {
                true => "none".to_owned(),
                false => recipe.models.keys().cloned().collect::<Vec<_>>().join(", "),
            };
            return Some(format!("the model changed: {} instead of {}", names(self), names(old)));
        }
        let changed = if self.key != old.key {
            "the key changed"
        } else if self.columns != old.columns {
            "the columns changed"
        } else if self.query != old.query {
            "the query changed"
        } else {
            "another version of Debut made the table"
        };
        Some(changed.to_owned())
    }
}

/// One part of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartInfo {
    /// The name of its file.
    pub(crate) name: String,
    /// Its rows.
    pub(crate) rows: u64,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// What made it.
    pub(crate) recipe: Recipe,
    /// Its parts; the state names them by their place here.
    pub(crate) parts: Vec<PartInfo>,
}

impl Manifest {
    /// The manifest at `path`.
    ///
    /// # Errors
    /// It is not there, or no manifest.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).map_err(Error::file("read", path))?;
        serde_json::from_slice(&text).map_err(std::io::Error::from).map_err(Error::file("read", path))
    }

    /// Writes the manifest to the disk, at `path`.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from);
        let written = text.and_then(|text| {
            let mut file = File::create(path)?;
            file.write_all(&text)?;
            file.sync_all()
        });
        written.map_err(Error::file("write", path))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn recipe(query: &str, model: (&str, &str)) -> Recipe {
        let models = BTreeMap::from([(model.0.to_owned(), model.1.to_owned())]);
        Recipe::new(query.to_owned(), "c".to_owned(), "id".to_owned(), models)
    }

    #[test]
    fn what_changed_is_said() {
        let old = recipe("q", ("m@1", "abc"));
        assert_eq!(recipe("q", ("other@7", "abc")).reason(&old), None, "the same model of another name");
        assert_eq!(recipe("p", ("m@1", "abc")).reason(&old).unwrap(), "the query changed");
        assert_eq!(recipe("q", ("m@2", "def")).reason(&old).unwrap(), "the model changed: m@2 instead of m@1");
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        let parts = vec![PartInfo { name: "part-1-0.parquet".to_owned(), rows: 3 }];
        let manifest = Manifest { recipe: recipe("q", ("m@1", "abc")), parts };
        manifest.write(&path).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), manifest);
        fs::write(&path, "{}").unwrap();
        assert!(Manifest::read(&path).unwrap_err().to_string().contains("manifest.json"));
    }
}
