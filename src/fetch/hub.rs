//! Models of Hugging Face: takes `hf:owner/name[@revision]`, gives a folder with the files that an import reads. Files lie
//! in Hugging Face's own cache, so what other tools have fetched is used and what is fetched here serves them.
//!
//! Respects `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `HF_HUB_CACHE` and `HF_HUB_OFFLINE`. Pickled weights are fetched only
//! where there are no others.

use std::env;
use std::fmt::{self, Display};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::files::check_sha256;
use super::{Error, Progress, Result};

/// What a reference to Hugging Face starts with.
pub const SCHEME: &str = "hf:";
/// Files that are fetched where a repository has them.
const SETTINGS: [&str; 10] = [
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
    "model.safetensors.index.json",
];
/// The graph, if there are no safetensors.
const GRAPHS: [&str; 2] = ["onnx/model.onnx", "model.onnx"];
/// The weights if there is no graph either: a state dict of PyTorch.
const STATE_DICT: &str = "pytorch_model.bin";

/// What tells that a model without `tokenizer.json` reads texts all the same.
const OTHER_TOKENIZERS: [&str; 5] =
    ["tokenizer_config.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model"];

/// A repository in a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `owner/name`, or `name` alone for the oldest models.
    pub repository: String,
    /// A branch, a tag or a commit.
    pub revision: String,
}

impl Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.revision)
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |reason| Error::Reference { text: text.to_owned(), reason };
        let body = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not start with hf:"))?;
        let (repository, revision) = body.split_once('@').unwrap_or((body, "main"));
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && !part.contains("..")
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        if repository.split('/').count() > 2 || !repository.split('/').all(plain) {
            return Err(wrong("an owner and a name have letters, digits, '.', '_' and '-'"));
        }
        // Branches of pull requests have slashes: refs/pr/1.
        if !revision.split('/').all(plain) {
            return Err(wrong("a revision is a branch, a tag or a commit"));
        }
        Ok(Self { repository: repository.to_owned(), revision: revision.to_owned() })
    }
}

/// Where models are looked for, and where they are kept.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The server, such as `https://huggingface.co`.
    pub endpoint: String,
    /// The cache's folder.
    pub cache: PathBuf,
    /// The user's token, for models that are not open to all.
    pub token: Option<String>,
    /// Never to reach out.
    pub offline: bool,
}

impl Hub {
    /// As the environment says.
    ///
    /// # Errors
    /// There is no folder for the cache.
    pub fn from_env(offline: bool) -> Result<Self> {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let home = set("HF_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cache/huggingface")));
        let cache = set("HF_HUB_CACHE").map(PathBuf::from).or_else(|| Some(home.as_ref()?.join("hub")));
        let stored = || home.as_ref().and_then(|home| fs::read_to_string(home.join("token")).ok());
        let token = set("HF_TOKEN").or_else(stored).map(|token| token.trim().to_owned());
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache: cache.ok_or(Error::NoCache)?,
            token: token.filter(|token| !token.is_empty()),
            offline: offline || set("HF_HUB_OFFLINE").is_some_and(|value| value != "0"),
        })
    }

    /// Fetches what an import needs of a repository and gives the folder it is in, all files from one commit.
    ///
    /// # Errors
    /// [`Error::Offline`], before anything is tried; no such repository, no network, nothing in it to import, or weights
    /// that are not those that the server announced.
    pub fn download(&self, reference: &Reference, progress: &Progress<'_>) -> Result<PathBuf> {
        if self.offline {
            return Err(Error::Offline {
                what: format!("{SCHEME}{reference}"),
                cure: "download its folder on another machine and import that, or SET debut.offline = false".to_owned(),
            });
        }
        progress(&format!("asking {} for {reference}", self.endpoint));
        // Our own cache folder and token: the library panics where there is no home folder, and knows no HF_TOKEN.
        let api = ApiBuilder::from_cache(Cache::new(self.cache.clone()))
            .with_endpoint(self.endpoint.clone())
            .with_token(self.token.clone())
            .with_progress(false)
            .with_retries(3)
            .build()
            .map_err(|error| self.failed("the list of files", reference, error))?;
        let at = |revision: &str| {
            api.repo(Repo::with_revision(reference.repository.clone(), RepoType::Model, revision.to_owned()))
        };
        let info =
            at(&reference.revision).info().map_err(|error| self.failed("the list of files", reference, error))?;
        let commit = info.sha;
        if commit.is_empty() || !commit.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let reason = format!("the commit '{commit}', which is no name of a commit");
            return Err(Error::Repository { repository: reference.to_string(), reason });
        }
        let names = info.siblings.into_iter().map(|sibling| sibling.rfilename).collect::<Vec<_>>();
        let wanted =
            wanted(&names).map_err(|reason| Error::Repository { repository: reference.to_string(), reason })?;

        let pinned = at(&commit);
        let folder = self.folder(reference, &commit);
        for name in wanted {
            if !folder.join(name).is_file() {
                progress(&format!("downloading {name} of {reference}"));
                self.fetch(&pinned, reference, name)?;
            }
        }
        Ok(folder)
    }

    fn folder(&self, reference: &Reference, commit: &str) -> PathBuf {
        let repo = Repo::with_revision(reference.repository.clone(), RepoType::Model, commit.to_owned());
        Cache::new(self.cache.clone()).repo(repo).pointer_path(commit)
    }

    /// Fetches one file into the cache.
    fn fetch(&self, repo: &ApiRepo, reference: &Reference, name: &str) -> Result<()> {
        let path = repo.download(name).map_err(|error| self.failed(name, reference, error))?;
        // The cache names large files by the hash that the server announced: a cut or altered one is found out here.
        let blob = path.canonicalize().map_err(Error::io("read", &path))?;
        let announced = blob.file_name().and_then(|name| name.to_str()).filter(|name| is_sha256(name));
        if let Some(expected) = announced
            && let Err(error) = check_sha256(&blob, expected)
        {
            remove(&path)?;
            remove(&blob)?;
            return Err(error);
        }
        Ok(())
    }

    fn failed(&self, what: &str, reference: &Reference, source: ApiError) -> Error {
        Error::Hub {
            what: what.to_owned(),
            repository: reference.to_string(),
            endpoint: self.endpoint.clone(),
            hint: hint(&source, self.token.is_some()),
            source: Box::new(source),
        }
    }
}

/// What to do about an error of the server, with the punctuation before it.
fn hint(error: &ApiError, has_token: bool) -> &'static str {
    let ApiError::RequestError(error) = error else { return "" };
    match (error.to_string().strip_prefix("http status: "), has_token) {
        (Some("401" | "403"), false) => "; there is no such model, or it needs a token in HF_TOKEN",
        (Some("401" | "403"), true) => "; there is no such model, or the token in HF_TOKEN may not read it",
        (Some("404"), _) => "; there is no such model or revision",
        (Some(_), _) => "; try again later",
        (None, _) => "; check the network, HTTPS_PROXY and HF_ENDPOINT",
    }
}

/// The files of a repository that an import reads.
fn wanted(names: &[String]) -> Result<Vec<&str>, String> {
    let weights = names.iter().map(String::as_str).filter(|name| is_weights(name)).collect::<Vec<_>>();
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    let mut files = SETTINGS.into_iter().filter(|name| has(name)).collect::<Vec<_>>();
    if has("model.safetensors") {
        // Some repositories carry other formats of the same weights beside it.
        files.push("model.safetensors");
    } else if !weights.is_empty() {
        files.extend(weights);
    } else if let Some(graph) = GRAPHS.into_iter().find(|name| has(name)) {
        files.push(graph);
        let data = names.iter().map(String::as_str).filter(|name| is_data_of(graph, name));
        files.extend(data);
    } else if has(STATE_DICT) {
        files.push(STATE_DICT);
    } else {
        return Err(format!("neither safetensors, nor an ONNX export, nor {STATE_DICT}"));
    }
    // Checkpoints of timm have a config.json alone.
    let reads_pictures =
        || has("preprocessor_config.json") || has("config.json") && !OTHER_TOKENIZERS.into_iter().any(has);
    if !has("tokenizer.json") && !reads_pictures() {
        return Err(
            "no tokenizer.json: open the model with transformers' AutoTokenizer, save_pretrained it to a folder \
                    together with the weights, and import that folder"
                .to_owned(),
        );
    }
    Ok(files)
}

/// Safetensors at the top, by the name that a server gave; never a path.
fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors") && !name.starts_with(['.', '-']) && !name.contains(['/', '\\', ':'])
}

/// Whether `name` is a file of outside data that lies beside `graph`: `model.onnx_data`, `model.onnx.data`, ...
fn is_data_of(graph: &str, name: &str) -> bool {
    name.strip_prefix(graph).is_some_and(|rest| {
        rest.starts_with(['_', '.', '-'])
            && !rest.contains("..")
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    })
}

fn is_sha256(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(Error::io("remove", path))
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
