//! What `run.json` holds: what a run was asked to do, and how it ended.
//!
//! Takes a [`Setup`] from the trainer; gives the one record that `debut.training_runs` and the report show.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::metrics::number;
use super::recommender::RecommenderInfo;
use super::top_losses::TopLoss;
use crate::fetch::files::hexadecimal;
use crate::registry::manifest::Until;

/// What a run was asked to do, and with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Name of the model that the result is published as.
    pub model: String,
    /// The version that training starts from, as `name@version`.
    pub base: String,
    /// That version's fingerprint: versions of the same name on two machines need not be the same.
    pub base_fingerprint: String,
    /// `contrastive`, `bce`, ...
    pub objective: String,
    /// `lora`, `full`, ...
    pub method: String,
    /// Every option with its value, defaults too.
    pub options: Map<String, Value>,
    /// What it is trained on.
    pub data: Data,
    /// What decides which epoch is the best.
    pub metric: Criterion,
    /// Where it runs, such as `cpu`.
    pub device: String,
    /// Threads of the runtime. Another number may round sums differently.
    pub threads: usize,
}

impl Setup {
    /// Sixteen hexadecimal digits over all that determines the result: options, data, base version, device, threads,
    /// and the version of Debut. A run is only resumed by a request with the same key. Whether to resume is no part of it.
    pub fn key(&self) -> String {
        let mut options = self.options.clone();
        options.remove("resume");
        let parts = (&self.model, &self.base_fingerprint, options, &self.data.fingerprint, &self.device);
        // Maps with text as keys can always be written as JSON.
        let text = serde_json::to_string(&(parts, self.threads, env!("CARGO_PKG_VERSION"))).unwrap_or_default();
        hexadecimal(&Sha256::digest(text.as_bytes())[..8])
    }
}

/// The data of a run, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Sixteen hexadecimal digits over the columns that were used.
    pub fingerprint: String,
    /// Distinct texts or pictures.
    pub texts: u64,
    /// Examples that are trained on.
    pub train: u64,
    /// Examples that are held out.
    pub validation: u64,
    /// The first moment of which the examples to train on say nothing, where they have times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// What else a reader should know, a sentence each: rows that were left out, and why.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A metric that epochs are compared by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Criterion {
    /// Its name among the logged values.
    pub name: String,
    /// False for errors such as `rmse`.
    pub higher_is_better: bool,
}

/// The best epoch so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Steps that were taken by its end.
    pub step: u64,
    /// The metric.
    #[serde(with = "number")]
    pub value: f64,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Under way.
    Running,
    /// Its process died: `run.json` says that it runs, but nobody holds its lock. It can be resumed. Never written.
    Interrupted,
    /// Trained to its end.
    Finished,
    /// Stopped by an error.
    Failed,
    /// Stopped by somebody; it can be resumed.
    Cancelled,
}

impl Status {
    /// Whether the same request goes on where the run stopped.
    pub fn can_resume(self) -> bool {
        matches!(self, Self::Interrupted | Self::Cancelled)
    }
}

impl Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

/// What became of the trained model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is this version now, as `name@version`.
    Published(String),
    /// It was not published, and this is why.
    NotPublished(String),
}

/// The content of `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The run: the instant of its start and a few digits, so that runs sort by time.
    pub id: String,
    /// [`Setup::key`].
    pub key: String,
    /// What it was asked to do.
    #[serde(flatten)]
    pub setup: Setup,
    /// The version of Debut that ran it.
    pub debut: String,
    /// How it stood when this was written; [`super::Listed::status`] knows better.
    pub status: Status,
    /// Seconds since 1970 at its start.
    pub started_at: u64,
    /// Seconds since 1970 at its end, if it has ended.
    pub finished_at: Option<u64>,
    /// How often it went on after it had stopped.
    #[serde(default)]
    pub resumed: u32,
    /// Numbers that are trained, once that is known.
    #[serde(default)]
    pub parameters: Option<u64>,
    /// The metric of the version in use, on the same validation data.
    #[serde(default)]
    pub baseline: Option<f64>,
    /// What the result was compared with, and how that came out; `None` where the baseline says it all.
    #[serde(default)]
    pub compared: Option<String>,
    /// The best epoch so far.
    #[serde(default)]
    pub best: Option<Best>,
    /// The held-out examples on which the best epoch has the highest losses, the highest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top_losses: Vec<TopLoss>,
    /// What else there is of a recommender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommender: Option<RecommenderInfo>,
    /// What became of the model, once the run is finished.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
}

impl RunInfo {
    /// A run that starts now.
    pub(crate) fn new(id: String, setup: Setup, now: u64) -> Self {
        Self {
            id,
            key: setup.key(),
            setup,
            debut: env!("CARGO_PKG_VERSION").to_owned(),
            status: Status::Running,
            started_at: now,
            finished_at: None,
            resumed: 0,
            parameters: None,
            baseline: None,
            compared: None,
            best: None,
            top_losses: Vec::new(),
            recommender: None,
            outcome: None,
            error: None,
        }
    }

    /// The version that was published, as `name@version`.
    pub fn published(&self) -> Option<&str> {
        match &self.outcome {
            Some(Outcome::Published(version)) => Some(version),
            _ => None,
        }
    }

    /// Why nothing was published, if the run has ended without.
    pub fn unpublished(&self) -> Option<&str> {
        match &self.outcome {
            Some(Outcome::NotPublished(reason)) => Some(reason),
            Some(Outcome::Published(_)) => None,
            None => self.error.as_deref(),
        }
    }
}
