//! What a model's vectors depend on: takes a version on disk and where it runs, gives 32 bytes that differ when a vector may.
//!
//! The files themselves are hashed and not what was written about them at import, so that a file that was changed in place
//! is another model. That is done once in a process for each file, as long as its size and its time stay.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use super::segment::VERSION;
use crate::inference::Error;
use crate::inference::runtime::Target;
use crate::registry::ModelVersion;

/// Goes up when Debut itself begins to make other vectors of the same files: tokenizing, batching, fusing, pooling.
const SCORING: u32 = 1;

type Hashed = HashMap<PathBuf, (u64, Option<SystemTime>, [u8; 32])>;

static HASHED: LazyLock<Mutex<Hashed>> = LazyLock::new(Mutex::default);

/// The identity of `version` on `target` under the runtime of version `runtime`.
///
/// # Errors
/// A file of the model is gone or cannot be read.
pub(crate) fn identity(version: &ModelVersion, target: &Target, runtime: &str) -> Result<[u8; 32], Error> {
    let manifest = &version.manifest;
    let device = match target {
        Target::Cpu => "cpu",
        Target::Cuda { .. } => "cuda",
    };
    let settings = format!(
        "{VERSION} {SCORING} {device} {runtime} {:?} {:?} {:?} {:?} {} {}",
        manifest.task, manifest.modality, manifest.output, manifest.pooling, manifest.dimension, manifest.max_tokens
    );
    let vanished = |path: &Path| {
        let (model, path) = (version.reference(), path.to_path_buf());
        move |source| Error::Vanished { model, path, source }
    };
    let mut hasher = blake3::Hasher::new();
    add(&mut hasher, settings.as_bytes());
    for path in version.preprocessing() {
        add(&mut hasher, &hash(&path).map_err(vanished(&path))?);
    }
    // Weights that are not in the graph's own file lie beside it.
    let graph = version.graph();
    let folder = graph.parent().unwrap_or(Path::new("."));
    let mut files = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>())
        .map_err(vanished(&graph))?;
    files.retain(|path| path.is_file());
    files.sort();
    if !files.contains(&graph) {
        return Err(vanished(&graph)(io::ErrorKind::NotFound.into()));
    }
    for path in files {
        add(&mut hasher, path.file_name().unwrap_or_default().as_encoded_bytes());
        add(&mut hasher, &hash(&path).map_err(vanished(&path))?);
    }
    Ok(*hasher.finalize().as_bytes())
}

/// Adds a part with its length, so that no two lists of parts look the same.
fn add(hasher: &mut blake3::Hasher, part: &[u8]) {
    hasher.update(&(part.len() as u64).to_le_bytes());
    hasher.update(part);
}

fn hash(path: &Path) -> io::Result<[u8; 32]> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let state = (metadata.len(), metadata.modified().ok());
    let hashed = || HASHED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((length, modified, hash)) = hashed().get(path)
        && (*length, *modified) == state
    {
        return Ok(*hash);
    }
    let hash = *blake3::Hasher::new().update_reader(file)?.finalize().as_bytes();
    hashed().insert(path.to_path_buf(), (state.0, state.1, hash));
    Ok(hash)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::inference::fixtures;
    use crate::registry::manifest::Pooling;

    #[test]
    fn whatever_changes_a_vector_changes_the_identity() {
        let name = "onnx-external";
        let folder = fixtures::copy(name);
        let version = ModelVersion {
            name: name.into(),
            version: "1".into(),
            path: folder.path().to_path_buf(),
            manifest: fixtures::manifest(name),
        };
        let of = |version: &ModelVersion| identity(version, &Target::Cpu, "1.31.1").unwrap();
        let mut all = vec![of(&version)];
        assert_eq!(of(&version), all[0]);
        let mut other = version.clone();
        other.manifest.pooling = Pooling::Cls;
        all.push(of(&other));
        let mut other = version.clone();
        other.manifest.max_tokens -= 1;
        all.push(of(&other));
        all.push(identity(&version, &Target::Cuda { name: "x".into() }, "1.31.1").unwrap());
        all.push(identity(&version, &Target::Cpu, "1.32.0").unwrap());
        // The graph, its weights, and the tokenizer, each changed in place; a name alone changes nothing.
        let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.is_file());
        assert!(files.len() >= 3, "{files:?}");
        for path in files {
            let mut bytes = fs::read(&path).unwrap();
            bytes.push(b' ');
            fs::write(&path, bytes).unwrap();
            all.push(of(&version));
        }
        let renamed = ModelVersion { name: "other".into(), version: "7".into(), ..version.clone() };
        assert_eq!(of(&renamed), *all.last().unwrap());
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        fs::remove_file(version.tokenizer()).unwrap();
        let error = identity(&version, &Target::Cpu, "1.31.1").unwrap_err();
        assert!(error.to_string().contains("tokenizer.json"), "{error}");
    }
}
