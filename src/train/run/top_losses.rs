//! The held-out examples with the highest losses: what a person looks at to see where a model, or a label, is wrong.

use serde::{Deserialize, Serialize};

use super::metrics::number;

/// How many are kept of a run.
pub const MOST: usize = 12;

/// A held-out example, and what the best epoch makes of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopLoss {
    /// What it is of, a row of the dataset's inputs.
    pub input: u32,
    /// Its loss.
    #[serde(with = "number")]
    pub loss: f64,
    /// Its label.
    pub label: String,
    /// What is predicted.
    pub predicted: String,
    /// With which probability, where the objective has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// What a page shows of it; filled at the end of the training.
    #[serde(default)]
    pub excerpt: Excerpt,
}

/// What a page shows of an example.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The beginning of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A JPEG of its picture, in Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// The `count` examples of the highest losses, the highest first; equal ones in their order.
pub(in crate::train) fn largest<T>(mut examples: Vec<T>, count: usize, loss: impl Fn(&T) -> f64) -> Vec<T> {
    examples.sort_by(|a, b| loss(b).total_cmp(&loss(a)));
    examples.truncate(count);
    examples
}
