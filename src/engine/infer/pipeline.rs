//! The stream of `InferExec`: batches in, the same batches with one more column out.
//!
//! Texts are gathered over as many batches as make a good window for the model, each distinct text once. While the
//! model runs one window the next is gathered, and finished windows are given out batch by batch in the order of the
//! input. Dropping the stream drops the windows, which cancels their work.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, RecordBatch, StringArray};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, RatioMetrics, Time};
use debut_udfs::inference::Inference;
use debut_udfs::model::{Input, InputKind, Modality, Model, Output, Stats};
use futures::{Stream, StreamExt, stream};

use super::memo::{Added, Memo, Row};
use super::model_source::ModelSource;

/// New texts of a query's first window; each next window holds twice as many, up to [`LARGEST_WINDOW`].
const FIRST_WINDOW: usize = 512;
/// Enough texts to sort by length and to keep the model busy while the next window is gathered.
const LARGEST_WINDOW: usize = 4096;
/// A window ends here even if few of its rows are new.
const WINDOW_ROWS: usize = 65_536;
/// A window ends here whatever its rows are: texts may be long.
const WINDOW_BYTES: usize = 32 << 20;
/// Windows that are gathered before the oldest is waited for.
const WINDOWS_AHEAD: usize = 2;

/// What a plan node reports in `EXPLAIN ANALYZE`.
pub(super) struct InferMetrics {
    pub(super) baseline: BaselineMetrics,
    pub(super) distinct_inputs: Count,
    pub(super) cache_hits: Count,
    pub(super) cache_misses: Count,
    pub(super) batches: Count,
    /// Of texts: pictures have one size, and nothing is padded.
    pub(super) lengths: Option<LengthMetrics>,
    /// Making inputs ready for the model, summed over threads: tokenizing texts, decoding and resizing pictures.
    pub(super) preprocessing_time: Time,
    /// Inside the runs of the model.
    pub(super) inference_time: Time,
}

/// How long texts are.
pub(super) struct LengthMetrics {
    pub(super) tokens: Count,
    pub(super) padded_tokens: Count,
    pub(super) padding: RatioMetrics,
}

/// Everything a running node needs.
pub(super) struct Pipeline {
    pub(super) input: SendableRecordBatchStream,
    pub(super) schema: SchemaRef,
    pub(super) inference: Inference,
    pub(super) arguments: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) source: ModelSource,
    pub(super) reservation: MemoryReservation,
    pub(super) metrics: InferMetrics,
}

/// A pipeline under way.
struct State {
    pipeline: Pipeline,
    model: Option<Arc<dyn Model>>,
    memo: Memo,
    stats: Arc<Stats>,
    reported: Reported,
    input_ended: bool,
    rows_given: usize,
    window_target: usize,
    ahead: VecDeque<Window>,
    current: Option<Window>,
}

/// The counts that the metrics have been told of.
#[derive(Default)]
struct Reported {
    rows: u64,
    tokens: u64,
    padded: u64,
    batches: u64,
    preprocessor_nanos: u64,
    session_nanos: u64,
    cache_hits: u64,
    cache_misses: u64,
}

/// Batches whose texts are run together.
struct Window {
    added: Added,
    batches: VecDeque<(RecordBatch, Vec<Option<u32>>)>,
    values: Values,
    bytes: usize,
    run: Option<SpawnedTask<Result<Output>>>,
}

/// Where the new rows of a window are, if bytes are a part of them: in the buffers of their batches.
#[derive(Default)]
struct Values {
    /// Of each batch its bytes, and the texts beside them where there are some.
    columns: Vec<(Option<BinaryViewArray>, BinaryViewArray)>,
    /// Of each new row, its batch and its place in it.
    fresh: Vec<(usize, usize)>,
}

impl Values {
    /// The new rows; their bytes are not copied.
    fn input(&self) -> Result<Input> {
        let bytes = self.of(self.columns.iter().map(|(_, bytes)| bytes))?.as_binary_view().clone();
        if self.columns.iter().all(|(texts, _)| texts.is_none()) {
            return Ok(Input::Bytes(bytes));
        }
        let texts = self.of(self.columns.iter().filter_map(|(texts, _)| texts.as_ref()))?;
        let texts = texts.as_binary_view().clone().to_string_view()?;
        Ok(Input::TextAndBytes(StringArray::from_iter(texts.iter()), bytes))
    }

    /// The new rows of one of the columns.
    fn of<'a>(&self, columns: impl Iterator<Item = &'a BinaryViewArray>) -> Result<ArrayRef> {
        let columns: Vec<&dyn Array> = columns.map(|column| column as &dyn Array).collect();
        Ok(interleave(&columns, &self.fresh)?)
    }
}

impl Pipeline {
    /// The output batches, in the order of the input.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<RecordBatch>> {
        let state = State {
            memo: Memo::new(self.inference.width(), self.inference.input_kind()),
            pipeline: self,
            model: None,
            stats: Arc::default(),
            reported: Reported::default(),
            input_ended: false,
            rows_given: 0,
            window_target: FIRST_WINDOW,
            ahead: VecDeque::new(),
            current: None,
        };
        stream::try_unfold(state, |mut state| async move { Ok(state.next().await?.map(|batch| (batch, state))) })
    }
}

impl State {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            while self.ahead.len() < WINDOWS_AHEAD && !self.input_ended {
                self.gather().await?;
            }
            if let Some(batch) = self.emit()? {
                return Ok(Some(batch));
            }
            match self.ahead.pop_front() {
                Some(window) => self.finish(window).await?,
                None => return Ok(None),
            }
        }
    }

    /// Reads a window's batches and starts the model on their new texts.
    async fn gather(&mut self) -> Result<()> {
        let mut window = Window {
            added: self.memo.begin(),
            batches: VecDeque::new(),
            values: Values::default(),
            bytes: 0,
            run: None,
        };
        let mut rows = 0;
        while window.added.fresh() < self.window_target && rows < WINDOW_ROWS && window.bytes < WINDOW_BYTES {
            let Some(batch) = self.pipeline.input.next().await.transpose()? else {
                self.input_ended = true;
                break;
            };
            if batch.num_rows() == 0 {
                continue;
            }
            let elapsed = self.pipeline.metrics.baseline.elapsed_compute().clone();
            let time = elapsed.timer();
            let ids = self.add_rows(&batch, &mut window.added, &mut window.values)?;
            time.done();
            rows += batch.num_rows();
            window.bytes += batch.get_array_memory_size() + ids.capacity() * size_of::<Option<u32>>();
            window.batches.push_back((batch, ids));
        }
        if window.batches.is_empty() {
            return Ok(());
        }
        self.window_target = (self.window_target * 2).min(LARGEST_WINDOW);
        if window.added.fresh() > 0 {
            let model = self.model().await?;
            let input = match self.memo.kind() {
                kind if kind.has_bytes() => std::mem::take(&mut window.values).input()?,
                _ => self.memo.input(&window.added)?,
            };
            let job = self.pipeline.inference.job(
                input,
                self.pipeline.source.config.max_batch_tokens,
                Arc::clone(&self.stats),
            );
            window.run = Some(SpawnedTask::spawn(async move { model.run(job).await }));
        }
        self.ahead.push_back(window);
        self.reserve()
    }

    fn add_rows(&mut self, batch: &RecordBatch, added: &mut Added, values: &mut Values) -> Result<Vec<Option<u32>>> {
        let rows = batch.num_rows();
        let arguments = self
            .pipeline
            .arguments
            .iter()
            .map(|argument| argument.evaluate(batch)?.into_array(rows))
            .collect::<Result<Vec<_>>>()?;
        let memo = &mut self.memo;
        let (texts, column) = match (memo.kind(), arguments.as_slice()) {
            (InputKind::Bytes, [bytes]) => (None, Modality::Bytes.views(bytes)?),
            (InputKind::TextAndBytes, [texts, bytes]) => {
                (Some(Modality::Text.views(texts)?), Modality::Bytes.views(bytes)?)
            }
            (InputKind::Bytes | InputKind::TextAndBytes, _) => {
                return internal_err!("{} columns of bytes", arguments.len());
            }
            _ => {
                let collect = |first: &[u8], second: &[u8]| memo.add(added, Row::whole(first, second));
                return self.pipeline.inference.collect(&arguments, collect);
            }
        };
        let valued = |column: &BinaryViewArray, row: usize| column.is_valid(row);
        let ids = (0..rows).map(|row| {
            let (known, has_bytes) = (added.fresh(), valued(&column, row));
            let bytes = if has_bytes { column.value(row) } else { &[] };
            let seen = match &texts {
                None if !has_bytes => return None,
                None => Row::whole(bytes, &[]),
                Some(texts) => {
                    let has_text = valued(texts, row);
                    if !has_text && !has_bytes {
                        return None;
                    }
                    let text = if has_text { texts.value(row) } else { &[] };
                    Row { parts: (text, bytes), present: [has_text, has_bytes] }
                }
            };
            let id = memo.add(added, seen);
            if added.fresh() > known {
                values.fresh.push((values.columns.len(), row));
            }
            Some(id)
        });
        let ids = ids.collect();
        values.columns.push((texts, column));
        Ok(ids)
    }

    async fn model(&mut self) -> Result<Arc<dyn Model>> {
        if let Some(model) = &self.model {
            return Ok(Arc::clone(model));
        }
        let model = self.pipeline.source.load().await?;
        self.model = Some(Arc::clone(&model));
        Ok(model)
    }

    /// Waits for a window's values and makes it the one that is given out.
    async fn finish(&mut self, mut window: Window) -> Result<()> {
        let output = match window.run.take() {
            Some(run) => run.await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??,
            None => Output::default(),
        };
        let elapsed = self.pipeline.metrics.baseline.elapsed_compute().clone();
        let time = elapsed.timer();
        self.memo.complete(&window.added, output);
        time.done();
        self.memo.forget_before(Some(&window.added));
        self.current = Some(window);
        self.report();
        self.reserve()
    }

    /// The next batch of the finished window, with its column.
    fn emit(&mut self) -> Result<Option<RecordBatch>> {
        let Some(window) = &mut self.current else { return Ok(None) };
        let Some((batch, ids)) = window.batches.pop_front() else {
            self.current = None;
            return Ok(None);
        };
        let time = self.pipeline.metrics.baseline.elapsed_compute().timer();
        let memo = &self.memo;
        let added = &window.added;
        let column = self.pipeline.inference.assemble(
            &ids,
            self.rows_given,
            |id| memo.values(added, id),
            |id| memo.failure(added, id),
        )?;
        self.rows_given += ids.len();
        let mut columns = batch.columns().to_vec();
        columns.push(column);
        let batch = RecordBatch::try_new(Arc::clone(&self.pipeline.schema), columns)?;
        time.done();
        self.pipeline.metrics.baseline.record_output(batch.num_rows());
        Ok(Some(batch))
    }

    /// Tells the query's memory pool what is held: the memo, and the batches and texts of the windows.
    fn reserve(&self) -> Result<()> {
        let windows = self.ahead.iter().chain(&self.current).map(|window| window.bytes).sum::<usize>();
        self.pipeline.reservation.try_resize(self.memo.memory() + windows)
    }

    /// Adds to the metrics what was counted since the last time.
    fn report(&mut self) {
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let now = Reported {
            rows: read(&self.stats.rows),
            tokens: read(&self.stats.tokens),
            padded: read(&self.stats.padded_tokens),
            batches: read(&self.stats.batches),
            preprocessor_nanos: read(&self.stats.preprocessor_nanos),
            session_nanos: read(&self.stats.session_nanos),
            cache_hits: read(&self.stats.cache_hits),
            cache_misses: read(&self.stats.cache_misses),
        };
        let before = &self.reported;
        let count = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
        let metrics = &self.pipeline.metrics;
        let hits = count(now.cache_hits, before.cache_hits);
        metrics.distinct_inputs.add(count(now.rows, before.rows) + hits);
        metrics.cache_hits.add(hits);
        metrics.cache_misses.add(count(now.cache_misses, before.cache_misses));
        metrics.batches.add(count(now.batches, before.batches));
        if let Some(lengths) = &metrics.lengths {
            lengths.tokens.add(count(now.tokens, before.tokens));
            lengths.padded_tokens.add(count(now.padded, before.padded));
            lengths.padding.add_total(count(now.padded, before.padded));
            lengths.padding.add_part(count(now.padded - now.tokens, before.padded - before.tokens));
        }
        metrics
            .preprocessing_time
            .add_duration(Duration::from_nanos(now.preprocessor_nanos - before.preprocessor_nanos));
        metrics.inference_time.add_duration(Duration::from_nanos(now.session_nanos - before.session_nanos));
        self.reported = now;
    }
}
