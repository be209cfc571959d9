//! The options of a call, typed.
//!
//! Takes the values of a call; gives [`FinetuneOptions`] in which every default is filled in and nothing contradicts
//! anything else.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use datafusion::common::{Result, plan_err};

use super::NAME;
use super::method::Method;
use super::objective::Objective;

/// Everything that a call says about a training.
#[derive(Debug, Clone, PartialEq)]
pub struct FinetuneOptions {
    /// The name that the result is published under.
    pub model: String,
    /// The model to start from, `name` or `name@version`.
    pub base: String,
    /// The model of pictures, `name` or `name@version`, where texts and pictures are read together; `None` for the session's.
    pub image_base: Option<String>,
    /// What is learnt.
    pub objective: Objective,
    /// What of the model is trained.
    pub method: Method,
    /// Share of the pooled vectors' values that are dropped out while training, in [0, 1): 0 where the method drops out
    /// values of its own.
    pub dropout: f64,
    /// Passes over the training examples.
    pub epochs: u64,
    /// Most steps of the optimizer.
    pub max_steps: Option<u64>,
    /// Examples in a batch.
    pub batch_size: usize,
    /// Batches whose gradients are summed for one step.
    pub accumulate: usize,
    /// The highest learning rate of the schedule.
    pub learning_rate: f64,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// The learning rate schedule after the warm-up.
    pub schedule: Schedule,
    /// Share of the steps over which the learning rate rises, in [0, 1).
    pub warmup: f64,
    /// Largest norm of the whole gradient; `None` for no clipping.
    pub clip: Option<f64>,
    /// Epochs without a better metric after which training stops.
    pub patience: Option<u64>,
    /// Longest training text in tokens; `None` for what the base reads.
    pub max_tokens: Option<usize>,
    /// What is done to pictures that are trained on; `None` for [`Augment::Flip`].
    pub augment: Option<Augment>,
    /// Which examples validate.
    pub split: Split,
    /// Share of the examples that validate, in [0, 0.9].
    pub validation: f64,
    /// Which rows are new, where older ones are left out.
    pub since: Option<Since>,
    /// Share of the rows that are older than `since`, in [0, 1); 0 without it.
    pub replay: f64,
    /// The names of columns that are not called by their role.
    pub columns: BTreeMap<String, String>,
    /// Random seed.
    pub seed: u64,
    /// When the result becomes the version in use.
    pub publish: Publish,
    /// What a version holds.
    pub keep: Keep,
    /// Whether to resume an unfinished run with the same options and data.
    pub resume: bool,
    /// Precision of the forward and backward pass.
    pub precision: Precision,
    pub(super) values: BTreeMap<&'static str, String>,
}

/// How parameters follow their gradients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// Adam with decoupled weight decay, as `torch.optim.AdamW`. <https://arxiv.org/abs/1711.05101>
    AdamW {
        /// Share of each matrix that is taken off per unit of learning rate.
        weight_decay: f64,
    },
    /// Stochastic gradient descent with momentum, as `torch.optim.SGD`: decay is added to the gradient.
    Sgd {
        /// How much of the last direction is kept each step, in [0, 1).
        momentum: f64,
        /// Share of each matrix that is added to its gradient.
        weight_decay: f64,
    },
}

/// The learning rate schedule after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// As it is.
    Constant,
    /// In a straight line to 0.
    Linear,
    /// Along half a period of a cosine to 0. <https://arxiv.org/abs/1608.03983>
    Cosine,
}

/// What is done to pictures that are trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Augment {
    /// Nothing.
    None,
    /// Half of them are mirrored.
    Flip,
    /// A part is cut out, too.
    Crop,
    /// Colours are changed, too.
    Full,
}

/// Which examples validate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Any, drawn by the seed; of each label for `classification`, so that every label is trained on.
    Random,
    /// The latest by timestamp.
    Time,
    /// Each user's last interaction.
    Last,
}

impl Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Random => "random",
            Self::Time => "time",
            Self::Last => "last",
        })
    }
}

/// Which rows are new to a training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// Those later than what the version in use was trained on; training goes on from that version.
    Last,
    /// Those of this time or later, as SQL wrote it.
    Time(String),
}

/// When the result becomes the version in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// If its metric beats that of the version in use.
    IfBetter,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a version holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// A whole model.
    Merged,
    /// The low-rank matrices on top of the base.
    Delta,
}

/// Precision of the forward and backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// All in `f32`.
    Full,
    /// Factors of matrix products rounded to TF32, for which NVIDIA GPUs since Ampere have units of their own. Parameters, the
    /// optimizer's state and sums stay `f32`.
    Mixed,
}

impl FinetuneOptions {
    /// Every option that is read, by name, with its value as text, defaults included: what a run is stored and found by.
    pub fn values(&self) -> &BTreeMap<&'static str, String> {
        &self.values
    }

    /// Whether training goes on from the version in use.
    pub fn goes_on(&self) -> bool {
        self.since == Some(Since::Last)
    }

    /// Fails where two of them contradict each other.
    pub(super) fn check(&self) -> Result<()> {
        if let Some((name, version)) = self.model.split_once('@') {
            return plan_err!(
                "{NAME}: model is the name that the result is published under, and the version is counted up: \
                 '{name}', not '{name}@{version}'"
            );
        }
        if self.keep == Keep::Delta && !matches!(self.method, Method::Lora { .. } | Method::AdaLora { .. }) {
            return plan_err!("{NAME}: keep => 'delta' needs method => 'lora' or 'adalora', whose matrices it keeps");
        }
        if let Objective::Recommend { .. } = self.objective {
            if let Some(Since::Time(time)) = &self.since {
                return plan_err!(
                    "{NAME}: since => '{time}' would be a training on a part of the interactions, and objective 'recommend' is \
                     fitted to all of them; since => 'last' goes on from the version in use"
                );
            }
            if self.split == Split::Last {
                return plan_err!(
                    "{NAME}: split => 'last' holds out interactions, and objective 'recommend' holds out items; \
                     use 'time' or 'random'"
                );
            }
            return Ok(());
        }
        if let (Objective::Distill { .. }, Some(_)) = (&self.objective, &self.since) {
            return plan_err!(
                "{NAME}: objective 'distill' makes a student of its base from all examples, and since would leave some out; leave \
                 it out, and choose the texts in the query"
            );
        }
        if let (Method::Head, Some(augment)) = (&self.method, self.augment)
            && augment != Augment::None
        {
            return plan_err!(
                "{NAME}: method => 'head' computes the vector of each picture once, and augment would change the picture each \
                 time; leave augment out, or use 'full' or another method that trains the encoder"
            );
        }
        let (objective, examples) = (self.objective.name(), self.objective.examples());
        if matches!(self.method, Method::Head) && examples.is_of_user() {
            return plan_err!(
                "{NAME}: method => 'head' with objective '{objective}' would train the users alone, of which a version keeps \
                 nothing; use 'lora' or another method that trains the encoder"
            );
        }
        if self.split == Split::Last && !examples.reads_interactions() {
            return plan_err!(
                "{NAME}: split => 'last' is each user's last interaction, and objective '{objective}' has no users; \
                 use 'time' or 'random'"
            );
        }
        if self.validation == 0.0 && self.split != Split::Last {
            if self.publish == Publish::IfBetter {
                return plan_err!(
                    "{NAME}: publish => 'if_better' compares on validation examples, and validation is 0; \
                     give it a share such as 0.1, or publish => 'always'"
                );
            }
            if self.patience.is_some() {
                return plan_err!("{NAME}: patience watches the validation metric, and validation is 0");
            }
        }
        Ok(())
    }
}
