//! The contract between SQL functions and whatever runs models.
//!
//! The functions in this crate plan with a [`ModelProvider`] and run a [`Model`]; the crate `debut` implements both
//! over its registry and ONNX Runtime. Nothing here knows how a model is stored or executed.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use datafusion::common::Result;

use crate::config::{BatchTokens, DebutConfig};
use crate::ids::Ids;
pub use crate::input::{Input, InputKind, Modality};

/// What a model does with its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// A text becomes a vector.
    Embedding,
    /// A pair of texts becomes one logit: a sequence classification model with a single label.
    CrossEncoder,
    /// A text becomes a logit for each label.
    Classification,
    /// A text becomes a number.
    Regression,
    /// A text becomes a vector, and a pair of user and text one logit: that the user buys the item.
    Recommender,
}

impl Task {
    /// Every task, in the order of the documentation.
    pub const ALL: [Self; 5] =
        [Self::Embedding, Self::CrossEncoder, Self::Classification, Self::Regression, Self::Recommender];

    /// Whether a model of this task makes vectors of texts.
    pub fn embeds(self) -> bool {
        matches!(self, Self::Embedding | Self::Recommender)
    }

    /// Whether a model of this task makes a logit of a pair.
    pub fn scores_pairs(self) -> bool {
        matches!(self, Self::CrossEncoder | Self::Recommender)
    }
}

impl Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedding => "embedding",
            Self::CrossEncoder => "cross-encoder",
            Self::Classification => "classification",
            Self::Regression => "regression",
            Self::Recommender => "recommender",
        })
    }
}

/// The tower for texts of a model of two towers, whose vectors lie in one space with those of pictures, and how the cosine of
/// two vectors becomes a logit there: `logit_scale * cosine + logit_bias`, in the terms of CLIP and SigLIP.
#[derive(Debug, Clone, Copy)]
pub struct TextTower {
    /// What the cosine is multiplied by.
    pub logit_scale: f32,
    /// What is added to it; `None` for a model that was trained with a softmax over the labels and not with a sigmoid for each.
    pub logit_bias: Option<f32>,
}

impl TextTower {
    fn bits(&self) -> (u32, Option<u32>) {
        (self.logit_scale.to_bits(), self.logit_bias.map(f32::to_bits))
    }
}

impl PartialEq for TextTower {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for TextTower {}

impl Hash for TextTower {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

/// What the planner knows of a model without loading it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelInfo {
    /// The name in the registry, without a version.
    pub name: String,
    /// The version that the reference resolved to.
    pub version: String,
    /// What the model does.
    pub task: Task,
    /// What it reads; of a model of two towers, what the first one reads: pictures.
    pub modality: Modality,
    /// Its tower for texts, if it has one beside that for pictures: `None` for a model of one tower, whatever it reads.
    pub text_tower: Option<TextTower>,
    /// Width of its vectors; 0 for a model that makes none.
    pub dimension: usize,
    /// What a classification model tells apart, in the order of its logits; empty for other models.
    pub labels: Vec<String>,
    /// The types of a recommender's ids; `None` for other models.
    pub ids: Option<Ids>,
    /// The first moment of which a recommender knows nothing, one microsecond after the last interaction that it was
    /// trained on, in microseconds since 1970; `None` for other models.
    pub trained_until: Option<i64>,
    /// The model by whose vectors a recommender knows pictures, `name@version`; `None` for one that was trained without
    /// pictures, and for other models.
    pub image_model: Option<String>,
    /// Longest input in tokens, special tokens included; the rest of a text is cut off.
    pub max_tokens: usize,
    /// Sixteen hexadecimal digits over everything that determines a result: weights, tokenizer, pooling, prompts.
    pub fingerprint: String,
    /// Texts that the model wants in front of its input, by the name of their use (`query`, `document`).
    pub prompts: BTreeMap<String, String>,
}

impl ModelInfo {
    /// `name@version`: the reference that always finds exactly this model.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Whether it reads inputs of this modality.
    pub fn reads(&self, modality: Modality) -> bool {
        modality == self.modality || (self.text_tower.is_some() && modality == Modality::Text)
    }

    /// Values per row in [`Output::values`], where a row is one input, or a pair.
    pub fn width(&self, pairs: bool) -> usize {
        match self.task {
            Task::Embedding => self.dimension,
            Task::Recommender if !pairs => self.dimension,
            Task::Classification => self.labels.len(),
            Task::CrossEncoder | Task::Regression | Task::Recommender => 1,
        }
    }
}

/// Finds models by name. One per session; cheap to call while a query is planned.
pub trait ModelProvider: Debug + Send + Sync {
    /// Resolves `name` or `name@version`. Reads what is stored beside the model, never the weights.
    ///
    /// # Errors
    /// The model is unknown (the message lists what there is) or cannot be installed.
    fn describe(&self, reference: &str, config: &DebutConfig) -> Result<Arc<ModelInfo>>;

    /// The model ready to run, on the device that `config` asks for; loaded at most once per process and device.
    ///
    /// # Errors
    /// The model is unknown, its files are damaged, or the device is not there.
    fn load(&self, reference: &str, config: &DebutConfig) -> Result<Arc<dyn Model>>;
}

/// A loaded model: rows of its modality in, `f32` out.
#[async_trait]
pub trait Model: Debug + Send + Sync {
    /// What the planner was told.
    fn info(&self) -> &ModelInfo;

    /// Where it runs, for people: `cpu`, `cuda:0 (NVIDIA H100)`.
    fn device(&self) -> &str;

    /// Runs the model over every row of `job`. Dropping the future cancels the work.
    ///
    /// # Errors
    /// What went wrong with the model or the runtime as a whole; rows that fail alone are in [`Output::failures`].
    async fn run(&self, job: Job) -> Result<Output>;

    /// Opens what the first [`Self::run`] would open. May take a while: not for threads of an executor.
    ///
    /// # Errors
    /// Its files are damaged, or the device refuses it.
    fn open(&self) -> Result<()> {
        Ok(())
    }
}

/// One piece of work for a model.
#[derive(Debug, Clone)]
pub struct Job {
    /// The rows.
    pub input: Input,
    /// A text to put in front of every text, or nothing.
    pub prompt: String,
    /// Most tokens, padding included, in one run of the model.
    pub max_batch_tokens: BatchTokens,
    /// Where the work is counted.
    pub stats: Arc<Stats>,
}

/// What a model made of a [`Job`].
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// Row-major, [`ModelInfo::width`] values a row: an L2-normalised vector, a pair's logit, a logit for each label,
    /// or a number. The values of a failed row are zero.
    pub values: Vec<f32>,
    /// Rows that could not be computed, in ascending order, each with its reason.
    pub failures: Vec<(usize, String)>,
}

/// Counters of the work done for one plan node; shared by all its jobs.
#[derive(Debug, Default)]
pub struct Stats {
    /// Rows that reached the model.
    pub rows: AtomicU64,
    /// Their lengths, in tokens.
    pub tokens: AtomicU64,
    /// Tokens that were computed, padding included.
    pub padded_tokens: AtomicU64,
    /// Runs of the session.
    pub batches: AtomicU64,
    /// Nanoseconds of making rows ready for the model, for texts of tokenizing, summed over threads.
    pub preprocessor_nanos: AtomicU64,
    /// Nanoseconds inside the session's runs.
    pub session_nanos: AtomicU64,
    /// Rows whose values were in the cache.
    pub cache_hits: AtomicU64,
    /// Rows that were looked for in the cache in vain.
    pub cache_misses: AtomicU64,
    /// The length in tokens of each row of the one job that is counted; empty unless made by [`Self::of_rows`].
    pub row_tokens: Vec<AtomicU32>,
}

impl Stats {
    /// Counters of a job of this many rows, which keep the length of each.
    pub fn of_rows(rows: usize) -> Self {
        Self { row_tokens: std::iter::repeat_with(AtomicU32::default).take(rows).collect(), ..Self::default() }
    }

    /// Notes the length of a row, where lengths are kept.
    pub fn set_row_tokens(&self, row: usize, tokens: usize) {
        if let Some(length) = self.row_tokens.get(row) {
            length.store(u32::try_from(tokens).unwrap_or(u32::MAX), Ordering::Relaxed);
        }
    }

    /// Adds what another counted, lengths of rows left out.
    pub fn merge(&self, other: &Self) {
        let Self {
            rows,
            tokens,
            padded_tokens,
            batches,
            preprocessor_nanos,
            session_nanos,
            cache_hits,
            cache_misses,
            ..
        } = other;
        for (counter, more) in [
            (&self.rows, rows),
            (&self.tokens, tokens),
            (&self.padded_tokens, padded_tokens),
            (&self.batches, batches),
            (&self.preprocessor_nanos, preprocessor_nanos),
            (&self.session_nanos, session_nanos),
            (&self.cache_hits, cache_hits),
            (&self.cache_misses, cache_misses),
        ] {
            counter.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Adds `value` to a counter.
    pub fn add(counter: &AtomicU64, value: usize) {
        counter.fetch_add(value as u64, Ordering::Relaxed);
    }

    /// Adds a time to a counter of nanoseconds.
    pub fn add_time(counter: &AtomicU64, time: Duration) {
        counter.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
