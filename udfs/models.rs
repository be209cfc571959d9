//! What every function that needs a model holds: where models come from, and the session's settings.
//!
//! Takes a provider and the session's options; gives models by their literal in SQL.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, plan_err};
use datafusion::config::ConfigOptions;

use crate::bits::is_bits;
use crate::config::DebutConfig;
use crate::model::{Modality, Model, ModelInfo, ModelProvider, Task};

/// A provider and the settings that functions call it with.
#[derive(Debug, Clone)]
pub struct Models {
    provider: Arc<dyn ModelProvider>,
    config: DebutConfig,
}

impl Models {
    /// Models from `provider`, under default settings.
    pub fn new(provider: Arc<dyn ModelProvider>) -> Self {
        Self { provider, config: DebutConfig::default() }
    }

    /// The same models under the settings of a session.
    #[must_use]
    pub fn with_options(&self, options: &ConfigOptions) -> Self {
        Self { provider: Arc::clone(&self.provider), config: DebutConfig::of(options) }
    }

    /// The settings.
    pub fn config(&self) -> &DebutConfig {
        &self.config
    }

    /// The model of a call: the one named, or the session's.
    ///
    /// # Errors
    /// The model is unknown or cannot be installed.
    pub fn describe(&self, reference: Option<&str>) -> Result<Arc<ModelInfo>> {
        self.provider.describe(reference.unwrap_or(&self.config.model), &self.config)
    }

    /// The session's model for inputs of these types: bytes have another than texts.
    pub(crate) fn default_for<'a>(&self, mut inputs: impl Iterator<Item = &'a DataType>) -> &str {
        let reads_bytes = inputs.any(|input| Modality::of(input) == Some(Modality::Bytes));
        if reads_bytes { &self.config.image_model } else { &self.config.model }
    }

    /// The model, ready to run.
    ///
    /// # Errors
    /// Its files are damaged, or the device is not there.
    pub fn load(&self, info: &ModelInfo) -> Result<Arc<dyn Model>> {
        self.provider.load(&info.reference(), &self.config)
    }
}

impl PartialEq for Models {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.provider, &other.provider)
            && self.config.model == other.config.model
            && self.config.image_model == other.config.image_model
            && self.config.device == other.config.device
            && self.config.max_batch_tokens == other.config.max_batch_tokens
            && self.config.offline == other.config.offline
            && self.config.cache == other.config.cache
            && self.config.cache_folder == other.config.cache_folder
            && self.config.cache_size == other.config.cache_size
            && self.config.cache_memory == other.config.cache_memory
    }
}

impl Eq for Models {}

impl Hash for Models {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.config.model.hash(state);
    }
}

/// How a text is meant, for models that want to be told by a prompt in front of it.
///
/// `query` and `document` are known to every model, and are nothing where a model has no such prompt; `document` also
/// stands for what some models call `passage` or `corpus`. The empty name is no prompt.
///
/// # Errors
/// Another name that the model does not have.
pub fn prompt_of(function: &str, model: &ModelInfo, name: &str) -> Result<String> {
    let names: &[&str] = match name {
        "" => return Ok(String::new()),
        "document" => &["document", "passage", "corpus"],
        other => &[other],
    };
    // A prompt under one of the names may be there and empty, as newer exports write it.
    let known = || names.iter().filter_map(|name| model.prompts.get(*name));
    match known().find(|prompt| !prompt.is_empty()).or_else(|| known().next()) {
        Some(prompt) => Ok(prompt.clone()),
        None if matches!(name, "query" | "document") => Ok(String::new()),
        None => plan_err!(
            "{function}: model '{}' has no prompt '{name}'; it has {}, and '' means none",
            model.reference(),
            if model.prompts.is_empty() {
                "none".to_string()
            } else {
                model.prompts.keys().map(|key| format!("'{key}'")).collect::<Vec<_>>().join(", ")
            }
        ),
    }
}

/// Fails unless the model does what `function` needs.
///
/// # Errors
/// It does something else; the message says which function reads it.
pub fn require_task(function: &str, model: &ModelInfo, task: Task) -> Result<()> {
    if model.task == task || (task == Task::Embedding && model.task.embeds()) {
        return Ok(());
    }
    let makes = match task {
        Task::Embedding => "makes no vectors",
        Task::CrossEncoder => "reads no pairs of texts",
        Task::Classification => "has no labels",
        Task::Regression => "predicts no number",
        Task::Recommender => "recommends nothing",
    };
    let reference = model.reference();
    plan_err!(
        "{function}: model '{reference}' is {} and {makes}; use {}, or {}",
        what_it_is(model.task),
        reader_of(model),
        what_it_is(task)
    )
}

/// Fails unless `model` reads `argument`, where it reads `wanted`. Every model reads a bare NULL.
///
/// # Errors
/// The argument is of another modality; the message names it.
pub(crate) fn require_input(function: &str, model: &ModelInfo, wanted: Modality, argument: &Field) -> Result<()> {
    let found = argument.data_type();
    if is_bits(argument) {
        return plan_err!(
            "{function}: '{}' holds binary vectors, which are no pictures; cosine_distance and vector_search read them",
            argument.name()
        );
    }
    let fits = |found| found == wanted || (model.text_tower.is_some() && model.reads(found));
    if found.is_null() || Modality::of(found).is_some_and(fits) {
        return Ok(());
    }
    let cure = match wanted {
        Modality::Text => {
            "if the bytes are text, write arrow_cast(column, 'Utf8'); if they are pictures, name a model that reads them, \
             such as 'efficientnet-lite0'"
        }
        Modality::Bytes => {
            "name a column of bytes, or read the files whose paths it has: read_file(column); for a text, name a model that \
             reads text"
        }
        Modality::TextAndBytes => "select the text and the picture, each from a column of its own",
    };
    plan_err!("{function}: model '{}' reads {wanted}, and '{}' is {found}; {cure}", model.reference(), argument.name())
}

/// A model in a sentence.
pub(crate) fn what_it_is(task: Task) -> &'static str {
    match task {
        Task::Embedding => "an embedding model",
        Task::CrossEncoder => "a cross-encoder",
        Task::Classification => "a classification model",
        Task::Regression => "a regression model",
        Task::Recommender => "a recommender",
    }
}

/// The call that a model is made for.
pub(crate) fn reader_of(model: &ModelInfo) -> String {
    let name = &model.name;
    let input = match model.modality {
        Modality::Text => "text",
        Modality::Bytes => "image",
        Modality::TextAndBytes => "text, image",
    };
    match model.task {
        Task::Embedding => format!("embed({input}, '{name}')"),
        Task::CrossEncoder => format!("score(query, text, '{name}')"),
        Task::Classification => format!("classify({input}, '{name}')"),
        Task::Regression => format!("predict({input}, '{name}')"),
        Task::Recommender => format!("recommend(model => '{name}', ...)"),
    }
}
