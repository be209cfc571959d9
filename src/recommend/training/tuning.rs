//! The encoder of a recommender, snapshot by snapshot: takes a snapshot and its factors, gives the tower that was tuned against them.
//!
//! The tower is tuned from the start for the oldest holdout window only. Each later snapshot goes on with the tower of the one before it,
//! as a shop would that trains every season: with its encoder, its projection and the vectors of the users that it knows. Factors
//! found anew have other axes, so users who came since begin where a ridge regression over the others puts their factors.
//!
//! A training that goes on from a version in use begins its first snapshot with that version's tower in the same way.
//!
//! The run keeps each finished tower, and the state of the one that is being tuned after each epoch: the same call, after a kill,
//! goes on with the first epoch that is not done, and comes to the same towers.

use arrow::array::{Array, StringViewArray};
use debut_udfs::finetune::FinetuneOptions;
use debut_udfs::trainer::EpochRow;

use super::fit::Tuner;
use crate::cancellation::Stop;
use crate::linalg;
use crate::linalg::dense::Matrix;
use crate::linalg::ridge::Ridge;
use crate::recommend::components::{FittedParts, Tuned, USER_LAMBDA, take_off, tuned_tower};
use crate::recommend::dataset::interactions::InteractionDataset;
use crate::recommend::dataset::snapshot::Snapshot;
use crate::recommend::model::recommender::Recommender;
use crate::registry::ModelVersion;
use crate::train::Stopped;
use crate::train::failure::failed;
use crate::train::lifecycle::{Call, resumption};
use crate::train::method::Method;
use crate::train::run::Run;
use crate::train::run::checkpoint::{Checkpoint, Epoch, Progress};
use crate::train::run::metrics::{LEARNING_RATE, TRAIN_LOSS};
use crate::train::tower::{self, Holders, Place, Tower, TowerEvent, TowerSettings, TowerState, TowerTask, Watch};

/// Epochs of a snapshot whose tower continues an earlier one, as a share of those of the first.
const CONTINUED: f64 = 0.3;

/// What tunes, and what it has tuned so far.
pub(crate) struct Tuning<'a> {
    call: &'a Call<'a>,
    run: &'a mut Run,
    bases: Bases<'a>,
    place: Place<'a>,
    dataset: &'a InteractionDataset,
    /// Of all items of the shop.
    texts: &'a StringViewArray,
    /// How many snapshots there are.
    snapshots: usize,
    /// Where the run was interrupted.
    resumed: Checkpoint,
    /// What the next row has to say.
    message: Option<&'static str>,
    before: Option<Before>,
    /// Snapshots that are tuned.
    tuned: usize,
    /// Epochs and steps so far, in all of them.
    done: Progress,
}

/// The encoders that a tuning begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bases<'a> {
    /// The one that no recommender has tuned.
    pub(crate) frozen: &'a ModelVersion,
    /// The one that is tuned: the same, or that of the version in use.
    pub(crate) tuned: &'a ModelVersion,
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

impl<'a> Tuning<'a> {
    /// Tunes for as many `snapshots`, from where `run` was interrupted, if it was. `texts` are those of all items; `before` is the
    /// tower of the version in use, where training goes on from it.
    pub(crate) fn new(
        call: &'a Call<'a>,
        run: &'a mut Run,
        bases: Bases<'a>,
        place: Place<'a>,
        (dataset, texts): (&'a InteractionDataset, &'a StringViewArray),
        snapshots: usize,
        before: Option<Before>,
    ) -> Self {
        let message = resumption(run);
        let nothing = || Checkpoint { progress: Progress::default(), tensors: Vec::new() };
        let resumed = run.take_checkpoint().unwrap_or_else(nothing);
        let done = Progress::default();
        Self { call, run, bases, place, dataset, texts, snapshots, resumed, message, before, tuned: 0, done }
    }

    /// The last tower, and the epochs and steps of all.
    pub(crate) fn finish(self) -> (Option<Tower>, Progress) {
        (self.before.map(|before| before.tower), self.done)
    }

    /// The embeddings of all texts of the shop, of length one, by the encoder that no recommender has tuned.
    pub(crate) fn embed_frozen(&self) -> Result<Matrix, Stopped> {
        self.embed(self.bases.frozen, None)
    }

    /// The same by the encoder that tuning begins with.
    pub(crate) fn embed_first(&self) -> Result<Matrix, Stopped> {
        self.embed(self.bases.tuned, None)
    }

    fn embed(&self, base: &ModelVersion, tower: Option<&Tower>) -> Result<Matrix, Stopped> {
        let stop = || self.call.is_cancelled();
        let values = tower::embed(base, tower, self.texts, self.call.options.max_tokens, self.place, &stop)?;
        let mut embeddings = Matrix::new(self.texts.len(), base.manifest.dimension, values);
        embeddings.normalize_rows();
        Ok(embeddings)
    }

    fn settings(&self) -> TowerSettings {
        let options = self.call.options;
        TowerSettings {
            epochs: epochs(options, self.before.is_none()),
            batch_items: options.batch_size,
            learning_rate: options.learning_rate,
            optimizer: options.optimizer,
            warmup: options.warmup,
            clip: options.clip.map(|clip| clip as f32),
            method: options.method.clone(),
            max_tokens: options.max_tokens,
            seed: options.seed,
            ..TowerSettings::default()
        }
    }

    /// The tower of the next snapshot: the one that the run kept, or a new one.
    fn tower(&mut self, task: &TowerTask<'_>, settings: &TowerSettings) -> Result<Tower, Stopped> {
        let steps = tower::steps(task, settings);
        if self.tuned == 0 {
            // What later snapshots take is not known yet; they have a few more items.
            let share = if self.before.is_some() { 1.0 } else { CONTINUED };
            let later = (steps as f64 * share * self.snapshots.saturating_sub(1) as f64 * 1.1) as u64;
            self.call.progress.begin(steps + later);
        }
        let (end, part) = (self.done.epoch + settings.epochs, self.tuned + 1);
        let reached = self.resumed.progress.epoch;
        let epochs = reached.saturating_sub(self.done.epoch).min(settings.epochs);
        self.repeat(reached.min(end));
        let is_kept = reached > end || (reached == end && self.run.has_part(part));
        // The state is of the snapshot that the run had reached.
        let tensors = if reached > end { Vec::new() } else { std::mem::take(&mut self.resumed.tensors) };
        let tower = if is_kept {
            Tower::of(settings.method.clone(), self.run.part(part).map_err(failed)?.tensors)
        } else {
            let state = (epochs > 0).then_some(TowerState { epochs, tensors });
            let tower = self.train(task, settings, state)?;
            let progress = Progress { history: Vec::new(), ..self.done.clone() };
            self.run.keep_part(part, &Checkpoint { progress, tensors: tower.tensors() }).map_err(failed)?;
            tower
        };
        self.tuned = part;
        Ok(tower)
    }

    /// Tells again of the epochs up to `last` that were done before the run was interrupted.
    fn repeat(&mut self, last: u64) {
        let first = self.done.epoch;
        let epochs = self.resumed.progress.history.iter().filter(|epoch| (first + 1..=last).contains(&epoch.epoch));
        for epoch in epochs {
            self.call.send(row(self.run.id(), epoch, self.message.take()));
            (self.done.epoch, self.done.step) = (epoch.epoch, epoch.step);
            self.done.history.push(epoch.clone());
        }
        self.call.progress.reach(self.done.step);
    }

    fn train(
        &mut self,
        task: &TowerTask<'_>,
        settings: &TowerSettings,
        state: Option<TowerState>,
    ) -> Result<Tower, Stopped> {
        // Epochs and steps of the snapshots before this one.
        let batches = tower::steps(task, settings) / settings.epochs.max(1);
        let epochs_before = self.done.epoch - state.as_ref().map_or(0, |state| state.epochs);
        let steps_before = self.done.step - state.as_ref().map_or(0, |state| state.epochs * batches);
        let Self { call, run, done, message, .. } = self;
        let mut on_event = |event: TowerEvent<'_>| match event {
            TowerEvent::Step(at) => {
                let step = steps_before + at.steps;
                call.progress.reach(step);
                let metrics = [(TRAIN_LOSS, at.loss), (LEARNING_RATE, at.learning_rate)];
                run.log(epochs_before + at.epoch, step, &metrics).map_err(failed)
            }
            TowerEvent::Epoch(at, session) => {
                let epoch = Epoch {
                    epoch: epochs_before + at.epoch,
                    step: steps_before + at.steps,
                    train_loss: Some(at.loss),
                    learning_rate: Some(at.learning_rate),
                    seconds: run.seconds(),
                    ..Epoch::default()
                };
                (done.epoch, done.step) = (epoch.epoch, epoch.step);
                done.history.push(epoch.clone());
                let tensors = session.state().map_err(failed)?.tensors;
                run.checkpoint(&Checkpoint { progress: done.clone(), tensors }).map_err(failed)?;
                call.send(row(run.id(), &epoch, message.take()));
                Ok(())
            }
        };
        let stop = || call.is_cancelled();
        let mut watch = Watch { stop: &stop, on_event: &mut on_event };
        // What the version in use was tuned to is in its graph already.
        let before = self.before.as_ref().map(|before| &before.tower).filter(|_| self.tuned > 0);
        tower::train(self.bases.tuned, before, task, settings, state, self.place, &mut watch)
    }
}

fn row(run: &str, epoch: &Epoch, message: Option<&str>) -> EpochRow {
    EpochRow {
        epoch: epoch.epoch,
        step: epoch.step,
        train_loss: epoch.train_loss,
        learning_rate: epoch.learning_rate,
        elapsed: epoch.seconds,
        run: run.to_owned(),
        message: message.map(str::to_owned),
        ..EpochRow::default()
    }
}

impl Tuner<Stopped> for Tuning<'_> {
    fn tune(
        &mut self,
        embeddings: &Matrix,
        snapshot: &Snapshot,
        fitted: &FittedParts,
    ) -> Result<Option<Tuned>, Stopped> {
        let own = snapshot.items.iter().map(|item| self.dataset.items.texts.value(*item as usize));
        let own = StringViewArray::from_iter_values(own);
        let call = self.call;
        let stop = || call.is_cancelled();
        let start = match &self.before {
            Some(before) => before.resume(&snapshot.users, &fitted.users, &stop),
            None => begin(embeddings.gather(&snapshot.items), fitted, &stop),
        };
        let Start { center, projection, users } = start?;
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
        let tower = self.tower(&task, &settings)?;
        let tuned = Tuned {
            center: center.clone(),
            projection: Matrix::new(center.len(), factors, tower.projection.clone()),
            users: Matrix::new(snapshot.users.len(), factors, tower.users.clone()),
            embeddings: self.embed(self.bases.tuned, Some(&tower))?,
        };
        self.before = Some(Before { tower, center, users: snapshot.users.clone() });
        Ok(Some(tuned))
    }
}

/// A first tower, for items of these embeddings: it begins with the factors and with what predicts them best.
fn begin(mut embeddings: Matrix, fitted: &FittedParts, stop: Stop<'_>) -> Result<Start, linalg::Error> {
    let parts = &fitted.parts;
    let center = embeddings.mean();
    take_off(&mut embeddings, &center);
    let lambda = parts.settings.embedding_lambda;
    let ridge = Ridge::fit_dense(&embeddings, &parts.item_factors, lambda, None, stop)?;
    Ok(Start { center, projection: ridge.weights.values().to_vec(), users: fitted.users.clone() })
}

impl Before {
    /// The tower of a version in use, for the users who are still in the shop; `None` if it has none.
    pub(crate) fn of(version: &Recommender, dataset: &InteractionDataset, method: Method) -> Option<Self> {
        let (center, projection, vectors) = tuned_tower(&version.components, &version.representations)?;
        // Both are in the order of the ids.
        let found =
            (0..version.users.len()).map(|user| Some((user as u32, dataset.users.find(version.users.get(user))?)));
        let (rows, users): (Vec<u32>, Vec<u32>) = found.flatten().unzip();
        let (projection, vectors) = (projection.values().to_vec(), vectors.gather(&rows).values().to_vec());
        let tower = Tower { method, encoder: Vec::new(), projection, users: vectors };
        Some(Self { tower, center: center.to_vec(), users })
    }

    /// Begins a tower for the users of a later snapshot, who are these and some more: their numbers in the shop, ascending, and their
    /// factors as they are then.
    fn resume(&self, users: &[u32], factors: &Matrix, stop: Stop<'_>) -> Result<Start, linalg::Error> {
        let vectors = Matrix::new(self.users.len(), factors.columns(), self.tower.users.clone());
        let places = users.iter().map(|user| self.users.binary_search(user).ok().map(|place| place as u32));
        let places = places.collect::<Vec<_>>();
        let known = (0..).zip(&places).filter_map(|(user, place)| Some((user, (*place)?)));
        let (now, then): (Vec<u32>, Vec<u32>) = known.unzip();
        let ridge = Ridge::fit_dense(&factors.gather(&now), &vectors.gather(&then), USER_LAMBDA, None, stop)?;
        let mut users = ridge.predict_dense(factors);
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
