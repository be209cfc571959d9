//! The encoder of a recommender, snapshot by snapshot: takes a snapshot and its factors, gives the tower that was tuned against them.
//! Called by `fit` for each holdout window, and made by `trainer`.
//!
//! The tower is tuned from the start for the oldest holdout window only. Each later snapshot goes on with the tower of the one before it,
//! as a shop would that trains every season: with its encoder, its projection and the vectors of the users that it knows. Factors
//! found anew have other axes, so users who came since begin where a ridge regression over the others puts their factors.

use std::time::Instant;

use arrow::array::{Array, StringViewArray};
use debut_udfs::finetune::FinetuneOptions;
use debut_udfs::progress::Progress;
use debut_udfs::trainer::EpochRow;

use super::fit::{Tuned, Tuner};
use crate::background::Listener;
use crate::cancellation::Stop;
use crate::linalg;
use crate::linalg::dense::Matrix;
use crate::linalg::ridge::DenseRidge;
use crate::recommend::calls::train::failed;
use crate::recommend::components::{Fitted, USER_LAMBDA, take_off};
use crate::recommend::dataset::interactions::InteractionDataset;
use crate::recommend::dataset::snapshot::Snapshot;
use crate::registry::ModelVersion;
use crate::train::Stopped;
use crate::train::run::Run;
use crate::train::run::metrics::{LEARNING_RATE, TRAIN_LOSS};
use crate::train::tower::{self, Holders, Place, Tower, TowerEpoch, TowerSettings, TowerStep, TowerTask, Watch};

/// Epochs of a snapshot whose tower continues an earlier one, as a share of those of the first.
const CONTINUED: f64 = 0.3;

/// What tunes, and what it has tuned so far.
pub(crate) struct Tuning<'a> {
    pub(crate) options: &'a FinetuneOptions,
    pub(crate) progress: &'a Progress,
    pub(crate) listener: &'a Listener<EpochRow>,
    pub(crate) run: &'a mut Run,
    pub(crate) base: &'a ModelVersion,
    pub(crate) place: Place<'a>,
    pub(crate) dataset: &'a InteractionDataset,
    /// Of all items of the shop.
    pub(crate) texts: &'a StringViewArray,
    /// How many snapshots there are.
    pub(crate) snapshots: usize,
    pub(crate) before: Option<Before>,
    /// Steps and epochs so far.
    pub(crate) done: u64,
    pub(crate) epoch: u64,
    pub(crate) started: Instant,
}

/// The tower of the snapshot before.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) tower: Tower,
    center: Vec<f32>,
    /// The users that it knows, by number in the shop, ascending.
    users: Vec<u32>,
}

/// Where a tower begins.
struct Start {
    center: Vec<f32>,
    projection: Vec<f32>,
    users: Matrix,
}

/// Epochs of the first snapshot, or of a later one.
pub(crate) fn epochs(options: &FinetuneOptions, is_first: bool) -> u64 {
    let continued = ((options.epochs as f64 * CONTINUED).round() as u64).max(1);
    if is_first { options.epochs } else { continued }
}

impl Tuning<'_> {
    /// The embeddings of all texts of the shop, of length one, by this tower or the base.
    pub(crate) fn embed(&self, tower: Option<&Tower>) -> Result<Matrix, Stopped> {
        let stop = || self.listener.is_gone();
        let values = tower::embed(self.base, tower, self.texts, self.options.max_tokens, self.place, &stop)?;
        let mut embeddings = Matrix::new(self.texts.len(), self.base.manifest.dimension, values);
        embeddings.normalize_rows();
        Ok(embeddings)
    }

    fn settings(&self) -> TowerSettings {
        let options = self.options;
        TowerSettings {
            epochs: epochs(options, self.before.is_none()),
            batch_items: options.batch_size,
            learning_rate: options.learning_rate,
            weight_decay: options.weight_decay,
            warmup: options.warmup,
            clip: options.clip.map(|clip| clip as f32),
            method: crate::train::method_of(options),
            max_tokens: options.max_tokens,
            seed: options.seed,
            ..TowerSettings::default()
        }
    }

    fn train(&mut self, task: &TowerTask<'_>, settings: &TowerSettings) -> Result<Tower, Stopped> {
        let steps = tower::steps(task, settings);
        if self.before.is_none() {
            // What later snapshots take is not known yet; they have a few more items.
            let later = (steps as f64 * CONTINUED * self.snapshots.saturating_sub(1) as f64 * 1.1) as u64;
            self.progress.begin(steps + later);
        }
        let (done, listener, started) = (self.done, self.listener, self.started);
        let (epochs, id) = (self.epoch, self.run.id().to_owned());
        let run = &mut *self.run;
        let mut logged = Ok(());
        let mut step = |at: TowerStep| {
            self.progress.reach(done + at.steps);
            if logged.is_ok() {
                let metrics = [(TRAIN_LOSS, at.loss), (LEARNING_RATE, at.learning_rate)];
                logged = run.log(epochs + at.epoch, done + at.steps, &metrics);
            }
        };
        let mut epoch = |at: TowerEpoch| {
            listener.send(Ok(EpochRow {
                epoch: epochs + at.epoch,
                step: done + at.steps,
                train_loss: Some(at.loss),
                learning_rate: Some(at.learning_rate),
                elapsed: started.elapsed().as_secs_f64(),
                run: id.clone(),
                ..EpochRow::default()
            }));
        };
        let stop = || listener.is_gone();
        let mut watch = Watch { stop: &stop, step: &mut step, epoch: &mut epoch };
        let before = self.before.as_ref().map(|before| &before.tower);
        let tower = tower::train(self.base, before, task, settings, self.place, &mut watch)?;
        logged.map_err(failed)?;
        self.done += steps;
        self.epoch += settings.epochs;
        Ok(tower)
    }
}

impl Tuner<Stopped> for Tuning<'_> {
    fn tune(&mut self, embeddings: &Matrix, snapshot: &Snapshot, fitted: &Fitted) -> Result<Option<Tuned>, Stopped> {
        let own = snapshot.items.iter().map(|item| self.dataset.items.texts.value(*item as usize));
        let own = StringViewArray::from_iter_values(own);
        let listener = self.listener;
        let stop = || listener.is_gone();
        let start = match &self.before {
            Some(before) => before.resume(&snapshot.users, &fitted.users, &stop),
            None => begin(embeddings.gather(&snapshot.items), fitted, &stop),
        };
        let Start { center, projection, users } = start.map_err(|error| match error {
            linalg::Error::Cancelled(_) => Stopped::Cancelled,
            error @ linalg::Error::Singular(_) => failed(error),
        })?;
        let owners = snapshot.history.transpose();
        let (starts, holders, weights) = owners.parts();
        let factors = users.columns();
        let task = TowerTask {
            texts: &own,
            holders: Holders { starts, users: holders, weights },
            center: &center,
            projection: &projection,
            user_factors: users.values(),
            factors,
        };
        let settings = self.settings();
        let tower = self.train(&task, &settings)?;
        let tuned = Tuned {
            center: center.clone(),
            projection: Matrix::new(center.len(), factors, tower.projection.clone()),
            users: Matrix::new(snapshot.users.len(), factors, tower.users.clone()),
            embeddings: self.embed(Some(&tower))?,
        };
        self.before = Some(Before { tower, center, users: snapshot.users.clone() });
        Ok(Some(tuned))
    }
}

/// A first tower, for items of these embeddings: it begins with the factors and with what predicts them best.
fn begin(mut embeddings: Matrix, fitted: &Fitted, stop: Stop<'_>) -> Result<Start, linalg::Error> {
    let components = &fitted.components;
    let center = embeddings.mean();
    take_off(&mut embeddings, &center);
    let lambda = components.settings.embedding_lambda;
    let ridge = DenseRidge::fit(&embeddings, &components.item_factors, lambda, None, stop)?;
    Ok(Start { center, projection: ridge.weights.values().to_vec(), users: fitted.users.clone() })
}

impl Before {
    /// Begins a tower for the users of a later snapshot, who are these and some more: their numbers in the shop, ascending, and their
    /// factors as they are then.
    fn resume(&self, users: &[u32], factors: &Matrix, stop: Stop<'_>) -> Result<Start, linalg::Error> {
        let vectors = Matrix::new(self.users.len(), factors.columns(), self.tower.users.clone());
        let places = users.iter().map(|user| self.users.binary_search(user).ok().map(|place| place as u32));
        let places = places.collect::<Vec<_>>();
        let known = (0..).zip(&places).filter_map(|(user, place)| Some((user, (*place)?)));
        let (now, then): (Vec<u32>, Vec<u32>) = known.unzip();
        let ridge = DenseRidge::fit(&factors.gather(&now), &vectors.gather(&then), USER_LAMBDA, None, stop)?;
        let mut users = ridge.predict(factors);
        for (user, place) in places.iter().enumerate() {
            if let Some(place) = place {
                users.row_mut(user).copy_from_slice(vectors.row(*place as usize));
            }
        }
        Ok(Start { center: self.center.clone(), projection: self.tower.projection.clone(), users })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::train::method::Method;

    /// Factors found anew have other axes: here the vectors of the tower are the factors turned by a right angle.
    #[test]
    fn users_who_came_since_begin_where_their_factors_put_them() {
        let mut random = Random::new(3, 1);
        let factors = Matrix::new(60, 2, (0..120).map(|_| 10.0 * random.normal() as f32).collect());
        let turned = |user: usize| [-factors.row(user)[1], factors.row(user)[0]];
        // Every third user is new.
        let users = (100..160).collect::<Vec<u32>>();
        let is_known = |place: usize| !place.is_multiple_of(3);
        let known = (0..60).filter(|place| is_known(*place)).collect::<Vec<_>>();
        let tower = Tower {
            method: Method::Head,
            encoder: Vec::new(),
            projection: vec![0.5; 6],
            users: known.iter().flat_map(|place| turned(*place)).collect(),
        };
        let before = Before { tower, center: vec![0.1; 3], users: known.iter().map(|place| users[*place]).collect() };
        let start = before.resume(&users, &factors, &|| false).unwrap();
        assert_eq!((start.center.as_slice(), start.projection.as_slice()), (&[0.1; 3][..], &[0.5; 6][..]));
        for place in 0..60 {
            let (expected, got) = (turned(place), start.users.row(place));
            let distance = expected.iter().zip(got).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            assert!(distance <= if is_known(place) { 0.0 } else { 0.1 }, "user {place}: {got:?}, not {expected:?}");
        }
    }
}
