//! [`super`]: locks, records and what becomes of them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use datafusion::common::DataFusionError;
use futures::StreamExt;
use object_store::http::HttpBuilder;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};

use super::active::Locked;
use super::retry::{Backoff, is_transient};
use super::runs::KEPT;
use super::*;
use crate::home::Home;

fn job(folder: &Path) -> Job {
    let path = folder.join("my job.sql");
    fs::write(&path, "SELECT 1").unwrap();
    Job::open(&path).unwrap()
}

fn begin(home: &Home, job: &Job, parameters: &[(&str, &str)]) -> ActiveRun {
    let parameters = parameters.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let statements = vec![(1, "SELECT 1".to_owned()), (2, "SELECT 2".to_owned())];
    let locked = Locked::acquire(home, job).unwrap();
    // To the microsecond, so that no two are the same.
    let window = Window { since: None, until: locked.started_at() };
    locked.begin(parameters, window, statements).unwrap()
}

#[test]
fn a_job_is_its_file_whatever_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(folder.path());
    fs::create_dir(folder.path().join("deep")).unwrap();
    assert_eq!(Job::open(&folder.path().join("deep/../my job.sql")).unwrap(), job);
    assert!(job.key().starts_with("my-job-"), "{}", job.key());
    fs::write(folder.path().join("deep/my job.sql"), "").unwrap();
    assert_ne!(Job::open(&folder.path().join("deep/my job.sql")).unwrap().key(), job.key());
    assert!(Job::open(&folder.path().join("none.sql")).is_err());
}

#[test]
fn the_record_is_true_at_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let (home, job) = (Home::at(folder.path().join("home")), job(folder.path()));
    let runs = Runs::open(&home);
    assert!(runs.list().unwrap().is_empty());
    let states = || -> Vec<(State, Vec<State>)> {
        let states = |record: Record| (record.state, record.statements.iter().map(|one| one.state).collect());
        runs.list().unwrap().into_iter().map(|listed| states(listed.record.unwrap())).collect()
    };
    let mut run = begin(&home, &job, &[]);
    assert_eq!(states(), [(State::Running, vec![State::Running])]);
    let Err(Error::Locked { run: Some(holder), .. }) = Locked::acquire(&home, &job) else { unreachable!() };
    assert_eq!(holder.id, run.record().id);
    run.succeed(Some(3), 2).unwrap();
    assert_eq!(states(), [(State::Running, vec![State::Succeeded, State::Running])]);
    // What a killed process leaves.
    drop(run);
    assert_eq!(states(), [(State::Killed, vec![State::Succeeded, State::Killed])]);
    let mut run = begin(&home, &job, &[]);
    assert_eq!(states()[0], (State::Killed, vec![State::Succeeded, State::Killed]));
    assert_eq!(states()[1].0, State::Running);
    run.succeed(None, 1).unwrap();
    run.succeed(None, 1).unwrap();
    // Whatever comes late changes nothing.
    run.fail("late", 1).unwrap();
    drop(run);
    assert_eq!(states()[1], (State::Succeeded, vec![State::Succeeded; 2]));
    let mut run = begin(&home, &job, &[]);
    run.cancel().unwrap();
    assert_eq!(states()[2], (State::Cancelled, vec![State::Cancelled]));
}

#[test]
fn the_last_success_is_of_the_same_parameters_and_survives_pruning() {
    let folder = tempfile::tempdir().unwrap();
    let (home, job) = (Home::at(folder.path().join("home")), job(folder.path()));
    let runs = Runs::open(&home);
    let given = |country: &str, day: &str| -> BTreeMap<String, String> {
        [("country".to_owned(), country.to_owned()), ("day".to_owned(), day.to_owned())].into()
    };
    let end = |country: &str, day: &str, good: bool| {
        let mut run = begin(&home, &job, &[("country", country), ("day", day)]);
        if good {
            run.succeed(None, 1).unwrap();
            run.succeed(None, 1).unwrap();
        } else {
            run.fail("no", 1).unwrap();
        }
        run.record().until
    };
    assert_eq!(runs.last_success(&job, &given("DE", "2026-01-01")).unwrap(), None);
    end("DE", "2026-01-01", true);
    let second = end("DE", "2026-01-02", true);
    let other = end("FR", "2026-01-02", true);
    end("DE", "2026-01-03", false);
    assert_eq!(runs.last_success(&job, &given("DE", "2026-01-04")).unwrap(), Some(second));
    for _ in 0..KEPT + 5 {
        end("DE", "2026-01-05", false);
    }
    // The run itself is written after the pruning.
    assert_eq!(runs.list().unwrap().len(), KEPT + 1 + 2);
    assert_eq!(runs.last_success(&job, &given("DE", "2026-01-06")).unwrap(), Some(second));
    assert_eq!(runs.last_success(&job, &given("FR", "2026-01-06")).unwrap(), Some(other));
}

#[test]
fn a_damaged_record_hides_no_other_and_is_told_where_it_matters() {
    let folder = tempfile::tempdir().unwrap();
    let (home, job) = (Home::at(folder.path().join("home")), job(folder.path()));
    let runs = Runs::open(&home);
    drop(begin(&home, &job, &[]));
    let path = runs.list().unwrap()[0].path.clone();
    fs::write(&path, "{").unwrap();
    // What a process that was killed while it wrote has left.
    let unfinished = path.with_file_name(".unfinished-x");
    fs::write(&unfinished, "{").unwrap();
    let mut run = begin(&home, &job, &[]);
    run.fail("no", 1).unwrap();
    assert!(!unfinished.exists());
    let listed = runs.list().unwrap();
    assert_eq!((listed.len(), listed.iter().filter(|run| run.record.is_err()).count()), (2, 1));
    let message = runs.last_success(&job, &BTreeMap::new()).unwrap_err().to_string();
    assert!(message.contains("damaged") && message.contains("remove the file"), "{message}");
}

/// The error that a store gives whose server answers so, without any repetition of its own.
async fn store_error(answer: &'static str) -> DataFusionError {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    if answer.is_empty() {
        drop(listener);
    } else {
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = BufReader::new(stream.try_clone().unwrap()).lines();
                let _ = request.map_while(Result::ok).take_while(|line| !line.is_empty()).count();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
    }
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let options = ClientOptions::new().with_allow_http(true);
    let store = HttpBuilder::new().with_url(url).with_client_options(options).with_retry(retry).build().unwrap();
    let store: &dyn ObjectStore = &store;
    match store.get(&"a.csv".into()).await {
        Err(error) => error.into(),
        Ok(found) => found.into_stream().map(|chunk| chunk.unwrap_err()).next().await.unwrap().into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_by_itself_is_told_from_what_does_not() {
    for (answer, passes) in [
        ("", true),
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nLast-Modified: Sat, 28 Nov 2026 00:00:00 GMT\r\n\r\n", true),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\n503", false),
    ] {
        let error = store_error(answer).await;
        let text = error.to_string();
        assert_eq!(is_transient(&error.context("cannot read")), passes, "{answer}: {text}");
    }
    let query = DataFusionError::Execution("Server returned non-2xx status code: 503".into());
    assert!(!is_transient(&query), "a query may say what it likes");
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    assert!(!is_transient(&DataFusionError::IoError(refused)), "not a store's");
    let both = DataFusionError::Collection(vec![store_error("").await, query]);
    assert!(!is_transient(&both));
}

#[test]
fn pauses_grow_up_to_a_minute() {
    let mut backoff = Backoff::default();
    for (failures, longest) in [(1, 1.0), (2, 2.0), (3, 4.0), (7, 60.0), (u32::MAX, 60.0)] {
        let pause = backoff.pause(failures);
        let bounds = Duration::from_secs_f64(longest / 2.0)..=Duration::from_secs_f64(longest);
        assert!(bounds.contains(&pause), "{failures}: {pause:?}");
    }
}
