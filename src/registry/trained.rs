//! Versions that training makes: takes the version that it began with and what writes the new graph, gives a published
//! version, or nothing where the new one is not wanted. Called by `train::publish`.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::import::{GRAPH, KEPT, KEPT_OF_PIPELINE, fingerprint, sha256_of, write_manifest};
use super::manifest::Manifest;
use super::name::Name;
use super::{Error, ModelVersion, Registry, Result, TOKENIZER};
use crate::fetch::{Progress, files};

/// A version under construction: in a folder that nobody sees yet.
#[derive(Debug)]
pub struct Candidate {
    folder: PathBuf,
    /// What will be written beside it; the hashes are filled in when it is complete.
    pub manifest: Manifest,
}

impl Candidate {
    /// Where its graph belongs, with the weights beside it.
    pub fn graph(&self) -> PathBuf {
        self.folder.join(GRAPH)
    }

    /// Hashes what was written.
    fn complete(&mut self) -> Result<()> {
        let folder = self.folder.join(GRAPH);
        let folder = folder.parent().unwrap_or(&self.folder);
        let mut weights = Vec::new();
        for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
            weights.push(entry.map_err(Error::io("list", folder))?.path());
        }
        weights.sort();
        self.manifest.weights_sha256 = sha256_of(&weights, folder)?;
        let read = |name: &str| {
            let path = self.folder.join(name);
            fs::read(&path).map_err(Error::io("read", &path))
        };
        let config = if self.folder.join(KEPT[0]).is_file() { read(KEPT[0])? } else { Vec::new() };
        self.manifest.fingerprint = fingerprint(&self.manifest, &read(TOKENIZER)?, &config);
        write_manifest(&self.manifest, &self.folder)
    }
}

impl Registry {
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
        let mut candidate = Candidate { folder: staging.path().to_path_buf(), manifest: base.manifest.clone() };
        candidate.manifest.graph = GRAPH.to_owned();
        candidate.manifest.created_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        files::create_folder(candidate.graph().parent().unwrap_or(staging.path())).map_err(Error::from)?;
        for kept in [TOKENIZER].iter().chain(&KEPT).chain(&KEPT_OF_PIPELINE) {
            let path = base.path.join(kept);
            if path.is_file() {
                files::copy(&path, &staging.path().join(kept)).map_err(Error::from)?;
            }
        }
        build(&mut candidate)?;
        candidate.complete()?;
        let in_use = self.readable(&name);
        if !wanted(&candidate, in_use.as_ref())? {
            return Ok(None);
        }
        if let Some(same) = self.same(&name, &candidate.manifest.fingerprint)? {
            return Ok(Some(same));
        }
        Ok(Some(self.publish(&name, staging)?))
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
