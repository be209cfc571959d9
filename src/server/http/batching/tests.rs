//! Batching over a model that runs when it is told to: who shares a call, who waits, and what is not computed.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use arrow::array::StringArray;
use async_trait::async_trait;
use datafusion::common::{Result as EngineResult, exec_err};
use debut_udfs::inference::Form;
use debut_udfs::model::{Job, Modality, Model, ModelInfo, Task};
use tokio::sync::Semaphore;

use super::*;

/// Gives the length of each text, once it may; fails on the text "poison".
#[derive(Debug)]
struct Lengths {
    info: ModelInfo,
    runs: Semaphore,
    /// The texts of each call that has begun.
    calls: Mutex<Vec<Vec<String>>>,
    finished: Mutex<usize>,
}

#[async_trait]
impl Model for Lengths {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn device(&self) -> &'static str {
        "cpu"
    }

    async fn run(&self, job: Job) -> EngineResult<Output> {
        let Input::Texts(texts) = &job.input else { return exec_err!("not texts") };
        let texts: Vec<String> = texts.iter().flatten().map(str::to_owned).collect();
        self.calls.lock().unwrap().push(texts.clone());
        self.runs.acquire().await.unwrap().forget();
        *self.finished.lock().unwrap() += 1;
        if texts.iter().any(|text| text == "poison") {
            return exec_err!("a poisonous text");
        }
        for (row, text) in texts.iter().enumerate() {
            job.stats.set_row_tokens(row, text.len());
        }
        let failures = texts.iter().enumerate().filter(|(_, text)| *text == "bad");
        Ok(Output {
            failures: failures.map(|(row, _)| (row, "bad text".to_owned())).collect(),
            values: texts.iter().map(|text| text.len() as f32).collect(),
        })
    }
}

#[derive(Debug)]
struct Only(Arc<Lengths>);

impl ModelProvider for Only {
    fn describe(&self, _: &str, _: &DebutConfig) -> EngineResult<Arc<ModelInfo>> {
        Ok(Arc::new(self.0.info.clone()))
    }

    fn load(&self, _: &str, _: &DebutConfig) -> EngineResult<Arc<dyn Model>> {
        Ok(Arc::clone(&self.0) as _)
    }
}

struct Fixture {
    model: Arc<Lengths>,
    batchers: Arc<Batchers>,
    inference: Inference,
}

impl Fixture {
    fn new(options: BatchingOptions) -> Self {
        let info = ModelInfo {
            name: "lengths".into(),
            version: "1".into(),
            task: Task::Embedding,
            modality: Modality::Text,
            text_tower: None,
            dimension: 1,
            labels: Vec::new(),
            ids: None,
            trained_until: None,
            image_model: None,
            max_tokens: 8,
            fingerprint: "0".repeat(16),
            prompts: BTreeMap::new(),
        };
        let inference = Inference {
            function: "embed",
            form: Form::Vector,
            model: Arc::new(info.clone()),
            modality: info.modality,
            prompt: String::new(),
        };
        let model =
            Arc::new(Lengths { info, runs: Semaphore::new(0), calls: Mutex::default(), finished: Mutex::default() });
        let provider = Arc::new(Only(Arc::clone(&model)));
        let threads = Handle::current();
        let batchers = Batchers::new(provider, DebutConfig::default(), options, Arc::default(), threads);
        Self { model, batchers, inference }
    }

    /// A request that runs beside the test.
    fn ask(&self, texts: &[&str]) -> tokio::task::JoinHandle<Result<Computed>> {
        let (batchers, inference) = (Arc::clone(&self.batchers), self.inference.clone());
        let input = Input::Texts(StringArray::from(texts.to_vec()));
        tokio::spawn(async move { batchers.run(&inference, input).await })
    }

    async fn until(&self, what: impl Fn(&Self) -> bool) {
        let wait = async {
            while !what(self) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
    }

    fn calls(&self) -> Vec<Vec<String>> {
        self.model.calls.lock().unwrap().clone()
    }

    async fn begun(&self, calls: usize) {
        self.until(|fixture| fixture.calls().len() >= calls).await;
    }

    async fn queued(&self, rows: u64) {
        self.until(|fixture| fixture.batchers.queued_rows() == rows).await;
    }
}

fn options(max_rows: usize) -> BatchingOptions {
    BatchingOptions { latency_budget: Duration::ZERO, max_rows, ..BatchingOptions::default() }
}

#[tokio::test]
async fn what_waits_is_one_call_and_each_gets_its_own() {
    let fixture = Fixture::new(options(64));
    let first = fixture.ask(&["a"]);
    fixture.begun(1).await;
    let second = fixture.ask(&["bb", "ccc"]);
    fixture.queued(2).await;
    let third = fixture.ask(&["bad", "dddd"]);
    fixture.queued(4).await;
    fixture.model.runs.add_permits(2);
    assert_eq!(first.await.unwrap().unwrap().output.values, [1.0]);
    let second = second.await.unwrap().unwrap();
    assert_eq!((second.output.values, second.tokens), (vec![2.0, 3.0], vec![2, 3]));
    assert!(second.output.failures.is_empty());
    let third = third.await.unwrap().unwrap();
    assert_eq!(third.output.values[1], 4.0);
    assert_eq!(third.output.failures, [(0, "bad text".to_owned())]);
    assert_eq!(fixture.calls()[1], ["bb", "ccc", "bad", "dddd"]);
}

#[tokio::test]
async fn a_long_request_does_not_keep_short_ones_waiting() {
    let fixture = Fixture::new(options(8));
    let first = fixture.ask(&["a"]);
    fixture.begun(1).await;
    let long: Vec<String> = (0..100).map(|i| "x".repeat(i % 5 + 1)).collect();
    let long_texts: Vec<&str> = long.iter().map(String::as_str).collect();
    let long_request = fixture.ask(&long_texts);
    fixture.queued(100).await;
    let short = fixture.ask(&["short"]);
    fixture.queued(101).await;
    fixture.model.runs.add_permits(2);
    assert_eq!(short.await.unwrap().unwrap().output.values, [5.0], "it is in the first call with the long one");
    assert!(fixture.calls()[1].len() <= 8);
    assert!(!long_request.is_finished());
    fixture.model.runs.add_permits(100);
    let lengths: Vec<f32> = long.iter().map(|text| text.len() as f32).collect();
    assert_eq!(long_request.await.unwrap().unwrap().output.values, lengths);
    first.await.unwrap().unwrap();
    assert!(fixture.calls().iter().all(|call| call.len() <= 8));
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_computed() {
    let fixture = Fixture::new(options(64));
    let first = fixture.ask(&["a"]);
    fixture.begun(1).await;
    let gone = fixture.ask(&["gone"]);
    fixture.queued(1).await;
    let stays = fixture.ask(&["stays"]);
    fixture.queued(2).await;
    gone.abort();
    assert!(gone.await.is_err());
    // The one that runs goes away too: its call is interrupted, and needs no permit.
    first.abort();
    assert!(first.await.is_err());
    fixture.model.runs.add_permits(1);
    assert_eq!(stays.await.unwrap().unwrap().output.values, [5.0]);
    assert_eq!(fixture.calls(), [vec!["a"], vec!["stays"]]);
    assert_eq!(*fixture.model.finished.lock().unwrap(), 1);
    fixture.queued(0).await;
}

#[tokio::test]
async fn a_failure_is_that_of_its_request() {
    let fixture = Fixture::new(options(64));
    let first = fixture.ask(&["a"]);
    fixture.begun(1).await;
    let (poison, good) = (fixture.ask(&["poison"]), fixture.ask(&["good"]));
    fixture.queued(2).await;
    fixture.model.runs.add_permits(10);
    first.await.unwrap().unwrap();
    assert!(poison.await.unwrap().unwrap_err().message().contains("a poisonous text"));
    assert_eq!(good.await.unwrap().unwrap().output.values, [4.0]);
    fixture.queued(0).await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_says_for_how_long() {
    let fixture = Fixture::new(BatchingOptions { max_queued_rows: 3, max_rows: 1, ..options(1) });
    let first = fixture.ask(&["a"]);
    fixture.begun(1).await;
    let waits = fixture.ask(&["b", "c", "d", "e"]);
    fixture.queued(4).await;
    let refused = fixture.ask(&["f"]).await.unwrap().unwrap_err();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    fixture.model.runs.add_permits(5);
    first.await.unwrap().unwrap();
    assert_eq!(waits.await.unwrap().unwrap().output.values, [1.0; 4]);
    fixture.model.runs.add_permits(1);
    fixture.ask(&["f"]).await.unwrap().unwrap();
}

#[tokio::test]
async fn one_request_a_call_where_that_is_asked_for() {
    let fixture = Fixture::new(BatchingOptions { max_requests: 1, ..options(64) });
    let first = fixture.ask(&["a"]);
    fixture.begun(1).await;
    let others = [fixture.ask(&["b"]), fixture.ask(&["c"])];
    fixture.queued(2).await;
    fixture.model.runs.add_permits(3);
    first.await.unwrap().unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert!(fixture.calls().iter().all(|call| call.len() == 1));
}

#[tokio::test]
async fn a_model_in_demand_waits_for_its_budget_and_no_longer() {
    let fixture =
        Fixture::new(BatchingOptions { latency_budget: Duration::from_millis(200), max_rows: 3, ..options(3) });
    // The first runs alone; others come meanwhile.
    let first = fixture.ask(&["a"]);
    fixture.begun(1).await;
    let second = fixture.ask(&["b"]);
    fixture.queued(1).await;
    let begun = std::time::Instant::now();
    fixture.model.runs.add_permits(10);
    first.await.unwrap().unwrap();
    let third = fixture.ask(&["c"]);
    for request in [second, third] {
        request.await.unwrap().unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_millis(150));
    assert_eq!(fixture.calls(), [vec!["a"], vec!["b", "c"]]);
    // A full batch does not wait.
    let begun = std::time::Instant::now();
    fixture.ask(&["a", "b", "c"]).await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_millis(150));
    // Nobody else was there: the next does not wait either.
    let begun = std::time::Instant::now();
    fixture.ask(&["d"]).await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_millis(150));
}
