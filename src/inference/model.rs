//! A model that is ready to run: rows of an input in, vectors, logits or numbers out.
//!
//! Takes the folder of a model version and an ONNX Runtime environment; gives [`LoadedModel`], the implementation of
//! [`debut_udfs::model::Model`].
//!
//! # How a job runs
//! ```text
//! rows -> chunk -> preprocessor threads -> batches -> session thread -> pooling -> the job's output
//!           next chunk is prepared meanwhile            (one batch per job in turn)
//! ```
//! Nothing here needs an executor of its own: the future waits on channels only.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::Array;
use async_trait::async_trait;
use datafusion::common::{DataFusionError, Result};
use debut_udfs::model::{Input, InputKind, Job, Model, ModelInfo, Output, Task};
use futures::channel::oneshot;

use super::batcher::{Batches, Budget};
use super::job::{CancelOnDrop, Chunk, RunningJob};
use super::open::open_session;
use super::preprocessor::{ChunkSize, Prepared, Preprocessor};
use super::runtime::Target;
use super::session::{Reading, SessionThread};
use super::threads::preprocessor_pool;
use super::{Error, modality, vnni};
use crate::registry::manifest::Manifest;

/// Chunks of one job that are with the session: one that runs, one that follows without a pause.
const CHUNKS_AHEAD: usize = 2;

/// A model version with its preprocessor and its session.
#[derive(Debug)]
pub struct LoadedModel {
    info: ModelInfo,
    target: Target,
    device: String,
    width: usize,
    preprocessor: Arc<dyn Preprocessor>,
    session: SessionThread,
}

impl LoadedModel {
    /// Opens the model version in `folder` on `target`. Reads the weights; takes a moment.
    ///
    /// # Errors
    /// A file is gone or damaged, the graph is not what the manifest says, or the runtime refuses it.
    pub(crate) fn open(
        folder: &Path,
        info: ModelInfo,
        manifest: &Manifest,
        environment: &ort::environment::Environment,
        target: &Target,
    ) -> Result<Self, Error> {
        let model = info.reference();
        if manifest.needs_vnni && !vnni::is_here() {
            return Err(Error::NoVnni { model });
        }
        let preprocessor = modality::preprocessor(&model, folder, manifest)?;
        let width = info.width(false);
        let reading = Reading {
            model,
            device: target.to_string(),
            output: manifest.output.name.clone(),
            kind: manifest.output.kind,
            pooling: manifest.pooling,
            width,
        };
        let session = open_session(&folder.join(&manifest.graph), &reading, environment, target)?;
        let session = SessionThread::start(session, reading, preprocessor.as_ref())?;
        Ok(Self { info, target: target.clone(), device: target.to_string(), width, preprocessor, session })
    }

    async fn compute(&self, job: Job) -> Result<Output, Error> {
        self.check(&job.input)?;
        let rows = job.input.rows();
        if rows == 0 {
            return Ok(Output::default());
        }
        let failed =
            |source| Error::Run { model: self.info.reference(), device: self.device.clone(), rows, length: 0, source };
        let running = RunningJob::new(rows * self.width, Arc::clone(&job.stats)).map_err(failed)?;
        let _cancel = CancelOnDrop(Arc::clone(&running));
        let budget = Budget::of(job.max_batch_tokens, &self.target);
        let job = Arc::new(job);

        let mut chunks = chunks(&job.input, self.preprocessor.chunk());
        let mut preparing = chunks.next().map(|rows| self.prepare(&running, &job, rows)).transpose()?;
        let mut ahead = VecDeque::with_capacity(CHUNKS_AHEAD);
        while let Some((first_row, prepared)) = preparing.take() {
            let prepared = prepared.await.map_err(|_| self.stopped())?;
            preparing = chunks.next().map(|rows| self.prepare(&running, &job, rows)).transpose()?;
            if ahead.len() == CHUNKS_AHEAD
                && let Some(oldest) = ahead.pop_front()
            {
                self.finished(oldest).await?;
            }
            let failures = prepared.failures().iter().map(|(row, reason)| (first_row + row, reason.clone()));
            running.output().failures.extend(failures);
            let lengths = (0..prepared.rows()).map(|row| prepared.length(row));
            let batches = Batches::new(lengths, budget);
            ahead.push_back(self.session.submit(Arc::clone(&running), Chunk { first_row, prepared, batches })?);
        }
        for chunk in ahead {
            self.finished(chunk).await?;
        }
        Ok(running.take_output())
    }

    /// Starts to prepare `rows` of `job` on the preprocessor threads; gives the first row and what is to come.
    fn prepare(
        &self,
        running: &Arc<RunningJob>,
        job: &Arc<Job>,
        rows: Range<usize>,
    ) -> Result<(usize, oneshot::Receiver<Box<dyn Prepared>>), Error> {
        let pool = preprocessor_pool()
            .map_err(|source| Error::Thread { model: self.info.reference(), source: source.into() })?;
        let (sender, receiver) = oneshot::channel();
        let (preprocessor, running, job) = (Arc::clone(&self.preprocessor), Arc::clone(running), Arc::clone(job));
        let first_row = rows.start;
        pool.spawn(move || {
            let cancelled = || running.is_cancelled();
            let prepared = preprocessor.prepare(&job.input, rows, &job.prompt, &cancelled, &job.stats);
            // Nobody waits for the rows of a cancelled job.
            let _ = sender.send(prepared);
        });
        Ok((first_row, receiver))
    }

    async fn finished(&self, chunk: oneshot::Receiver<Result<(), Error>>) -> Result<(), Error> {
        chunk.await.unwrap_or_else(|_| Err(self.stopped()))
    }

    fn stopped(&self) -> Error {
        Error::Stopped { model: self.info.reference() }
    }

    fn check(&self, input: &Input) -> Result<(), Error> {
        let model = || self.info.reference();
        // A recommender's encoder reads one input a row; pairs of users and items are `recommend`'s.
        let wanted = InputKind::of(self.info.modality, self.info.task == Task::CrossEncoder);
        if input.kind() != wanted {
            return Err(Error::Kind { model: model(), task: self.info.task, wanted, found: input.kind() });
        }
        match input {
            Input::Pairs(left, right) if left.len() != right.len() => {
                Err(Error::Pairs { model: model(), left: left.len(), right: right.len() })
            }
            Input::TextAndBytes(left, right) if left.len() != right.len() => {
                Err(Error::Pairs { model: model(), left: left.len(), right: right.len() })
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Model for LoadedModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn device(&self) -> &str {
        &self.device
    }

    async fn run(&self, job: Job) -> Result<Output> {
        self.compute(job).await.map_err(|error| DataFusionError::External(Box::new(error)))
    }
}

/// Cuts the rows of `input` into ranges of about `most`.
fn chunks(input: &Input, most: ChunkSize) -> impl Iterator<Item = Range<usize>> + Send + use<> {
    let input = input.clone();
    let rows = input.rows();
    let mut start = 0;
    std::iter::from_fn(move || {
        if start == rows {
            return None;
        }
        let (mut end, mut size) = (start, 0);
        while end < rows && end - start < most.rows && size < most.bytes {
            let (first, second) = input.row(end);
            size += first.len() + second.len();
            end += 1;
        }
        let range = start..end;
        start = end;
        Some(range)
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use proptest::prelude::*;

    use super::*;

    const MOST: ChunkSize = ChunkSize { rows: 2048, bytes: 4 << 20 };

    fn ranges(input: &Input) -> Vec<Range<usize>> {
        chunks(input, MOST).collect()
    }

    #[test]
    fn chunks_end_at_rows_and_at_bytes() {
        let short = StringArray::from(vec!["a"; MOST.rows + 1]);
        assert_eq!(ranges(&Input::Texts(short)), [0..MOST.rows, MOST.rows..MOST.rows + 1]);
        let long = "x".repeat(MOST.bytes);
        let long = StringArray::from(vec![long.as_str(), "a", "b"]);
        assert_eq!(ranges(&Input::Texts(long.clone())), [0..1, 1..3]);
        let short = StringArray::from(vec!["a"; 3]);
        assert_eq!(ranges(&Input::Pairs(short, long)), [0..1, 1..3]);
        assert!(ranges(&Input::Texts(StringArray::from(Vec::<&str>::new()))).is_empty());
    }

    proptest! {
        #[test]
        fn chunks_cover_every_row_once(rows in 0usize..6000) {
            let texts = StringArray::from(vec![""; rows]);
            let mut next = 0;
            for range in ranges(&Input::Texts(texts)) {
                prop_assert!(range.start == next && range.end > next);
                next = range.end;
            }
            prop_assert_eq!(next, rows);
        }
    }
}
