//! The life of runs: created, measured, killed, resumed, ended, found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::checkpoint::{Checkpoint, Progress};
use super::info::{Best, Criterion, Data, Outcome, Setup, Status};
use super::metrics::TRAIN_LOSS;
use super::{Error, Runs};
use crate::home::Home;

fn setup(seed: u64) -> Setup {
    Setup {
        model: "shop".into(),
        base: "base@1".into(),
        base_fingerprint: "0123456789abcdef".into(),
        objective: "contrastive".into(),
        method: "lora".into(),
        options: [("seed".to_owned(), seed.into())].into_iter().collect(),
        data: Data { fingerprint: "f".into(), texts: 3, train: 2, validation: 1, until: None, notes: vec![] },
        metric: Criterion { name: "mrr".into(), higher_is_better: true },
        device: "cpu".into(),
        threads: 2,
    }
}

fn checkpoint(step: u64) -> Checkpoint {
    let progress = Progress { epoch: step / 10, step, ..Progress::default() };
    Checkpoint { progress, tensors: vec![("w".into(), vec![2], vec![step as f32, 0.5])] }
}

#[test]
fn a_run_is_seen_from_its_beginning_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let runs = Runs::open(&Home::at(folder.path()));
    assert_eq!(runs.list().unwrap().len(), 0);
    let mut run = runs.create(setup(1)).unwrap();
    let id = run.id().to_owned();
    let listed = runs.find(&id).unwrap();
    assert_eq!((listed.status(), listed.alive), (Some(Status::Running), true));

    run.log(1, 1, &[(TRAIN_LOSS, 2.0), ("learning_rate", 1e-4)]).unwrap();
    run.checkpoint(&checkpoint(1)).unwrap();
    run.update(|info| info.best = Some(Best { epoch: 1, step: 1, value: 0.5 })).unwrap();
    let listed = runs.find(&id).unwrap();
    let metrics = listed.metrics().unwrap();
    assert_eq!(metrics.iter().map(|metric| metric.name.as_str()).collect::<Vec<_>>(), [TRAIN_LOSS, "learning_rate"]);
    assert!(listed.folder.join("checkpoint.safetensors").exists());

    let info = run.finish(Outcome::Published("shop@1".into())).unwrap();
    let listed = runs.find(&id).unwrap();
    assert_eq!((listed.status(), listed.alive), (Some(Status::Finished), false));
    assert_eq!(listed.info.unwrap(), info);
    assert_eq!((info.published(), info.best.as_ref().unwrap().value), (Some("shop@1"), 0.5));
    // It may be as large as the model several times over, and nobody goes on from it.
    assert!(!listed.folder.join("checkpoint.safetensors").exists());
    assert!(runs.resume(&setup(1)).unwrap().is_none());
}

#[test]
fn only_the_same_work_is_resumed_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let runs = Runs::open(&Home::at(folder.path()));
    let mut run = runs.create(setup(1)).unwrap();
    let id = run.id().to_owned();
    for step in 1..=3 {
        run.log(1, step, &[(TRAIN_LOSS, 3.0 - step as f64)]).unwrap();
        if step == 2 {
            run.checkpoint(&checkpoint(2)).unwrap();
        }
    }
    assert!(matches!(runs.resume(&setup(1)), Err(Error::InUse { id: other }) if other == id));
    // As if the process had died, in the middle of the next checkpoint.
    let torn = run.folder().join(".unfinished-checkpoint");
    std::fs::write(&torn, "half").unwrap();
    drop(run);
    assert_eq!(runs.find(&id).unwrap().status(), Some(Status::Interrupted));
    assert!(runs.resume(&setup(2)).unwrap().is_none());

    let mut run = runs.resume(&setup(1)).unwrap().unwrap();
    assert_eq!((run.id(), run.info().resumed, torn.exists()), (id.as_str(), 1, false));
    assert_eq!(run.take_checkpoint(), Some(checkpoint(2)));
    let steps = |runs: &Runs| -> Vec<u64> {
        runs.find(&id).unwrap().metrics().unwrap().iter().map(|metric| metric.step).collect()
    };
    assert_eq!(steps(&runs), [1, 2]);
    run.log(1, 3, &[(TRAIN_LOSS, 0.0)]).unwrap();
    assert_eq!(steps(&runs), [1, 2, 3]);
    let seconds: Vec<f64> = runs.find(&id).unwrap().metrics().unwrap().iter().map(|metric| metric.seconds).collect();
    assert!(seconds.is_sorted(), "{seconds:?}");

    run.cancel().unwrap();
    let run = runs.resume(&setup(1)).unwrap().unwrap();
    assert_eq!((run.info().status, run.info().finished_at), (Status::Running, None));
    let info = run.fail("the loss is NaN at step 4").unwrap();
    assert_eq!(info.unpublished(), Some("the loss is NaN at step 4"));
    assert!(runs.resume(&setup(1)).unwrap().is_none());
}

#[test]
fn the_key_knows_what_changes_a_result() {
    let same = setup(1).key();
    assert_eq!((setup(1).key() == same, same.len()), (true, 16));
    let changes: [fn(&mut Setup); 5] = [
        |setup| setup.data.fingerprint.push('x'),
        |setup| setup.base_fingerprint.push('x'),
        |setup| setup.threads += 1,
        |setup| setup.device.push('x'),
        |setup| drop(setup.options.insert("rank".into(), 8.into())),
    ];
    let mut again = setup(1);
    again.options.insert("resume".into(), true.into());
    assert_eq!(again.key(), same);
    for change in changes {
        let mut other = setup(1);
        change(&mut other);
        assert_ne!(other.key(), same);
    }
}

#[test]
fn a_run_is_found_by_the_beginning_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path());
    let runs = Runs::open(&home);
    assert!(runs.find("2026").unwrap_err().to_string().contains("nothing was trained yet"));
    for id in ["20260101-000000-aaaaaa", "20260101-000000-aaaaab", "20260202-000000-ffffff"] {
        std::fs::create_dir_all(home.runs().join(id)).unwrap();
    }
    assert_eq!(runs.find("202602").unwrap().id, "20260202-000000-ffffff");
    assert_eq!(runs.find("20260101-000000-aaaaaa").unwrap().id, "20260101-000000-aaaaaa");
    assert!(matches!(runs.find("20260101"), Err(Error::Ambiguous { candidates, .. }) if candidates.len() == 2));
    let message = runs.find("x").unwrap_err().to_string();
    assert!(message.contains("'x'") && message.contains("20260202-000000-ffffff"), "{message}");
    assert!(matches!(runs.find(""), Err(Error::Unknown { .. })));
    assert!(matches!(runs.find("../x"), Err(Error::Unknown { .. })));
}

#[test]
fn a_damaged_run_is_listed_with_its_error() {
    let folder = tempfile::tempdir().unwrap();
    let runs = Runs::open(&Home::at(folder.path()));
    let run = runs.create(setup(1)).unwrap();
    std::fs::write(run.folder().join("run.json"), "{").unwrap();
    runs.create(setup(2)).unwrap();
    let listed = runs.list().unwrap();
    assert_eq!(listed.len(), 2);
    let damaged = runs.find(run.id()).unwrap();
    assert_eq!(damaged.status(), None);
    let message = damaged.info.unwrap_err().to_string();
    assert!(message.contains("run.json") && message.contains(run.id()), "{message}");
    // And does not keep others from their work.
    assert!(runs.resume(&setup(2)).unwrap().is_some());
}

#[test]
fn a_damaged_checkpoint_is_not_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let runs = Runs::open(&Home::at(folder.path()));
    let mut run = runs.create(setup(1)).unwrap();
    run.checkpoint(&checkpoint(1)).unwrap();
    let path = run.folder().join("checkpoint.safetensors");
    drop(run);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let message = runs.resume(&setup(1)).unwrap_err().to_string();
    assert!(message.contains("checkpoint.safetensors"), "{message}");
}

#[test]
fn finished_parts_are_kept_until_the_run_has_ended_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let runs = Runs::open(&Home::at(folder.path()));
    let run = runs.create(setup(1)).unwrap();
    run.keep_part(1, &checkpoint(4)).unwrap();
    run.keep_part(2, &checkpoint(8)).unwrap();
    run.cancel().unwrap();

    let mut run = runs.resume(&setup(1)).unwrap().unwrap();
    assert_eq!((run.has_part(1), run.has_part(3)), (true, false));
    assert_eq!((run.part(1).unwrap(), run.part(2).unwrap()), (checkpoint(4), checkpoint(8)));
    let message = run.part(3).unwrap_err().to_string();
    assert!(message.contains("part-3.safetensors") && message.contains("is missing"), "{message}");
    let path = run.folder().join("part-2.safetensors");
    std::fs::write(&path, &std::fs::read(&path).unwrap()[..40]).unwrap();
    assert!(run.part(2).unwrap_err().to_string().contains("part-2.safetensors"));

    run.checkpoint(&checkpoint(9)).unwrap();
    let folder = run.folder().to_path_buf();
    run.finish(Outcome::NotPublished("it is worse".into())).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.retain(|name| name.to_string_lossy().ends_with(".safetensors"));
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn a_resumed_run_writes_down_what_it_has_not_yet() {
    let folder = tempfile::tempdir().unwrap();
    let runs = Runs::open(&Home::at(folder.path()));
    let mut run = runs.create(setup(1)).unwrap();
    run.log(1, 4, &[(TRAIN_LOSS, 2.0)]).unwrap();
    run.checkpoint(&checkpoint(4)).unwrap();
    run.log_missing(1, 4, &[("recall@20", 0.5), ("ndcg@20", 0.25)]).unwrap();
    drop(run);
    let mut run = runs.resume(&setup(1)).unwrap().unwrap();
    run.log_missing(1, 4, &[("recall@20", 0.5), ("ndcg@20", 0.25), ("weight/price", 0.1)]).unwrap();
    let metrics = runs.find(run.id()).unwrap().metrics().unwrap();
    let names = metrics.iter().map(|metric| metric.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, [TRAIN_LOSS, "recall@20", "ndcg@20", "weight/price"]);
}

#[test]
fn many_runs_at_once_have_names_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let runs = Runs::open(&Home::at(folder.path()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10).for_each(|_| drop(runs.create(setup(1)).unwrap())));
        }
    });
    let listed = runs.list().unwrap();
    assert_eq!(listed.len(), 40);
    assert!(listed.iter().all(|run| run.status() == Some(Status::Interrupted)));
}

/// The folder in which [`a_process_to_be_killed`] trains; without it that does nothing.
const CHILD: &str = "DEBUT_TEST_RUNS_CHILD";

/// Not a test but what [`a_killed_process_leaves_a_run_that_goes_on`] starts in a process of its own.
#[test]
fn a_process_to_be_killed() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let runs = Runs::open(&Home::at(folder));
    let mut run = match runs.resume(&setup(1)).unwrap() {
        Some(run) => run,
        None => runs.create(setup(1)).unwrap(),
    };
    let start = run.take_checkpoint().map_or(0, |checkpoint| checkpoint.progress.step);
    println!("\ntraining");
    for step in start + 1.. {
        run.log(1, step, &[(TRAIN_LOSS, 1.0), ("learning_rate", 1.0)]).unwrap();
        run.update(|info| info.parameters = Some(step)).unwrap();
        run.checkpoint(&checkpoint(step)).unwrap();
    }
}

#[test]
fn a_killed_process_leaves_a_run_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let runs = Runs::open(&Home::at(folder.path()));
    let mut reached = 0;
    for kill in 0..10 {
        let test = format!("{}::a_process_to_be_killed", module_path!().split_once("::").unwrap().1);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &test, "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        assert!(output.lines().any(|line| line.unwrap() == "training"), "the child did not train");
        // A moment that falls somewhere else in the loop each time.
        std::thread::sleep(std::time::Duration::from_micros(7_919 * (kill + 1)));
        child.kill().unwrap();
        child.wait().unwrap();

        let listed = runs.list().unwrap();
        assert_eq!(listed.len(), 1, "the run was not resumed");
        assert_eq!(listed[0].status(), Some(Status::Interrupted));
        assert_eq!(listed[0].info.as_ref().unwrap().resumed, u32::try_from(kill).unwrap());
        let saved = Checkpoint::load(&listed[0].folder).unwrap();
        let step = saved.as_ref().map_or(0, |checkpoint| checkpoint.progress.step);
        assert!(saved.is_none() || saved == Some(checkpoint(step)));
        assert!(step >= reached, "the run fell back from step {reached} to {step}");
        reached = step;
        // Every step once and in order, up to the checkpoint at least.
        let metrics = listed[0].metrics().unwrap();
        let losses = metrics.iter().filter(|metric| metric.name == TRAIN_LOSS).map(|metric| metric.step);
        assert!(losses.clone().eq(1..=losses.clone().count() as u64));
        assert!(losses.count() as u64 >= step);
    }
    assert!(reached > 0, "no process was given the time for a step");
}
