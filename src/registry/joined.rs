//! Versions that read a text and a picture: takes a version that reads texts and one that reads pictures, gives one that reads
//! both, for as long as it is used. Training starts from it like from any other; what it publishes lasts.

use std::path::Path;

use debut_udfs::model::{Modality, Task};
use sha2::{Digest, Sha256};

use super::import::GRAPH;
use super::manifest::{GraphOutput, Manifest};
use super::trained::keep_files;
use super::{Error, ModelVersion, PREPROCESSOR, Registry, Result};
use crate::fetch::files;
use crate::fetch::scratch::Scratch;

/// A version whose folder goes when it is dropped.
#[derive(Debug)]
pub struct Joined {
    /// The version. No name finds it.
    pub version: ModelVersion,
    _folder: Scratch,
}

impl Registry {
    /// The version that gives the vectors of `text` and `image` side by side, as `output` of the graph that `write` writes to
    /// a file.
    ///
    /// # Errors
    /// What `write` says, or the file system.
    pub fn join<E: From<Error>>(
        &self,
        text: &ModelVersion,
        image: &ModelVersion,
        output: GraphOutput,
        write: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Joined, E> {
        let scratch = Scratch::within(&self.home.models(), "joined").map_err(Error::from)?;
        let folder = scratch.path();
        let graph = folder.join(GRAPH);
        files::create_folder(graph.parent().unwrap_or(folder)).map_err(Error::from)?;
        write(&graph)?;
        keep_files(text, folder)?;
        files::copy(&image.path.join(PREPROCESSOR), &folder.join(PREPROCESSOR)).map_err(Error::from)?;
        let of_both = |what: fn(&Manifest) -> &str| {
            let mut hasher = Sha256::new();
            [text, image].iter().for_each(|part| hasher.update(what(&part.manifest).as_bytes()));
            files::hexadecimal(&hasher.finalize()[..8])
        };
        let manifest = Manifest {
            task: Task::Embedding,
            modality: Modality::TextAndBytes,
            text_tower: None,
            dimension: text.manifest.dimension + image.manifest.dimension,
            labels: Vec::new(),
            recommender: None,
            trained_until: None,
            image_model: None,
            training: None,
            architecture: format!("{}, {}", text.manifest.architecture, image.manifest.architecture),
            graph: GRAPH.to_owned(),
            output,
            picture: image.manifest.picture,
            source: format!("{} with {}", text.reference(), image.reference()),
            weights_sha256: of_both(|manifest| &manifest.weights_sha256),
            fingerprint: of_both(|manifest| &manifest.fingerprint),
            ..text.manifest.clone()
        };
        let version = ModelVersion {
            // What people are told of it, together with the version behind it.
            name: format!("{} with {}", text.reference(), image.name),
            version: image.version.clone(),
            path: folder.to_path_buf(),
            manifest,
        };
        Ok(Joined { version, _folder: scratch })
    }
}
