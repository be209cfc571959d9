//! What a tower is trained on, how, and what comes of it: the types of [`super::train`].

use arrow::array::StringViewArray;

use crate::inference::runtime::{Runtime, Target};
use crate::train::failure::Failure;
use crate::train::method::Method;
use crate::train::objective::Holders;
use crate::train::objective::factors::{PROJECTION, USERS};
use crate::train::optimizer::Optimizer;
use crate::train::step::{NamedTensor, StepSession};

/// What a tower is trained on.
#[derive(Debug, Clone, Copy)]
pub struct TowerTask<'a> {
    /// The items' texts, none of them NULL.
    pub texts: &'a StringViewArray,
    /// Who has each item. Items that nobody has are left out.
    pub holders: Holders<'a>,
    /// What is taken from every vector, `[dimension]`: usually the mean of the items' vectors by the first encoder.
    pub center: &'a [f32],
    /// The first values of the projection, `[dimension, factors]`: usually a ridge regression from the centred vectors by the
    /// first encoder to the items' factors.
    pub projection: &'a [f32],
    /// The first values of the users' vectors, `[users, factors]`: usually their factors.
    pub user_factors: &'a [f32],
    /// Width of the users' vectors.
    pub factors: usize,
}

/// How a tower is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct TowerSettings {
    /// How often every item is seen.
    pub epochs: u64,
    /// Items in a batch, among which users pick.
    pub batch_items: usize,
    /// Most users in a batch; of more, so many are drawn.
    pub batch_users: usize,
    /// The highest learning rate of the encoder.
    pub learning_rate: f64,
    /// The highest learning rate of the projection and the users' vectors.
    pub head_rate: f64,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Share of the steps during which the learning rate rises; then it falls evenly to 0.
    pub warmup: f64,
    /// Largest norm of the gradient over all parameters.
    pub clip: Option<f32>,
    /// What of the encoder is trained.
    pub method: Method,
    /// Longest text in tokens, if that is less than the model reads.
    pub max_tokens: Option<usize>,
    /// Whether the encoder's vectors are scaled to length one before the centre is taken off.
    pub normalize: bool,
    /// What the products of users' vectors and items' are divided by before the softmax.
    pub temperature: f32,
    /// The seed of the batches.
    pub seed: u64,
}

impl Default for TowerSettings {
    fn default() -> Self {
        Self {
            epochs: 16,
            batch_items: 256,
            batch_users: 8192,
            learning_rate: 1.5e-4,
            head_rate: 1e-3,
            optimizer: Optimizer::AdamW { weight_decay: 0.01 },
            warmup: 0.1,
            clip: Some(1.0),
            method: Method::Full,
            max_tokens: None,
            normalize: true,
            temperature: 0.1,
            seed: 42,
        }
    }
}

/// What was trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Tower {
    /// What of the encoder was trained, and how.
    pub method: Method,
    /// The values of the encoder's parameters: name, shape, values.
    pub encoder: Vec<NamedTensor>,
    /// The projection, `[dimension, factors]`.
    pub projection: Vec<f32>,
    /// The users' vectors, `[users, factors]`.
    pub users: Vec<f32>,
}

impl Tower {
    /// The tower of which these are all values that were trained, by name.
    pub(crate) fn of(method: Method, tensors: Vec<NamedTensor>) -> Self {
        let mut tower = Self { method, encoder: Vec::new(), projection: Vec::new(), users: Vec::new() };
        for (name, shape, values) in tensors {
            match name.as_str() {
                PROJECTION => tower.projection = values,
                USERS => tower.users = values,
                _ => tower.encoder.push((name, shape, values)),
            }
        }
        tower
    }

    /// All values that were trained, by name.
    pub(crate) fn tensors(&self) -> Vec<NamedTensor> {
        let head = [(PROJECTION, &self.projection), (USERS, &self.users)];
        let head = head.map(|(name, values)| (name.to_owned(), vec![values.len()], values.clone()));
        self.encoder.iter().cloned().chain(head).collect()
    }
}

/// Where a training that was interrupted goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct TowerState {
    /// Epochs that are done.
    pub epochs: u64,
    /// What the steps have changed by then: [`StepSession::state`].
    pub tensors: Vec<NamedTensor>,
}

/// Where it is computed.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The runtime.
    pub runtime: &'static Runtime,
    /// The hardware.
    pub target: &'a Target,
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TowerStep {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Steps so far, this one included.
    pub steps: u64,
    /// The loss on the step's batch, before the step.
    pub loss: f64,
    /// The learning rate of the step.
    pub learning_rate: f64,
}

/// What an epoch came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TowerEpoch {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Steps so far.
    pub steps: u64,
    /// The mean loss over the epoch's interactions, each before its step.
    pub loss: f64,
    /// The learning rate of the epoch's last step.
    pub learning_rate: f64,
}

/// What is told of a training.
#[derive(Debug)]
pub enum TowerEvent<'a> {
    /// A step is done.
    Step(TowerStep),
    /// An epoch is done; the session holds what it takes to go on from here.
    Epoch(TowerEpoch, &'a StepSession),
}

/// Who watches a training.
pub struct Watch<'a> {
    /// Asked before every step: whether to stop.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    /// Told of every step and epoch; an error of its own ends the training.
    pub on_event: &'a mut dyn FnMut(TowerEvent<'_>) -> Result<(), Failure>,
}
