//! Where a model comes from: takes what a user wrote, gives the folders and files in which its parts are.

use std::path::{Component, Path, PathBuf};

use serde_json::Value as Json;

use crate::fetch::hub::{self, Hub};
use crate::fetch::{self, Progress};
use crate::onnx::weights::files;
use crate::registry::{Error, PREPROCESSOR, Result, TOKENIZER};

/// Where the graph of an ONNX export is, in the order in which it is looked for.
const GRAPHS: [&str; 2] = ["onnx/model.onnx", "model.onnx"];
/// Weights in formats that are not read.
const OTHERS: [&str; 3] = ["tf_model.h5", "flax_model.msgpack", "pytorch_model.ckpt"];

/// A model's folder, with its parts told apart.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// As the user wrote it.
    pub(super) from: String,
    /// The folder: where `modules.json` is, if there is one.
    pub(super) root: PathBuf,
    /// Where `config.json`, the tokenizer and the weights are; the root itself for all but old models.
    pub(super) transformer: PathBuf,
    /// The modules of sentence-transformers, if it is a model of theirs.
    pub(super) modules: Option<Vec<Module>>,
    /// The weights.
    pub(super) weights: WeightsFormat,
}

/// What the weights are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WeightsFormat {
    /// Safetensors or a state dict of PyTorch in [`Source::transformer`].
    Checkpoint,
    /// This ONNX file, and others that it names.
    Graph(PathBuf),
}

/// A step of a pipeline of sentence-transformers.
#[derive(Debug, Clone)]
pub(super) struct Module {
    /// The class without the path to it: `Pooling`.
    pub(super) class: String,
    /// Its folder.
    pub(super) folder: PathBuf,
}

impl Source {
    /// Finds a model, fetching it if it is one of Hugging Face's.
    ///
    /// # Errors
    /// There is nothing there, or nothing that can be imported; or it cannot be fetched.
    pub(super) fn open(from: &str, offline: bool, progress: &Progress<'_>) -> Result<Self> {
        if from.starts_with(hub::SCHEME) {
            let reference = from.parse()?;
            let folder = Hub::from_env(offline)?.download(&reference, progress)?;
            return Self::in_folder(from, folder, None);
        }
        let path = Path::new(from);
        let wrong = |reason: String| Error::Import { from: from.to_owned(), reason };
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => Self::in_folder(from, path.to_path_buf(), None),
            Ok(_) if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx")) => {
                let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let above = folder.join("..");
                // Exports of sentence-transformers keep the graph in a folder below the tokenizer's.
                let has = |folder: &Path| [TOKENIZER, PREPROCESSOR].iter().any(|name| folder.join(name).is_file());
                let root = if !has(folder) && has(&above) { above } else { folder.into() };
                Self::in_folder(from, root, Some(path.to_path_buf()))
            }
            Ok(_) => Err(wrong("it is neither a folder nor an .onnx file".to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let hint = match format!("{}{from}", hub::SCHEME).parse::<hub::Reference>() {
                    Ok(_) if from.contains('/') => {
                        format!("; for the model of Hugging Face write '{}{from}'", hub::SCHEME)
                    }
                    _ => String::new(),
                };
                Err(wrong(format!("there is no such file or folder{hint}")))
            }
            Err(error) => Err(fetch::Error::io("read", path)(error).into()),
        }
    }

    fn in_folder(from: &str, root: PathBuf, graph: Option<PathBuf>) -> Result<Self> {
        let wrong = |reason: String| Error::Import { from: from.to_owned(), reason };
        let modules = modules(from, &root)?;
        let transformer = match modules.iter().flatten().find(|module| module.class == "Transformer") {
            Some(module) => module.folder.clone(),
            None => root.clone(),
        };
        let weights = if let Some(graph) = graph {
            WeightsFormat::Graph(graph)
        } else if has_safetensors(&transformer)? {
            WeightsFormat::Checkpoint
        } else if let Some(graph) = GRAPHS.iter().map(|name| transformer.join(name)).find(|path| path.is_file()) {
            WeightsFormat::Graph(graph)
        } else if has_state_dict(from, &transformer)? {
            WeightsFormat::Checkpoint
        } else if let Some(other) = OTHERS.iter().find(|name| transformer.join(name).is_file()) {
            return Err(wrong(format!(
                "its weights are in {other}, which Debut does not read; open it with transformers, save_pretrained it (that \
                 writes model.safetensors), and import that"
            )));
        } else {
            let names = GRAPHS.join(", ");
            return Err(wrong(format!(
                "there are neither weights (model.safetensors, pytorch_model.bin, one .pth file) nor an ONNX export \
                 ({names}) in it"
            )));
        };
        Ok(Self { from: from.to_owned(), root, transformer, modules, weights })
    }

    /// The tokenizer's file, which a model of texts must have.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn tokenizer(&self) -> Result<PathBuf> {
        let path = self.transformer.join(TOKENIZER);
        if path.is_file() {
            return Ok(path);
        }
        Err(self.refuse(format!(
            "there is no {TOKENIZER} in '{}'; to get one, open the model with transformers' AutoTokenizer and \
             save_pretrained it there",
            self.transformer.display()
        )))
    }

    /// Reads a settings file; `None` if it is not there.
    pub(super) fn settings(&self, path: &Path) -> Result<Option<Json>> {
        read_json(&self.from, path)
    }

    /// For an error about a settings file.
    pub(super) fn wrong(&self, path: &Path, reason: impl Into<String>) -> Error {
        Error::Settings { from: self.from.clone(), path: path.to_path_buf(), reason: reason.into() }
    }

    /// For an error about the whole.
    pub(super) fn refuse(&self, reason: impl Into<String>) -> Error {
        Error::Import { from: self.from.clone(), reason: reason.into() }
    }
}

fn read_json(from: &str, path: &Path) -> Result<Option<Json>> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(Error::io("read", path))?,
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| Error::Settings {
        from: from.to_owned(),
        path: path.to_path_buf(),
        reason: format!("is not JSON: {error}"),
    })
}

/// Whether there are weights in safetensors, whatever is wrong with them.
fn has_safetensors(folder: &Path) -> Result<bool> {
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let name = entry.map_err(Error::io("list", folder))?.file_name();
        let name = name.to_string_lossy();
        if name == "model.safetensors" || name == "model.safetensors.index.json" {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether there is a state dict of PyTorch.
fn has_state_dict(from: &str, folder: &Path) -> Result<bool> {
    let files = files::find(folder).map_err(|source| Error::Model { from: from.to_owned(), source })?;
    Ok(!files.is_empty())
}

/// Reads `modules.json`.
fn modules(from: &str, root: &Path) -> Result<Option<Vec<Module>>> {
    let path = root.join("modules.json");
    let Some(json) = read_json(from, &path)? else { return Ok(None) };
    let wrong = |reason: &str| Error::Settings { from: from.to_owned(), path: path.clone(), reason: reason.to_owned() };
    let list = json.as_array().ok_or_else(|| wrong("is not a list of modules"))?;
    let mut modules = Vec::new();
    for module in list {
        let kind = module["type"].as_str().ok_or_else(|| wrong("has a module without a type"))?;
        let folder = Path::new(module["path"].as_str().unwrap_or_default());
        if !folder.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(wrong("has a module whose path leads out of the model's folder"));
        }
        let class = kind.rsplit('.').next().unwrap_or(kind).to_owned();
        let folder = if folder.as_os_str().is_empty() { root.to_path_buf() } else { root.join(folder) };
        modules.push(Module { class, folder });
    }
    Ok(Some(modules))
}
