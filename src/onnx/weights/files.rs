//! The files of a checkpoint: takes a folder, gives which of its files hold the weights.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::onnx::{Error, Result};

/// Names of `transformers`, the best first: one file, and the list of shards where there are several.
const NAMES: [(&str, &str); 2] =
    [("model.safetensors", "model.safetensors.index.json"), ("pytorch_model.bin", "pytorch_model.bin.index.json")];
/// Endings of other state dicts of PyTorch.
const STATE_DICTS: [&str; 2] = ["pth", "pt"];

/// The files of weights in `folder`, sorted: safetensors, else state dicts of PyTorch. None if there are none.
///
/// # Errors
/// The folder or a list of shards cannot be read, the list names a file that is elsewhere, or there are several state
/// dicts.
pub fn find(folder: &Path) -> Result<Vec<PathBuf>> {
    for (single, index) in NAMES {
        let (single, index) = (folder.join(single), folder.join(index));
        if single.is_file() {
            return Ok(vec![single]);
        }
        if index.is_file() {
            return shards(folder, &index);
        }
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if STATE_DICTS.contains(&ending) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    match found.as_slice() {
        [first, second, ..] => {
            let names = [first, second].map(|path| path.file_name().unwrap_or_default().to_string_lossy());
            let hint = format!("there are several state dicts in it ({}, ...): leave one there", names.join(", "));
            Err(Error::NoWeights { folder: folder.to_path_buf(), hint })
        }
        _ => Ok(found),
    }
}

fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let file = index.file_name().unwrap_or_default().to_string_lossy();
    let text = std::fs::read(index).map_err(Error::io("read", index))?;
    let parsed: Value =
        serde_json::from_slice(&text).map_err(|source| Error::Json { path: index.to_path_buf(), source })?;
    let map = parsed.get("weight_map").and_then(Value::as_object);
    let names = map.and_then(|map| map.values().map(Value::as_str).collect::<Option<BTreeSet<_>>>());
    let Some(names) = names.filter(|names| !names.is_empty()) else {
        return Err(Error::NoWeights {
            folder: folder.to_path_buf(),
            hint: format!("'{file}' has no 'weight_map' from tensor names to file names"),
        });
    };
    names
        .into_iter()
        .map(|name| match Path::new(name).file_name() {
            Some(plain) if plain == name => Ok(folder.join(name)),
            _ => Err(Error::NoWeights {
                folder: folder.to_path_buf(),
                hint: format!("'{file}' names the file '{name}', which is not in the folder"),
            }),
        })
        .collect()
}
