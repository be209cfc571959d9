//! A small encoder against PyTorch (`tests/reference/tower.json`, written by `make_tower.py`), and what must hold of any
//! training: it repeats itself, goes on, stops, and what it publishes is what it trained.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::cell::Cell;

use arrow::array::StringViewArray;
use serde::Deserialize;
use tempfile::TempDir;

use super::*;
use crate::fetch::silent;
use crate::home::Home;
use crate::inference::fixtures;
use crate::inference::runtime::Target;
use crate::registry::{ImportOptions, ModelVersion, Registry};
use crate::train::Stopped;
use crate::train::failure::failed;
use crate::train::method::Method;
use crate::train::optimizer::Optimizer;

/// Single precision, amplified by Adam, which divides by the gradient's own size.
const TOLERANCE: f64 = 2e-4;
const DIMENSION: usize = 32;
const FACTORS: usize = 4;
const USERS: usize = 7;

#[derive(Deserialize)]
struct Reference {
    texts: Vec<String>,
    holders: Vec<Vec<u32>>,
    unit: Case,
    pooled: Case,
}

#[derive(Deserialize)]
struct Case {
    losses: Vec<f64>,
    projection: Vec<f64>,
    users: Vec<f64>,
    /// The first item's vector less the second's.
    between: Vec<f64>,
}

/// The first values of `make_tower.py`.
fn formula(rows: usize, columns: usize, [a, b]: [usize; 2], scale: f32) -> Vec<f32> {
    let cell = |place: usize| (place / columns * a + place % columns * b) % 97;
    (0..rows * columns).map(|place| (cell(place) as f32 / 97.0 - 0.5) * scale).collect()
}

struct Bench {
    _folder: TempDir,
    registry: Registry,
    base: ModelVersion,
    texts: StringViewArray,
    starts: Vec<usize>,
    users: Vec<u32>,
    weights: Vec<f32>,
    center: Vec<f32>,
    projection: Vec<f32>,
    factors: Vec<f32>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(&Home::at(folder.path().join("home")));
        let model = fixtures::reference_folder("bert-mean-normalize");
        let base = registry.import("small", model.to_str().unwrap(), &ImportOptions::default(), &silent).unwrap();
        let Reference { texts, holders, .. } = reference();
        let mut starts = vec![0];
        starts.extend(holders.iter().scan(0, |end, users| {
            *end += users.len();
            Some(*end)
        }));
        Self {
            _folder: folder,
            registry,
            base,
            texts: StringViewArray::from_iter_values(texts),
            starts,
            weights: holders.iter().flat_map(|users| (0..users.len()).map(|place| 1.0 + place as f32 / 2.0)).collect(),
            users: holders.concat(),
            center: formula(1, DIMENSION, [3, 11], 0.2),
            projection: formula(DIMENSION, FACTORS, [37, 101], 1.0),
            factors: formula(USERS, FACTORS, [29, 13], 2.0),
        }
    }

    fn task(&self) -> TowerTask<'_> {
        TowerTask {
            texts: &self.texts,
            holders: Holders { starts: &self.starts, users: &self.users, weights: &[] },
            center: &self.center,
            projection: &self.projection,
            user_factors: &self.factors,
            factors: FACTORS,
        }
    }

    fn train(&self, start: Option<&Tower>, task: &TowerTask<'_>, settings: &TowerSettings) -> (Tower, Vec<TowerEpoch>) {
        let mut epochs = Vec::new();
        let mut on_event = |event: TowerEvent<'_>| {
            if let TowerEvent::Epoch(epoch, _) = event {
                epochs.push(epoch);
            }
            Ok(())
        };
        let mut watch = Watch { stop: &|| false, on_event: &mut on_event };
        let tower = train(&self.base, start, task, settings, None, place(), &mut watch).unwrap();
        (tower, epochs)
    }

    /// Trains from `state`, and gives the state after every epoch too.
    fn states(&self, settings: &TowerSettings, state: Option<TowerState>) -> (Tower, Vec<TowerState>) {
        let mut states = Vec::new();
        let mut on_event = |event: TowerEvent<'_>| {
            if let TowerEvent::Epoch(epoch, session) = event {
                let tensors = session.state().map_err(failed)?.tensors;
                states.push(TowerState { epochs: epoch.epoch, tensors });
            }
            Ok(())
        };
        let mut watch = Watch { stop: &|| false, on_event: &mut on_event };
        let tower = train(&self.base, None, &self.task(), settings, state, place(), &mut watch).unwrap();
        (tower, states)
    }

    fn embed(&self, tower: Option<&Tower>) -> Vec<f32> {
        embed(&self.base, tower, &self.texts, None, place(), &|| false).unwrap()
    }
}

fn reference() -> Reference {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/tower.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn place() -> Place<'static> {
    Place { runtime: fixtures::runtime(), target: &Target::Cpu }
}

fn settings() -> TowerSettings {
    TowerSettings {
        epochs: 12,
        learning_rate: 1e-3,
        head_rate: 5e-3,
        optimizer: Optimizer::AdamW { weight_decay: 0.1 },
        warmup: 0.25,
        temperature: 0.5,
        ..TowerSettings::default()
    }
}

fn close(what: &str, found: impl IntoIterator<Item = f64>, expected: &[f64]) {
    let found = found.into_iter().collect::<Vec<_>>();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        assert!(error <= TOLERANCE * expected.abs().max(1.0), "{what}, {at}: {found} instead of {expected}");
    }
}

fn wide(values: &[f32]) -> impl Iterator<Item = f64> {
    values.iter().map(|value| f64::from(*value))
}

#[test]
fn a_training_is_that_of_pytorch() {
    let bench = Bench::new();
    let Reference { unit, pooled, .. } = reference();
    for (case, normalize) in [(unit, true), (pooled, false)] {
        let mut task = bench.task();
        if !normalize {
            task.holders.weights = &bench.weights;
        }
        let (tower, epochs) = bench.train(None, &task, &TowerSettings { normalize, ..settings() });
        close("loss", epochs.iter().map(|epoch| epoch.loss), &case.losses);
        close("projection", wide(&tower.projection), &case.projection);
        close("users", wide(&tower.users), &case.users);
        let mut vectors = bench.embed(Some(&tower))[..2 * DIMENSION].to_vec();
        if normalize {
            vectors.chunks_exact_mut(DIMENSION).for_each(crate::train::objective::normalize);
        }
        let (first, second) = vectors.split_at(DIMENSION);
        let between = wide(first).zip(wide(second)).map(|(first, second)| first - second);
        close("difference of the first items' vectors", between, &case.between);
    }
}

#[test]
fn the_same_seed_gives_the_same_tower_and_another_does_not() {
    let bench = Bench::new();
    let settings = TowerSettings { batch_items: 3, batch_users: 4, epochs: 3, ..settings() };
    let first = bench.train(None, &bench.task(), &settings);
    assert_eq!(steps(&bench.task(), &settings), 9);
    assert_eq!(first.1.last().unwrap().steps, 9);
    assert_eq!(first, bench.train(None, &bench.task(), &settings));
    assert_ne!(first.0, bench.train(None, &bench.task(), &TowerSettings { seed: 43, ..settings }).0);
}

#[test]
fn a_training_that_was_interrupted_comes_to_the_same() {
    let bench = Bench::new();
    let lora = Method::Lora { rank: 2, alpha: 4.0, dropout: 0.1, targets: vec!["all".into()] };
    for method in [Method::Full, lora] {
        let settings = TowerSettings { method, batch_items: 3, batch_users: 4, epochs: 4, ..settings() };
        let (whole, states) = bench.states(&settings, None);
        assert_eq!(whole, Tower::of(settings.method.clone(), whole.tensors()), "what is kept of it is all of it");
        for (done, state) in states.iter().enumerate() {
            let (tower, rest) = bench.states(&settings, Some(state.clone()));
            assert_eq!((tower, rest.as_slice()), (whole.clone(), &states[done + 1..]), "after epoch {}", done + 1);
        }
    }
}

#[test]
fn who_watches_can_end_a_training() {
    let bench = Bench::new();
    let mut on_event = |event: TowerEvent<'_>| match event {
        TowerEvent::Step(_) => Ok(()),
        TowerEvent::Epoch(..) => Err(failed(std::io::Error::other("no space left"))),
    };
    let mut watch = Watch { stop: &|| false, on_event: &mut on_event };
    let stopped = train(&bench.base, None, &bench.task(), &settings(), None, place(), &mut watch).unwrap_err();
    assert!(matches!(stopped, Stopped::Failed(failure) if failure.to_string() == "no space left"));
}

#[test]
fn a_tower_goes_on_with_other_users() {
    let bench = Bench::new();
    let (tower, epochs) = bench.train(None, &bench.task(), &settings());
    // With the users and the projection that it has trained the loss goes on where it was.
    let task = TowerTask { user_factors: &tower.users, projection: &tower.projection, ..bench.task() };
    let (_, next) = bench.train(Some(&tower), &task, &settings());
    assert!(next[0].loss < epochs[11].loss, "{} {}", next[0].loss, epochs[11].loss);
    assert!(next[11].loss < next[0].loss);
    // Two users less than the tower had.
    let users = bench.users.iter().map(|user| user % 5).collect::<Vec<_>>();
    let task = TowerTask { user_factors: &bench.factors[..5 * FACTORS], ..task };
    let task = TowerTask { holders: Holders { users: &users, ..task.holders }, ..task };
    assert_eq!(bench.train(Some(&tower), &task, &settings()).0.users.len(), 5 * FACTORS);
    let other = TowerSettings { method: Method::BitFit, ..settings() };
    let (partly, _) = bench.train(None, &bench.task(), &other);
    let mut watch = Watch { stop: &|| false, on_event: &mut |_| Ok(()) };
    let error = train(&bench.base, Some(&partly), &bench.task(), &settings(), None, place(), &mut watch).unwrap_err();
    assert!(matches!(error, Stopped::Failed(failure) if failure.to_string().contains("is missing")));
}

#[test]
fn a_published_tower_gives_its_vectors() {
    let bench = Bench::new();
    let lora = Method::Lora { rank: 2, alpha: 4.0, dropout: 0.0, targets: vec!["all".into()] };
    for method in [Method::Full, lora] {
        let (tower, _) = bench.train(None, &bench.task(), &TowerSettings { method, ..settings() });
        let vectors = bench.embed(Some(&tower));
        let before = bench.embed(None);
        let moved = vectors.iter().zip(&before).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
        assert!(moved > 1e-2, "{moved}");
        let build =
            |candidate: &mut crate::registry::Candidate| write(&bench.base, &tower, candidate).map_err(Stopped::from);
        let version = bench.registry.publish_trained("tuned", &bench.base, &silent, build, |_, _| Ok(true));
        let version = version.unwrap().unwrap();
        let published = embed(&version, None, &bench.texts, None, place(), &|| false).unwrap();
        close("vectors", wide(&published), &wide(&vectors).collect::<Vec<_>>());
    }
}

#[test]
fn a_training_stops_when_nobody_listens() {
    let bench = Bench::new();
    let done = Cell::new(0);
    let calls = std::sync::atomic::AtomicU64::new(0);
    let stop = || calls.load(std::sync::atomic::Ordering::Relaxed) >= 2;
    let mut on_event = |event: TowerEvent<'_>| {
        if let TowerEvent::Step(step) = event {
            calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            done.set(step.steps);
        }
        Ok(())
    };
    let mut watch = Watch { stop: &stop, on_event: &mut on_event };
    let result = train(&bench.base, None, &bench.task(), &settings(), None, place(), &mut watch);
    assert!(matches!(result, Err(Stopped::Cancelled)));
    assert_eq!(done.get(), 2);
}

#[test]
fn a_task_that_does_not_fit_is_refused() {
    let bench = Bench::new();
    let mut watch = Watch { stop: &|| false, on_event: &mut |_| Ok(()) };
    let mut refused = |task: TowerTask<'_>| {
        train(&bench.base, None, &task, &settings(), None, place(), &mut watch).unwrap_err_message()
    };
    let message = refused(TowerTask { center: &bench.center[1..], ..bench.task() });
    assert_eq!(message, "a tower's center are 31 where 32 are expected");
    let message = refused(TowerTask { user_factors: &bench.factors[..3 * FACTORS], ..bench.task() });
    assert!(message.contains("users are 7 where 3"), "{message}");
    let message = refused(TowerTask { texts: &bench.texts.slice(0, 5), ..bench.task() });
    assert!(message.contains("starts of items are 13 where 6"), "{message}");
}

trait Message {
    fn unwrap_err_message(self) -> String;
}

impl<T> Message for Result<T, Stopped> {
    fn unwrap_err_message(self) -> String {
        match self {
            Err(Stopped::Failed(failure)) => failure.to_string(),
            _ => panic!("it was not refused"),
        }
    }
}
