//! Versions that training makes: takes the version that it began with and what writes the new graph, gives a published
//! version, or nothing where the new one is not wanted.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use debut_udfs::model::TextTower;

use super::import::{GRAPH, KEPT, KEPT_OF_PIPELINE, fingerprint, sha256_of, towers, write_manifest};
use super::manifest::Manifest;
use super::name::Name;
use super::{Error, ModelVersion, PREPROCESSOR, Registry, Result, TEXT_TOWER, TOKENIZER, preprocessing};
use crate::fetch::{Progress, files};

/// A version under construction: in a folder that nobody sees yet.
#[derive(Debug)]
pub struct Candidate {
    folder: PathBuf,
    /// What will be written beside it; the hashes are filled in when it is complete.
    pub manifest: Manifest,
    /// Files beside the graph that determine results too, relative to the version's folder.
    pub numbers: Vec<PathBuf>,
    /// The tower for texts, of a version that has one.
    texts: Option<Box<Self>>,
}

impl Candidate {
    /// Where its graph belongs, with the weights beside it.
    pub fn graph(&self) -> PathBuf {
        self.folder.join(GRAPH)
    }

    /// The version's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// It as a version of `name`, once it is complete.
    pub fn version(&self, name: &str) -> ModelVersion {
        let (name, version, path) = (name.to_owned(), "candidate".to_owned(), self.folder.clone());
        ModelVersion { name, version, path, manifest: self.manifest.clone() }
    }

    /// Makes it one of two towers that `tower` says how to compare; gives the one for texts, in which `base` is trained. Its graph
    /// is still to be written.
    ///
    /// # Errors
    /// The file system's.
    pub fn add_text_tower(&mut self, base: &ModelVersion, tower: TextTower) -> Result<&mut Self> {
        let folder = self.folder.join(TEXT_TOWER);
        files::create_folder(&folder)?;
        keep_files(base, &folder)?;
        self.manifest.text_tower = Some(tower);
        self.manifest.max_tokens = base.manifest.max_tokens;
        let Manifest { source, created_at, training, .. } = self.manifest.clone();
        let manifest = Manifest { graph: GRAPH.to_owned(), source, created_at, training, ..base.manifest.clone() };
        let texts = Self { folder, manifest, numbers: Vec::new(), texts: None };
        files::create_folder(texts.graph().parent().unwrap_or(&texts.folder))?;
        Ok(self.texts.insert(Box::new(texts)))
    }

    /// Takes over the graph of `base` as it is.
    ///
    /// # Errors
    /// The file system's.
    pub fn copy_graph(&self, base: &ModelVersion) -> Result<()> {
        link_graph(base, &self.graph())
    }

    /// Keeps all of `base` in `folder` within the version's, so that the version outlives it. `max_tokens` is the longest
    /// input that it then reads.
    ///
    /// # Errors
    /// The file system's.
    pub fn keep_base(&self, base: &ModelVersion, folder: &Path, max_tokens: usize) -> Result<()> {
        let graph = folder.join(GRAPH);
        files::create_folder(graph.parent().unwrap_or(folder))?;
        link_graph(base, &graph)?;
        keep_files(base, folder)?;
        let manifest = Manifest { graph: GRAPH.to_owned(), max_tokens, ..base.manifest.clone().first_tower() };
        write_manifest(&manifest, folder)
    }

    /// Hashes what was written.
    fn complete(&mut self) -> Result<()> {
        let folder = self.folder.join(GRAPH);
        let folder = folder.parent().unwrap_or(&self.folder);
        let mut weights = Vec::new();
        for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
            weights.push(entry.map_err(Error::io("list", folder))?.path());
        }
        weights.extend(self.numbers.iter().map(|name| self.folder.join(name)));
        weights.sort();
        // Names within the version: where it is built has no part in what it is.
        self.manifest.weights_sha256 = sha256_of(&weights, &[folder, &self.folder])?;
        let read = |name: &str| {
            let path = self.folder.join(name);
            fs::read(&path).map_err(Error::io("read", &path))
        };
        let config = if self.folder.join(KEPT[0]).is_file() { read(KEPT[0])? } else { Vec::new() };
        let preprocessing = preprocessing(self.manifest.modality).iter().map(|name| read(name));
        let preprocessing = preprocessing.collect::<Result<Vec<_>>>()?.concat();
        self.manifest.fingerprint = fingerprint(&self.manifest, &preprocessing, &config);
        if let (Some(texts), Some(tower)) = (&mut self.texts, self.manifest.text_tower) {
            texts.complete()?;
            self.manifest.fingerprint = towers::fingerprint(&self.manifest, &texts.manifest, tower);
        }
        write_manifest(&self.manifest, &self.folder)
    }
}

/// Copies what stands beside the graph of `base` into `folder`.
pub(super) fn keep_files(base: &ModelVersion, folder: &Path) -> Result<()> {
    for kept in [TOKENIZER, PREPROCESSOR].iter().chain(&KEPT).chain(&KEPT_OF_PIPELINE) {
        let path = base.path.join(kept);
        if path.is_file() {
            files::copy(&path, &folder.join(kept))?;
        }
    }
    Ok(())
}

/// Puts the graph of `base`, with the weights beside it, at `graph`: as links where the file system has them.
fn link_graph(base: &ModelVersion, graph: &Path) -> Result<()> {
    let (from, to) = (base.graph(), graph.parent().unwrap_or(graph));
    let folder = from.parent().unwrap_or(&base.path);
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        let Some(name) = path.file_name().filter(|_| path.is_file()) else { continue };
        let name = if path == from { graph.file_name().unwrap_or(name) } else { name };
        let target = to.join(name);
        if fs::hard_link(&path, &target).is_err() {
            files::copy(&path, &target)?;
        }
    }
    Ok(())
}

impl Registry {
    /// The version whose files `folder`, within that of `version`, keeps.
    ///
    /// # Errors
    /// [`Error::Damaged`] where it is not whole.
    pub fn kept_within(&self, version: &ModelVersion, folder: &str) -> Result<ModelVersion> {
        Self::read_in(version.path.join(folder), version.name.clone(), version.version.clone())
    }

    /// Builds a version of `name` from `base` and makes it the one in use if that is wanted.
    ///
    /// `build` is given a candidate with the base's tokenizer and manifest; it writes the graph and changes the
    /// manifest. Then `wanted` is asked, with the complete candidate and the version of `name` that is in use. All of it
    /// happens under the model's lock, so that the version in use is still that when the new one takes its place.
    /// Content that is a version already is not written again: that version becomes the one in use.
    ///
    /// # Errors
    /// The name is none, `build` or `wanted` fail, or the file system does. Nothing is left behind then.
    pub fn publish_trained<E: From<Error>>(
        &self,
        name: &str,
        base: &ModelVersion,
        progress: &Progress<'_>,
        build: impl FnOnce(&mut Candidate) -> Result<(), E>,
        wanted: impl FnOnce(&Candidate, Option<&ModelVersion>) -> Result<bool, E>,
    ) -> Result<Option<ModelVersion>, E> {
        let name: Name = name.parse()?;
        let _lock = self.lock(&name, progress)?;
        let staging = self.stage(&name)?;
        // One tower that is trained alone leaves the space that two share.
        let manifest = base.manifest.clone().first_tower();
        let folder = staging.path().to_path_buf();
        let mut candidate = Candidate { folder, manifest, numbers: Vec::new(), texts: None };
        candidate.manifest.graph = GRAPH.to_owned();
        // What a recommender knows beside its encoder is not handed on.
        let Manifest { recommender, trained_until, image_model, .. } = &mut candidate.manifest;
        (*recommender, *trained_until, *image_model) = (None, None, None);
        candidate.manifest.created_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        files::create_folder(candidate.graph().parent().unwrap_or(staging.path())).map_err(Error::from)?;
        keep_files(base, staging.path())?;
        build(&mut candidate)?;
        candidate.complete()?;
        let in_use = self.readable(&name);
        if !wanted(&candidate, in_use.as_ref())? {
            return Ok(None);
        }
        if let Some(same) = self.same(&name, &candidate.manifest.fingerprint)? {
            return Ok(Some(same));
        }
        Ok(Some(self.publish(&name, staging, &candidate.manifest.fingerprint)?))
    }

    /// The version of `name` that is in use, if there is one.
    ///
    /// # Errors
    /// The name is none.
    pub fn in_use(&self, name: &str) -> Result<Option<ModelVersion>> {
        Ok(self.readable(&name.parse()?))
    }

    /// The version in use; one that is damaged is no reason to keep a whole one back.
    fn readable(&self, name: &Name) -> Option<ModelVersion> {
        self.read(name, self.current(name)?).ok()
    }
}
