//! What is learnt: each objective with its own options, its name in SQL, and the examples that it learns from.
//!
//! Takes the values of a call; gives an [`Objective`]. Whoever trains one makes examples of its [`Objective::examples`].

use datafusion::common::{Result, internal_err};

use super::NAME;
use super::examples::ExampleForm;
use crate::options::Values;

/// The names of all objectives in SQL, in the order of the documentation.
pub const NAMES: &[&str] =
    &["bce", "contrastive", "bpr", "classification", "regression", "similarity", "recommend", "distill"];

/// The names of all students in SQL.
pub const STUDENTS: &[&str] = &["static", "layers"];

/// The temperature of a contrastive training of texts where none is given.
pub const TEMPERATURE: f64 = 0.05;

/// What is learnt.
#[derive(Debug, Clone, PartialEq)]
pub enum Objective {
    /// The probability that a user likes an item.
    Bce {
        /// Negative items sampled per positive one.
        negatives: usize,
    },
    /// Texts that belong together, or a text and its picture, are near each other.
    Contrastive {
        /// Cosines of texts are divided by it, by default by [`TEMPERATURE`]; a model of two towers has a scale of its own.
        temperature: Option<f64>,
    },
    /// What a user chose ranks above what the user did not.
    Bpr {
        /// Negative items sampled per positive one.
        negatives: usize,
    },
    /// The label of a text.
    Classification {
        /// How labels count.
        class_weights: ClassWeights,
    },
    /// A number for a text.
    Regression,
    /// How alike two texts are.
    Similarity,
    /// Which users buy which items, for items without sales too: a recommender.
    Recommend {
        /// Collaborative factors of a user and of an item.
        factors: usize,
        /// Days of a launch window.
        window_days: u64,
        /// Known items from whose texts and buyers those of a new item are predicted.
        neighbours: usize,
    },
    /// The base's vectors, by a model that costs less.
    Distill {
        /// What kind of model.
        student: Student,
    },
}

/// A model that learns another's vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Student {
    /// A sum of vectors of tokens.
    Static,
    /// Some of the base's layers.
    Layers,
}

/// How the labels of a classification count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassWeights {
    /// Every example alike, so that rare labels count little.
    Equal,
    /// Every label alike: an example counts `examples / (labels * examples of its label)`.
    Balanced,
}

impl Objective {
    /// The objective of a call, with its options.
    ///
    /// # Errors
    /// None in practice: the option is one of [`NAMES`], and every option that it reads has a value of its kind.
    pub(super) fn of(values: &Values) -> Result<Self> {
        Ok(match values.text("objective")? {
            "bce" => Self::Bce { negatives: values.count("negatives")? },
            "contrastive" => Self::Contrastive { temperature: values.number_of("temperature") },
            "bpr" => Self::Bpr { negatives: values.count("negatives")? },
            "classification" => Self::Classification {
                class_weights: match values.text("class_weights")? {
                    "balanced" => ClassWeights::Balanced,
                    _ => ClassWeights::Equal,
                },
            },
            "regression" => Self::Regression,
            "similarity" => Self::Similarity,
            "recommend" => Self::Recommend {
                factors: values.count("factors")?,
                window_days: values.integer("window")?,
                neighbours: values.count("neighbours")?,
            },
            "distill" => Self::Distill {
                student: if values.text("student")? == "layers" { Student::Layers } else { Student::Static },
            },
            other => return internal_err!("{NAME}: unknown objective '{other}'"),
        })
    }

    /// Its name in SQL.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bce { .. } => "bce",
            Self::Contrastive { .. } => "contrastive",
            Self::Bpr { .. } => "bpr",
            Self::Classification { .. } => "classification",
            Self::Regression => "regression",
            Self::Similarity => "similarity",
            Self::Recommend { .. } => "recommend",
            Self::Distill { .. } => "distill",
        }
    }

    /// What it learns from.
    pub fn examples(&self) -> ExampleForm {
        match self {
            Self::Bce { .. } | Self::Recommend { .. } => ExampleForm::Interactions,
            Self::Bpr { .. } => ExampleForm::Likes,
            Self::Contrastive { .. } => ExampleForm::Pairs,
            Self::Classification { .. } => ExampleForm::Labels,
            Self::Regression => ExampleForm::Numbers,
            Self::Similarity => ExampleForm::ScoredPairs,
            Self::Distill { .. } => ExampleForm::Texts,
        }
    }
}
