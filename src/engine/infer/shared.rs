//! One plan, several nodes that ask the same model: each row is computed for all of them once.
//!
//! Takes the model of such nodes (the sides of a self-join, a common table expression that is read twice); gives a
//! [`Model`] that answers from what another node had computed, or waits where another node is computing it right now. A
//! plan with a single such node never comes here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use debut_udfs::distinct::Distinct;
use debut_udfs::model::{Input, InputKind, Job, Model, ModelInfo, Output};
use tokio::sync::Notify;

use super::memo::Row;

/// Bytes of rows and values that are kept for other nodes. What comes later is computed by each node for itself.
const MOST_BYTES: usize = 256 << 20;

/// The results that the nodes of one plan share.
#[derive(Debug, Default)]
pub(super) struct SharedResults {
    kept: Mutex<Kept>,
    changed: Notify,
    reservation: OnceLock<MemoryReservation>,
}

#[derive(Debug, Default)]
struct Kept {
    rows: Distinct,
    /// By id of the row.
    results: Vec<Answer>,
    values: Vec<f32>,
    failures: HashMap<u32, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Nobody computes it: it is new, or who did was cancelled.
    Missing,
    Computing,
    /// Where its values begin.
    At(usize),
}

impl SharedResults {
    /// Accounts for what is kept in the pool of the query; the first node to start does so.
    pub(super) fn reserve_in(&self, pool: &Arc<dyn MemoryPool>) {
        self.reservation.get_or_init(|| MemoryConsumer::new("InferExec, shared").register(pool));
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `bytes` in all may be kept.
    fn has_room(&self, bytes: usize) -> bool {
        bytes <= MOST_BYTES && self.reservation.get().is_none_or(|reservation| reservation.try_resize(bytes).is_ok())
    }
}

impl Kept {
    fn memory(&self) -> usize {
        self.rows.memory() + self.results.capacity() * size_of::<Answer>() + self.values.capacity() * size_of::<f32>()
    }
}

/// A model whose results are shared.
#[derive(Debug)]
pub(super) struct SharedModel {
    model: Arc<dyn Model>,
    results: Arc<SharedResults>,
}

impl SharedModel {
    /// `model`, answering from `results` what is known there.
    pub(super) fn new(model: Arc<dyn Model>, results: Arc<SharedResults>) -> Self {
        Self { model, results }
    }
}

#[async_trait]
impl Model for SharedModel {
    fn info(&self) -> &ModelInfo {
        self.model.info()
    }

    fn device(&self) -> &str {
        self.model.device()
    }

    async fn run(&self, job: Job) -> Result<Output> {
        let width = self.model.info().width(job.input.kind() == InputKind::Pairs);
        let mut output = Output { values: vec![0.0; job.input.rows() * width], failures: Vec::new() };
        let mut open: Vec<u32> = (0..).take(job.input.rows()).collect();
        while !open.is_empty() {
            // Registered before the results are read, so that no change in between is missed.
            let mut changed = std::pin::pin!(self.results.changed.notified());
            changed.as_mut().enable();
            let claim = self.claim(&job.input, &mut open, &mut output, width);
            if claim.rows.is_empty() {
                if !open.is_empty() {
                    changed.await;
                }
                continue;
            }
            let all = claim.rows.len() == job.input.rows();
            let input = if all { job.input.clone() } else { job.input.take(&claim.rows)? };
            let computed = self.model.run(Job { input, ..job.clone() }).await?;
            claim.publish(computed, &mut output, width)?;
        }
        output.failures.sort_unstable_by_key(|(row, _)| *row);
        Ok(output)
    }
}

impl SharedModel {
    /// Fills in the rows of `open` that are known, and takes those that nobody computes. The rest stays open.
    fn claim(&self, input: &Input, open: &mut Vec<u32>, output: &mut Output, width: usize) -> Claim<'_> {
        let mut kept = self.results.lock();
        let has_room = self.results.has_room(kept.memory());
        let mut claim = Claim { results: &self.results, rows: Vec::new(), ids: Vec::new() };
        let mut digest = [0; 32];
        open.retain(|&row| {
            let place = row as usize;
            let known = Row { parts: input.row(place), present: input.present(place) };
            let (first, second) = known.known_by(input.kind(), &mut digest);
            let id = match kept.rows.get(first, second) {
                Some(id) => id,
                None if has_room => {
                    kept.results.push(Answer::Missing);
                    kept.rows.insert(first, second).0
                }
                None => {
                    claim.rows.push(row);
                    claim.ids.push(None);
                    return false;
                }
            };
            match kept.results[id as usize] {
                Answer::Missing => {
                    kept.results[id as usize] = Answer::Computing;
                    claim.rows.push(row);
                    claim.ids.push(Some(id));
                    false
                }
                Answer::Computing => true,
                Answer::At(start) => {
                    let row = row as usize;
                    output.values[row * width..][..width].copy_from_slice(&kept.values[start..][..width]);
                    if let Some(reason) = kept.failures.get(&id) {
                        output.failures.push((row, reason.clone()));
                    }
                    false
                }
            }
        });
        claim
    }
}

/// Rows that one job computes; given back to the others when it fails or is cancelled.
struct Claim<'a> {
    results: &'a SharedResults,
    rows: Vec<u32>,
    /// Of each row, where its values are kept.
    ids: Vec<Option<u32>>,
}

impl Claim<'_> {
    /// Puts what was computed into the job's output, and keeps it.
    ///
    /// # Errors
    /// The model gave other than `width` values a row; that would be our mistake. The rows are given back then.
    fn publish(mut self, computed: Output, output: &mut Output, width: usize) -> Result<()> {
        if computed.values.len() != self.rows.len() * width {
            return internal_err!("{} values for {} rows of {width}", computed.values.len(), self.rows.len());
        }
        let (rows, ids) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.ids));
        let mut kept = self.results.lock();
        for (position, (&row, id)) in rows.iter().zip(&ids).enumerate() {
            let values = &computed.values[position * width..][..width];
            output.values[row as usize * width..][..width].copy_from_slice(values);
            if let Some(id) = id {
                kept.results[*id as usize] = Answer::At(kept.values.len());
                kept.values.extend_from_slice(values);
            }
        }
        for (position, reason) in computed.failures {
            if let Some(id) = ids[position] {
                kept.failures.insert(id, reason.clone());
            }
            output.failures.push((rows[position] as usize, reason));
        }
        drop(kept);
        self.results.changed.notify_waiters();
        Ok(())
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut kept = self.results.lock();
        for id in self.ids.drain(..).flatten() {
            kept.results[id as usize] = Answer::Missing;
        }
        drop(kept);
        self.results.changed.notify_waiters();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::StringArray;
    use datafusion::common::exec_err;
    use debut_udfs::config::BatchTokens;
    use debut_udfs::model::{Modality, Task};
    use tokio::sync::Semaphore;

    use super::*;

    /// Gives the length of each text, one job at a time as the test lets it, and writes down what it was asked.
    #[derive(Debug)]
    struct Lengths {
        info: ModelInfo,
        gate: Semaphore,
        asked: Mutex<Vec<Vec<String>>>,
        fails: bool,
    }

    impl Lengths {
        fn new(permits: usize, fails: bool) -> Self {
            let info = ModelInfo {
                name: "lengths".into(),
                version: "1".into(),
                task: Task::Embedding,
                modality: Modality::Text,
                text_tower: None,
                dimension: 2,
                labels: Vec::new(),
                ids: None,
                trained_until: None,
                image_model: None,
                max_tokens: 8,
                fingerprint: String::new(),
                prompts: BTreeMap::new(),
            };
            Self { info, gate: Semaphore::new(permits), asked: Mutex::default(), fails }
        }
    }

    #[async_trait]
    impl Model for Lengths {
        fn info(&self) -> &ModelInfo {
            &self.info
        }

        fn device(&self) -> &str {
            "test"
        }

        async fn run(&self, job: Job) -> Result<Output> {
            let Input::Texts(texts) = &job.input else { return exec_err!("pairs") };
            let texts: Vec<String> = texts.iter().flatten().map(str::to_owned).collect();
            self.asked.lock().unwrap().push(texts.clone());
            self.gate.acquire().await.unwrap().forget();
            if self.fails {
                return exec_err!("broken");
            }
            let failures = texts.iter().enumerate().filter(|(_, text)| text.is_empty());
            Ok(Output {
                failures: failures.map(|(row, _)| (row, "empty".to_string())).collect(),
                values: texts.iter().flat_map(|text| [text.len() as f32, -1.0]).collect(),
            })
        }
    }

    fn job(texts: &[&str]) -> Job {
        let input = Input::Texts(StringArray::from(texts.to_vec()));
        Job { input, prompt: String::new(), max_batch_tokens: BatchTokens::Most(8), stats: Arc::default() }
    }

    fn pair(model: &Arc<Lengths>) -> (SharedModel, SharedModel) {
        let results = Arc::new(SharedResults::default());
        let shared = || SharedModel::new(Arc::clone(model) as _, Arc::clone(&results));
        (shared(), shared())
    }

    #[tokio::test]
    async fn what_one_node_computed_the_other_reads() {
        let model = Arc::new(Lengths::new(9, false));
        let (a, b) = pair(&model);
        a.run(job(&["one", "", "three"])).await.unwrap();
        let output = b.run(job(&["three", "four", ""])).await.unwrap();
        assert_eq!(output.values, [5.0, -1.0, 4.0, -1.0, 0.0, -1.0]);
        assert_eq!(output.failures, [(2, "empty".to_string())]);
        assert_eq!(*model.asked.lock().unwrap(), [vec!["one", "", "three"], vec!["four"]]);
    }

    #[tokio::test]
    async fn what_is_being_computed_is_waited_for() {
        let model = Arc::new(Lengths::new(0, false));
        let (a, b) = pair(&model);
        let both = futures::future::join(a.run(job(&["x", "yy"])), b.run(job(&["yy", "zzz"])));
        let (outputs, ()) = futures::future::join(both, async { model.gate.add_permits(2) }).await;
        assert_eq!(outputs.1.unwrap().values, [2.0, -1.0, 3.0, -1.0]);
        assert_eq!(*model.asked.lock().unwrap(), [vec!["x", "yy"], vec!["zzz"]]);
        assert_eq!(outputs.0.unwrap().values.len(), 4);
    }

    #[tokio::test]
    async fn what_was_cancelled_is_computed_by_who_waits() {
        let model = Arc::new(Lengths::new(0, false));
        let (a, b) = pair(&model);
        let mut first = Box::pin(a.run(job(&["x"])));
        assert!(futures::poll!(first.as_mut()).is_pending());
        let mut second = Box::pin(b.run(job(&["x"])));
        assert!(futures::poll!(second.as_mut()).is_pending());
        drop(first);
        model.gate.add_permits(1);
        assert_eq!(second.await.unwrap().values, [1.0, -1.0]);
    }

    #[tokio::test]
    async fn an_error_reaches_every_node() {
        let model = Arc::new(Lengths::new(9, true));
        let (a, b) = pair(&model);
        let (first, second) = futures::future::join(a.run(job(&["x"])), b.run(job(&["x"]))).await;
        assert!(first.unwrap_err().to_string().contains("broken") && second.is_err());
    }
}
