//! What a step is given: takes examples, gives their distinct texts or pictures and the values of the loss's inputs.

use std::collections::HashMap;
use std::ops::Range;

use super::Objective;
use super::metrics::Outcome;
use crate::train::random::Purpose;
use crate::train::step::feed::{Feed, FeedValues};

/// Examples in a validation batch. Fixed, because metrics within a batch depend on it: runs with different batch sizes
/// stay comparable.
pub const VALIDATION_SIZE: usize = 64;

/// What a step is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// What to encode, rows of the dataset's inputs, each once. The graph's embeddings must be in this order.
    pub inputs: Vec<u32>,
    /// The values of the inputs that [`Objective::loss`] declared.
    pub feeds: Vec<Feed>,
    /// The sum of the examples' weights. The loss of several batches together is the mean of theirs, weighted by this.
    pub weight: f32,
}

impl Batch {
    /// The floats of a feed; none if there is no such feed.
    pub(super) fn floats(&self, name: &str) -> &[f32] {
        match self.feed(name).map(|feed| &feed.values) {
            Some(FeedValues::F32(values)) => values,
            _ => &[],
        }
    }

    /// The input of an example, a row of the dataset's inputs: the feed `name` holds its place among [`Self::inputs`].
    pub(super) fn input(&self, name: &str, example: usize) -> Option<u32> {
        let Some(FeedValues::I64(places)) = self.feed(name).map(|feed| &feed.values) else { return None };
        self.inputs.get(usize::try_from(*places.get(example)?).ok()?).copied()
    }

    /// The size of a feed's last axis; 1 if there is no such feed.
    pub(super) fn width(&self, name: &str) -> usize {
        self.feed(name).and_then(|feed| feed.shape.last()).map_or(1, |size| (*size).max(1))
    }

    /// The examples that it is made of: the rows of their shares.
    pub(in crate::train) fn examples(&self) -> usize {
        self.feeds.iter().find(|feed| is_shares(feed)).and_then(|feed| feed.shape.first()).copied().unwrap_or(0)
    }

    /// Makes it the batch in which each example of `other` counts as many times as `counts` says; both have the same feeds.
    pub(in crate::train) fn count_as(&mut self, other: &Self, counts: &[u32]) {
        for (own, other) in self.feeds.iter_mut().zip(&other.feeds).filter(|(feed, _)| is_shares(feed)) {
            let (FeedValues::F32(own), FeedValues::F32(shares)) = (&mut own.values, &other.values) else { continue };
            let width = (shares.len() / counts.len().max(1)).max(1);
            let rows = own.chunks_exact_mut(width).zip(shares.chunks_exact(width)).zip(counts);
            for ((own, shares), count) in rows {
                own.iter_mut().zip(shares).for_each(|(own, share)| *own = share * *count as f32);
            }
        }
    }

    fn feed(&self, name: &str) -> Option<&Feed> {
        self.feeds.iter().find(|feed| feed.name == name)
    }
}

/// Whether a feed says how much each example counts. Every objective calls it so.
fn is_shares(feed: &Feed) -> bool {
    feed.name.ends_with("/shares")
}

/// A validation batch and what the graph made of it.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// The values of [`super::Forward::outputs`], in that order.
    pub outputs: &'a [Vec<f32>],
}

impl Scored<'_> {
    /// The first output.
    pub(super) fn output(&self) -> &[f32] {
        self.outputs.first().map_or(&[], Vec::as_slice)
    }

    /// The examples' weights: the feed `name` holds their shares of the batch's.
    pub(super) fn weights(&self, name: &str) -> impl Iterator<Item = f64> {
        self.batch.floats(name).iter().map(|share| f64::from(*share) * f64::from(self.batch.weight))
    }
}

/// The first outputs beside what they should have been: the feed `truths`, weighted by the feed `shares`.
pub(super) fn outcomes(batches: &[Scored<'_>], truths: &str, shares: &str) -> Vec<Outcome> {
    let of = |scored: &Scored<'_>| {
        let rows = scored.output().iter().zip(scored.batch.floats(truths)).zip(scored.weights(shares));
        let outcome = |((prediction, truth), weight): ((&f32, &f32), f64)| Outcome {
            prediction: f64::from(*prediction),
            truth: f64::from(*truth),
            weight,
        };
        rows.map(outcome).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of).collect()
}

/// The distinct inputs of a batch while it is made.
#[derive(Debug, Default)]
pub(super) struct BatchInputs {
    inputs: Vec<u32>,
    places: HashMap<u32, i64>,
}

impl BatchInputs {
    /// For about `count` of them.
    pub(super) fn with_capacity(count: usize) -> Self {
        Self { inputs: Vec::with_capacity(count), places: HashMap::with_capacity(count) }
    }

    /// The place of an input among the batch's.
    pub(super) fn place(&mut self, input: u32) -> i64 {
        *self.places.entry(input).or_insert_with(|| {
            self.inputs.push(input);
            self.inputs.len() as i64 - 1
        })
    }

    /// The inputs, in the order of their places.
    pub(super) fn finish(self) -> Vec<u32> {
        self.inputs
    }
}

/// Makes shares of weights, in place: divides them by their sum, which is returned. Zeros stay zeros.
pub(super) fn shares(weights: &mut [f32]) -> f32 {
    let sum = weights.iter().map(|weight| f64::from(*weight)).sum::<f64>();
    if sum > 0.0 {
        weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) / sum) as f32);
    }
    sum as f32
}

/// The batches of an epoch or of validation: which examples, in which order, with which random numbers.
#[derive(Debug, Clone)]
pub struct Batches {
    order: Vec<u32>,
    count: usize,
    seed: u64,
    purpose: Purpose,
    epoch: u32,
}

impl Batches {
    /// The batches of an epoch, the same for the same seed and epoch: the examples in a new order, in as few batches of at
    /// most `size` as there can be. Their sizes differ by one at most, so that no small last batch takes a step of its own
    /// weight. Epochs count from 0.
    pub fn train(train: &[u32], size: usize, seed: u64, epoch: u32) -> Self {
        let mut order = train.to_vec();
        Purpose::Order.of_batch(seed, epoch, 0).shuffle(&mut order);
        Self { count: Self::count(order.len(), size), order, seed, purpose: Purpose::Batch, epoch }
    }

    /// The batches of validation, of [`VALIDATION_SIZE`] at most: mixed once, so that examples of one user or time do not
    /// meet in one batch, and then always the same, negatives included.
    pub fn validation(validation: &[u32], seed: u64) -> Self {
        let mut order = validation.to_vec();
        Purpose::Validation.random(seed).shuffle(&mut order);
        Self {
            count: Self::count(order.len(), VALIDATION_SIZE),
            order,
            seed,
            purpose: Purpose::Validation,
            epoch: u32::MAX,
        }
    }

    /// How many batches of at most `size` these many examples make.
    pub fn count(examples: usize, size: usize) -> usize {
        examples.div_ceil(size.max(1))
    }

    /// Number of batches.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The examples of a batch; none beyond the last.
    pub fn examples(&self, index: usize) -> &[u32] {
        self.order.get(self.range(index)).unwrap_or_default()
    }

    fn range(&self, index: usize) -> Range<usize> {
        if index >= self.count {
            return 0..0;
        }
        let at = |index: usize| index * self.order.len() / self.count;
        at(index)..at(index + 1)
    }

    /// A batch.
    pub fn batch(&self, objective: &dyn Objective, index: usize) -> Batch {
        let mut random = self.purpose.of_batch(self.seed, self.epoch, index as u32);
        objective.batch(self.examples(index), &mut random)
    }
}
