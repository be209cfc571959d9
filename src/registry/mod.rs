//! Models and versions on disk: takes names, gives what is known of them and where their files are.
//!
//! # Layout
//! - [`name`]: what may name a model
//! - [`manifest`]: what is written beside a version
//! - [`import`](mod@import): from folders, files and Hugging Face to a version
//! - [`default_model`]: the models that come by themselves
//! - `pictures`: what is done to pictures before a model reads them
//! - `numbers`: which number a new version has
//! - `trained`: from a version to a better one; [`joined`]: from two to one that reads what both read
//!
//! On disk it is the layout of the cache of Hugging Face, under [`Home::models`]:
//! ```text
//! models--owner--name/refs/main        the version in use
//! models--owner--name/snapshots/1/     debut.json, tokenizer.json or preprocessor_config.json, onnx/model.onnx, ...
//! ```
//! Versions count from 1 and are never changed: a new one is built beside, its number is written down, it is renamed into
//! place, and then `refs/main` is replaced, all under the model's lock. Whoever reads needs no lock. A process that dies
//! between two of these steps leaves what there was before, or a whole version that is not in use; the first version of
//! a model is in use without `refs/main`.

pub mod default_model;
mod error;
pub mod import;
pub(crate) mod joined;
pub mod manifest;
pub mod name;
mod numbers;
pub(crate) mod pictures;
mod trained;

use std::fs;
use std::path::{Path, PathBuf};

use debut_udfs::model::{Modality, ModelInfo, Task};

use crate::fetch::Progress;
use crate::fetch::files::{self, Staging};
use crate::fetch::lock::Lock;
use crate::home::Home;

pub use error::{Error, Result};
pub use import::{ImportOptions, Tower};
use manifest::Manifest;
use name::{Name, Reference, closest, parse_version};
pub use trained::Candidate;

/// The manifest's file in the folder of a version.
const MANIFEST: &str = "debut.json";
/// The tokenizer's file in the folder of a version.
const TOKENIZER: &str = "tokenizer.json";
/// The file in the folder of a version that says how pictures are made ready, in place of the tokenizer.
pub(crate) const PREPROCESSOR: &str = "preprocessor_config.json";

/// The folder in the folder of a version that holds its tower for texts, a version too.
pub(crate) const TEXT_TOWER: &str = "text";

/// The models of a [`Home`]. Holds nothing but the path: what other processes do is seen at once.
#[derive(Debug, Clone)]
pub struct Registry {
    home: Home,
}

/// A version of a model, with its files in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelVersion {
    /// The model's name.
    pub name: String,
    /// The version.
    pub version: String,
    /// Its folder.
    pub path: PathBuf,
    /// What was written beside it.
    pub manifest: Manifest,
}

/// A version that was found, damaged or not.
#[derive(Debug)]
pub struct Listed {
    /// The model's name.
    pub name: String,
    /// The version.
    pub version: String,
    /// Whether it is the one that the bare name means.
    pub current: bool,
    /// The version itself, or what is wrong with it.
    pub model: Result<ModelVersion>,
}

impl ModelVersion {
    /// `name@version`.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// The graph's file.
    pub fn graph(&self) -> PathBuf {
        self.path.join(&self.manifest.graph)
    }

    /// The tokenizer's file.
    pub fn tokenizer(&self) -> PathBuf {
        self.path.join(TOKENIZER)
    }

    /// The files that say how inputs are made ready: the tokenizer's, and what is done to pictures.
    pub fn preprocessing(&self) -> Vec<PathBuf> {
        preprocessing(self.manifest.modality).iter().map(|name| self.path.join(name)).collect()
    }

    /// What the planner needs to know of it.
    pub fn info(&self) -> ModelInfo {
        let Manifest {
            task,
            modality,
            text_tower,
            dimension,
            labels,
            recommender,
            trained_until,
            image_model,
            max_tokens,
            fingerprint,
            prompts,
            ..
        } = &self.manifest;
        ModelInfo {
            name: self.name.clone(),
            version: self.version.clone(),
            task: *task,
            modality: *modality,
            text_tower: *text_tower,
            dimension: *dimension,
            labels: labels.clone(),
            ids: recommender.map(Into::into),
            trained_until: *trained_until,
            image_model: image_model.clone(),
            max_tokens: *max_tokens,
            fingerprint: fingerprint.clone(),
            prompts: prompts.clone(),
        }
    }
}

impl Registry {
    /// The registry in `home`, which may not exist yet.
    pub fn open(home: &Home) -> Self {
        Self { home: home.clone() }
    }

    /// The home that it is in.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Every version of every model, by name and version; damaged ones say what is wrong.
    ///
    /// # Errors
    /// The models' folder is there but cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for name in self.names()? {
            let current = self.current(&name);
            // A folder that cannot be read has no versions that could be listed; resolving one says why.
            for version in self.versions(&name).unwrap_or_default() {
                listed.push(Listed {
                    name: name.to_string(),
                    version: version.to_string(),
                    current: current == Some(version),
                    model: self.read(&name, version),
                });
            }
        }
        Ok(listed)
    }

    /// The version that `name` or `name@version` means.
    ///
    /// # Errors
    /// [`Error::Unknown`] listing what there is, or [`Error::Damaged`].
    pub fn resolve(&self, reference: &str) -> Result<ModelVersion> {
        let Reference { name, version } = reference.parse()?;
        let versions = self.versions(&name)?;
        if versions.is_empty() {
            return Err(self.unknown(reference));
        }
        let version = match version {
            Some(version) if versions.contains(&version) => version,
            Some(_) => return Err(self.unknown(reference)),
            // Not looked for in the list, which may be older than what is in use.
            None => self.current(&name).filter(|version| self.snapshot(&name, *version).is_dir()).ok_or_else(|| {
                Error::Damaged {
                    reference: reference.to_owned(),
                    path: self.folder(&name).join("refs/main"),
                    reason: "no version in use is written there".to_owned(),
                }
            })?,
        };
        self.read(&name, version)
    }

    /// Removes a version (`name@version`) or a whole model (`name`), damaged or not. When the version in use goes, the
    /// newest that is left takes its place.
    ///
    /// # Errors
    /// [`Error::Unknown`], or the file system's.
    pub fn remove(&self, reference: &str, progress: &Progress<'_>) -> Result<()> {
        let Reference { name, version } = reference.parse()?;
        let _lock = self.lock(&name, progress)?;
        let folder = self.folder(&name);
        let versions = self.versions(&name)?;
        if versions.is_empty() || version.is_some_and(|version| !versions.contains(&version)) {
            return Err(self.unknown(reference));
        }
        self.keep_numbers(&name)?;
        let Some(version) = version else { return Ok(files::remove_folder(&folder)?) };
        match versions.iter().copied().filter(|other| *other != version).max() {
            None => return Ok(files::remove_folder(&folder)?),
            Some(newest) if self.current(&name) == Some(version) => self.set_current(&name, newest)?,
            Some(_) => {}
        }
        Ok(files::remove_folder(&self.snapshot(&name, version))?)
    }

    /// Makes a version the one in use; gives it, and the number of the one that was in use before.
    ///
    /// # Errors
    /// [`Error::Unknown`] listing what there is, [`Error::Damaged`], or the file system's. The version in use stays then.
    pub fn use_version(&self, name: &str, version: &str, progress: &Progress<'_>) -> Result<(ModelVersion, String)> {
        let name: Name = name.parse()?;
        let _lock = self.lock(&name, progress)?;
        // Read before anything is changed: a damaged version does not come into use.
        let wanted = self.resolve(&format!("{name}@{version}"))?;
        let before = self.current(&name).map_or_else(String::new, |before| before.to_string());
        if let Some(number) = parse_version(&wanted.version) {
            self.set_current(&name, number)?;
        }
        Ok((wanted, before))
    }

    /// The models that have a folder, sorted.
    fn names(&self) -> Result<Vec<Name>> {
        let mut names =
            folders(&self.home.models())?.iter().filter_map(|name| Name::of_folder(name)).collect::<Vec<_>>();
        names.sort();
        Ok(names)
    }

    /// The versions of a model, sorted; none if there is no such model.
    fn versions(&self, name: &Name) -> Result<Vec<u64>> {
        let folder = self.folder(name).join("snapshots");
        let mut versions = folders(&folder)?.iter().filter_map(|name| parse_version(name)).collect::<Vec<_>>();
        versions.sort_unstable();
        Ok(versions)
    }

    fn folder(&self, name: &Name) -> PathBuf {
        self.home.models().join(name.folder())
    }

    fn snapshot(&self, name: &Name, version: u64) -> PathBuf {
        self.folder(name).join("snapshots").join(version.to_string())
    }

    /// The lock under which a model's folder is changed.
    fn lock(&self, name: &Name, progress: &Progress<'_>) -> Result<Lock> {
        Ok(Lock::acquire(&self.home, &name.folder(), progress)?)
    }

    /// A new folder for a version of `name`. The caller holds the lock.
    fn stage(&self, name: &Name) -> Result<Staging> {
        // Beside the model and not in it: an import that fails leaves no empty model.
        Ok(Staging::beside(&self.folder(name))?)
    }

    /// Makes what was staged, with this fingerprint, a version and the one in use. The caller holds the lock.
    fn publish(&self, name: &Name, staging: Staging, fingerprint: &str) -> Result<ModelVersion> {
        let version = self.new_number(name, fingerprint)?;
        staging.publish_at(&self.snapshot(name, version))?;
        self.set_current(name, version)?;
        self.read(name, version)
    }

    fn set_current(&self, name: &Name, version: u64) -> Result<()> {
        Ok(files::write(&self.folder(name).join("refs/main"), version.to_string().as_bytes())?)
    }

    /// The version in use. Where nothing says which, it is the newest: the process that published the first one died
    /// before it could say so.
    fn current(&self, name: &Name) -> Option<u64> {
        if fs::exists(self.folder(name).join("refs/main")).is_ok_and(|exists| !exists) {
            return self.versions(name).ok()?.last().copied();
        }
        self.reference(name, "main")
    }

    fn reference(&self, name: &Name, reference: &str) -> Option<u64> {
        parse_version(fs::read_to_string(self.folder(name).join("refs").join(reference)).ok()?.trim())
    }

    /// Reads the manifest of a version and checks that its files are there.
    fn read(&self, name: &Name, version: u64) -> Result<ModelVersion> {
        Self::read_in(self.snapshot(name, version), name.to_string(), version.to_string())
    }

    /// The version in a folder.
    fn read_in(path: PathBuf, name: String, version: String) -> Result<ModelVersion> {
        let reference = format!("{name}@{version}");
        let damaged = |file: &Path, reason: String| Error::Damaged {
            reference: reference.clone(),
            path: file.to_path_buf(),
            reason,
        };
        let file = path.join(MANIFEST);
        let text = fs::read(&file).map_err(|error| damaged(&file, error.to_string()))?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| damaged(&file, format!("it is not a manifest: {error}")))?;
        let model = ModelVersion { name, version, path, manifest };
        let missing = match model.manifest.task {
            Task::Classification if model.manifest.labels.is_empty() => Some("labels"),
            Task::Recommender if model.manifest.recommender.is_none() => Some("ids"),
            _ => (model.info().width(false) == 0).then_some("dimension"),
        };
        if let Some(missing) = missing {
            return Err(damaged(&file, format!("it is a {} model without {missing}", model.manifest.task)));
        }
        if model.manifest.text_tower.is_some() {
            Self::read_in(model.path.join(TEXT_TOWER), model.name.clone(), model.version.clone())?;
        }
        for file in model.preprocessing().into_iter().chain([model.graph()]) {
            fs::metadata(&file).map_err(|error| damaged(&file, error.to_string()))?;
        }
        Ok(model)
    }

    fn unknown(&self, reference: &str) -> Error {
        let mut names = self.names().unwrap_or_default();
        names.retain(|name| self.versions(name).is_ok_and(|versions| !versions.is_empty()));
        let wanted = reference.parse::<Reference>().ok();
        let mut known = Vec::new();
        for name in &names {
            let versions = self.versions(name).unwrap_or_default();
            // Where the model is right and the version is not, the versions are what helps.
            if wanted.as_ref().is_some_and(|wanted| wanted.name == *name) {
                known.extend(versions.iter().map(|version| format!("{name}@{version}")));
            } else {
                known.push(name.to_string());
            }
        }
        let bare = wanted.as_ref().map_or(reference, |wanted| wanted.name.as_str());
        let others = names.iter().map(Name::as_str).filter(|name| *name != bare);
        let closest = closest(bare, others).map(str::to_owned);
        Error::Unknown { reference: reference.to_owned(), known, closest }
    }
}

/// The files in the folder of a version that say how inputs of a modality are made ready.
fn preprocessing(modality: Modality) -> &'static [&'static str] {
    match modality {
        Modality::Text => &[TOKENIZER],
        Modality::Bytes => &[PREPROCESSOR],
        Modality::TextAndBytes => &[TOKENIZER, PREPROCESSOR],
    }
}

/// Names of the folders in a folder; none if it does not exist.
fn folders(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io("list", folder))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", folder))?;
        // Links count: a user may keep a model on another disk.
        if entry.path().is_dir()
            && let Ok(name) = entry.file_name().into_string()
            && !files::is_unfinished(&name)
        {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
