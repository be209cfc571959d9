//! Epochs of steps: takes a task, gives the tower after the last one. May compute for minutes or hours.

use std::collections::HashMap;

use arrow::array::Array;
use debut_udfs::finetune::Schedule;

use super::groups::Groups;
use super::task::{Place, Tower, TowerEpoch, TowerEvent, TowerSettings, TowerState, TowerStep, TowerTask, Watch};
use crate::registry::ModelVersion;
use crate::train::error::Error;
use crate::train::failure::{Result, Stopped, failed};
use crate::train::measure::open_encoder;
use crate::train::method;
use crate::train::objective::Batches;
use crate::train::objective::factors::Factors;
use crate::train::optimizer::schedule;
use crate::train::parameter::Parameter;
use crate::train::random::Purpose;
use crate::train::step::{self, Precision, State, StepSession, TrainGraph};

/// Steps that [`train`] takes.
pub fn steps(task: &TowerTask<'_>, settings: &TowerSettings) -> u64 {
    Batches::count(held(task).len(), settings.batch_items) as u64 * settings.epochs
}

/// The items that somebody has.
fn held(task: &TowerTask<'_>) -> Vec<u32> {
    let items = 0..task.texts.len() as u32;
    items.filter(|item| task.holders.of(*item).next().is_some()).collect()
}

/// Trains a tower on top of `base`. It begins at the task's first values, and with the encoder of `base`, or of `start`, which
/// was trained from the same base with the same method. With `state`, from the very same training, it goes on there and comes
/// to the same.
///
/// # Errors
/// [`Stopped::Cancelled`]; or the task's parts or the state do not fit each other or the base, a loss is not finite, the
/// runtime fails, or who watches does.
pub fn train(
    base: &ModelVersion,
    start: Option<&Tower>,
    task: &TowerTask<'_>,
    settings: &TowerSettings,
    state: Option<TowerState>,
    place: Place<'_>,
    watch: &mut Watch<'_>,
) -> Result<Tower, Stopped> {
    let users = task.user_factors.len() / task.factors.max(1);
    check(base, task, users)?;
    let objective = Factors {
        holders: task.holders,
        users,
        most_users: settings.batch_users,
        center: task.center,
        width: task.factors,
        normalize: settings.normalize,
        temperature: settings.temperature,
    };
    let texts = super::version::tokenize(base, task.texts, settings.max_tokens, watch.stop)?;
    let items = held(task);
    let (graph, groups) =
        graph(base, start, task, settings, &objective, Groups::wanted(items.len(), settings, place.target))?;
    let environment = place.runtime.environment();
    let mut session = StepSession::open(&graph, environment, place.target, Precision::Full).map_err(failed)?;
    drop(graph);

    let total = steps(task, settings);
    let warm_up = (settings.warmup * total as f64).round() as u64;
    let (mut done, mut first) = (0, 0);
    if let Some(TowerState { epochs, tensors }) = state {
        (first, done) = (epochs, epochs * Batches::count(items.len(), settings.batch_items) as u64);
        session.restore(&State { step: done, batches: done, pending: 0, tensors }).map_err(failed)?;
    }
    for epoch in first..settings.epochs {
        // Epochs are few: thousands would take weeks.
        let batches = Batches::train(&items, settings.batch_items, settings.seed, epoch as u32);
        let (mut sum, mut weight, mut rate) = (0.0, 0.0, 0.0);
        for index in 0..batches.len() {
            if (watch.stop)() {
                return Err(Stopped::Cancelled);
            }
            let mut random = Purpose::Batch.of_batch(settings.seed, epoch as u32, index as u32);
            let mut chosen = batches.examples(index).to_vec();
            let feeds = groups.feeds(&mut chosen, &texts);
            let batch = objective.batch(&chosen, &mut random);
            let feeds = feeds.into_iter().chain(batch.feeds).collect::<Vec<_>>();
            rate = schedule::rate(Schedule::Linear, settings.learning_rate, done, total, warm_up);
            let outcome = session.step(&feeds, rate as f32, true).map_err(failed)?;
            let loss = f64::from(outcome.loss);
            sum += loss * f64::from(batch.weight);
            weight += f64::from(batch.weight);
            done += 1;
            (watch.on_event)(TowerEvent::Step(TowerStep { epoch: epoch + 1, steps: done, loss, learning_rate: rate }))?;
        }
        let loss = if weight > 0.0 { sum / weight } else { 0.0 };
        let came_to = TowerEpoch { epoch: epoch + 1, steps: done, loss, learning_rate: rate };
        (watch.on_event)(TowerEvent::Epoch(came_to, &session))?;
    }
    Ok(Tower::of(settings.method.clone(), session.parameters().map_err(failed)?))
}

/// The graph of a step.
fn graph(
    base: &ModelVersion,
    start: Option<&Tower>,
    task: &TowerTask<'_>,
    settings: &TowerSettings,
    objective: &Factors<'_>,
    groups: usize,
) -> Result<(TrainGraph, Groups)> {
    let mut encoder = open_encoder(&base.graph(), &base.manifest)?;
    let mut parameters = method::apply(&settings.method, &mut encoder, settings.seed).map_err(failed)?;
    if let Some(start) = start {
        begin_at(&mut parameters, start).map_err(failed)?;
    }
    let groups = Groups::split(&mut encoder, &parameters, groups);
    let rate = (settings.head_rate / settings.learning_rate) as f32;
    let [projection, users] = objective.parameters(task.projection, task.user_factors, rate);
    let head = [encoder.declare(projection.clone()).map_err(failed)?, encoder.declare(users.clone()).map_err(failed)?];
    let embeddings = encoder.embeddings.clone();
    let loss = objective.loss(&mut encoder.graph, &embeddings, &head);
    parameters.extend([projection, users]);
    let step =
        step::Settings { optimizer: settings.optimizer, clip: settings.clip, accumulate: false, seed: settings.seed };
    Ok((TrainGraph::build(encoder, parameters, &loss, &[], step).map_err(failed)?, groups))
}

/// Sets the encoder's parameters to those of a tower.
fn begin_at(parameters: &mut [Parameter], start: &Tower) -> Result<(), Error> {
    let trained = start.encoder.iter().map(|(name, _, values)| (name.as_str(), values)).collect::<HashMap<_, _>>();
    for parameter in parameters {
        let wrong = |problem: &str| Error::Trained { tensor: parameter.name.clone(), problem: problem.into() };
        let values = trained.get(parameter.name.as_str()).ok_or_else(|| wrong("is missing"))?;
        if values.len() != parameter.values.len() {
            return Err(wrong("has another shape"));
        }
        parameter.values.clone_from(values);
    }
    Ok(())
}

fn check(base: &ModelVersion, task: &TowerTask<'_>, users: usize) -> Result<()> {
    let dimension = base.manifest.dimension;
    let sizes = [
        ("center", task.center.len(), dimension),
        ("projection", task.projection.len(), dimension * task.factors),
        ("user factors", task.user_factors.len(), users * task.factors),
        ("starts of items", task.holders.starts.len(), task.texts.len() + 1),
    ];
    let misfit = sizes.into_iter().find(|(_, found, expected)| found != expected);
    if let Some((part, found, expected)) = misfit {
        return Err(failed(Misfit { part, found, expected }));
    }
    let last = task.holders.users.iter().max().map_or(0, |user| *user as usize + 1);
    if last > users {
        return Err(failed(Misfit { part: "users", found: last, expected: users }));
    }
    Ok(())
}

/// Parts of a task that do not fit: a mistake of the caller's.
#[derive(Debug, thiserror::Error)]
#[error("a tower's {part} are {found} where {expected} are expected")]
struct Misfit {
    part: &'static str,
    found: usize,
    expected: usize,
}
