//! The requests that wait for one model: takes rows; gives batches, fair to short requests, and splits results back.
//!
//! A batch goes through the queue from the front. In the first round each request gives a quarter of a batch at most, so
//! that a long one keeps no short one from being in it; what room is left is filled in the order of the queue. A request
//! with rows left goes to the back.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::concat;
use datafusion::common::{DataFusionError, Result};
use debut_udfs::model::{Input, Output};
use tokio::sync::{Notify, oneshot};

use super::Computed;
use crate::server::http::metrics::ModelMetrics;
use crate::server::http::options::BatchingOptions;

/// Texts of one batch end here, so that a few long ones do not keep the model for long.
const BATCH_BYTES: usize = 256 << 10;

/// How fast the measured rate follows the model's: the weight of the last batch.
const RATE_WEIGHT: f64 = 0.2;

/// What a request is told in the end.
pub(super) type Answer = Result<Computed, Arc<DataFusionError>>;

/// Why rows were not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// Too much waits already.
    Full {
        /// About how long that will take.
        wait: Duration,
        /// How much it is.
        rows: usize,
    },
    /// Nobody serves the queue any more; the rows are given back.
    Closed(Box<Input>),
}

/// A request of which rows are left to compute.
#[derive(Debug)]
pub(super) struct Waiting {
    input: Input,
    /// The first row that is not in a batch yet.
    next: usize,
    arrived: Instant,
    computed: Computed,
    reply: oneshot::Sender<Answer>,
}

impl Waiting {
    fn remaining(&self) -> usize {
        self.input.rows() - self.next
    }

    /// Whether nobody waits for the answer.
    pub(super) fn is_gone(&self) -> bool {
        self.reply.is_closed()
    }

    /// Ends when nobody waits for the answer any more.
    pub(super) async fn gone(&mut self) {
        self.reply.closed().await;
    }

    /// Tells the request that it failed.
    pub(super) fn fail(self, error: Arc<DataFusionError>) {
        // Who went away does not want to know.
        let _ = self.reply.send(Err(error));
    }

    /// Writes the results of `rows`, which are those from `first` on of a batch.
    pub(super) fn write(&mut self, rows: &Range<usize>, first: usize, width: usize, batch: &Computed) {
        let values = &batch.output.values[first * width..][..rows.len() * width];
        self.computed.output.values[rows.start * width..rows.end * width].copy_from_slice(values);
        for (place, length) in self.computed.tokens[rows.clone()].iter_mut().zip(&batch.tokens[first..]) {
            *place = *length;
        }
        let failed = batch.output.failures.iter().filter(|(row, _)| (first..first + rows.len()).contains(row));
        let failed = failed.map(|(row, reason)| (row - first + rows.start, reason.clone()));
        self.computed.output.failures.extend(failed);
    }
}

/// Rows of one request in a batch.
#[derive(Debug)]
pub(super) struct Part {
    /// The request.
    pub(super) waiting: Waiting,
    /// Its rows.
    pub(super) rows: Range<usize>,
}

impl Part {
    /// The rows as a model's input.
    ///
    /// # Errors
    /// They hold more than 2 GiB of text.
    pub(super) fn input(&self) -> Result<Input> {
        concatenate(std::slice::from_ref(self))
    }
}

/// The queue of one model.
#[derive(Debug)]
pub(super) struct Queue {
    options: BatchingOptions,
    width: usize,
    metrics: Arc<ModelMetrics>,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    rows: usize,
    bytes: usize,
    /// Rows per second, once a batch has run.
    rate: Option<f64>,
    /// Whether several requests came together, lately: only then can waiting bring others.
    in_demand: bool,
    closed: bool,
}

impl Queue {
    /// An empty queue of a model with `width` values a row.
    pub(super) fn new(options: BatchingOptions, width: usize, metrics: Arc<ModelMetrics>) -> Self {
        Self { options, width, metrics, state: Mutex::default(), arrived: Notify::new() }
    }

    /// The counters of the model.
    pub(super) fn metrics(&self) -> &ModelMetrics {
        &self.metrics
    }

    /// Adds a request; an empty queue takes any.
    pub(super) fn push(&self, input: Input) -> Result<oneshot::Receiver<Answer>, Refused> {
        let (rows, bytes) = (input.rows(), bytes_of(&input));
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed(Box::new(input)));
        }
        let over = |now: usize, more: usize, most: usize| now > 0 && now.saturating_add(more) > most;
        if over(state.rows, rows, self.options.max_queued_rows)
            || over(state.bytes, bytes, self.options.max_queued_bytes)
        {
            let wait = state.rate.map_or(1.0, |rate| state.rows as f64 / rate).clamp(0.001, 3600.0);
            return Err(Refused::Full { wait: Duration::from_secs_f64(wait), rows: state.rows });
        }
        let (reply, answer) = oneshot::channel();
        let output = Output { values: vec![0.0; rows * self.width], failures: Vec::new() };
        let computed = Computed { output, tokens: vec![0; rows] };
        state.waiting.push_back(Waiting { input, next: 0, arrived: Instant::now(), computed, reply });
        self.count(&mut state, rows.cast_signed(), bytes.cast_signed());
        self.arrived.notify_one();
        Ok(answer)
    }

    /// Waits until there is a batch to run: at once where requests come one after the other; else as soon as it is full, or its
    /// oldest request has waited for its time. `None` when nothing has come for `idle`; the queue is closed then.
    pub(super) async fn next(&self, idle: Duration) -> Option<Vec<Part>> {
        {
            let mut state = self.lock();
            // They came while a batch ran.
            state.in_demand |= !state.waiting.is_empty();
        }
        loop {
            let arrived = self.arrived.notified();
            let wait = {
                let mut state = self.lock();
                self.drop_gone(&mut state);
                match state.waiting.iter().map(|waiting| waiting.arrived).min() {
                    None => None,
                    Some(oldest) => {
                        let full = state.rows >= self.options.max_rows
                            || state.waiting.len() >= self.options.max_requests
                            || state.bytes >= BATCH_BYTES;
                        let budget = if state.in_demand { self.options.latency_budget } else { Duration::ZERO };
                        let left = budget.saturating_sub(oldest.elapsed());
                        if full || left.is_zero() {
                            return Some(self.take(&mut state));
                        }
                        Some(left)
                    }
                }
            };
            match wait {
                Some(left) => drop(tokio::time::timeout(left, arrived).await),
                None if tokio::time::timeout(idle, arrived).await.is_err() => {
                    let mut state = self.lock();
                    if state.waiting.is_empty() {
                        state.closed = true;
                        return None;
                    }
                }
                None => {}
            }
        }
    }

    /// Puts back what a batch has rows left of, and answers what is done.
    pub(super) fn give_back(&self, waiting: Waiting) {
        if waiting.remaining() == 0 {
            let _ = waiting.reply.send(Ok(waiting.computed));
            return;
        }
        self.lock().waiting.push_back(waiting);
    }

    /// What is left of a request will not be computed: it leaves the count.
    pub(super) fn abandon(&self, waiting: &Waiting) {
        let rest = rest_of(waiting);
        self.count(&mut self.lock(), -rest.0, -rest.1);
    }

    /// Learns how long a batch took.
    pub(super) fn measured(&self, rows: usize, time: Duration) {
        let rate = rows as f64 / time.as_secs_f64().max(1e-6);
        let mut state = self.lock();
        state.rate = Some(state.rate.map_or(rate, |before| before + RATE_WEIGHT * (rate - before)));
    }

    /// Takes no more, and gives all that waits.
    pub(super) fn close(&self) -> VecDeque<Waiting> {
        let mut state = self.lock();
        state.closed = true;
        let (rows, bytes) = (state.rows, state.bytes);
        self.count(&mut state, -rows.cast_signed(), -bytes.cast_signed());
        mem::take(&mut state.waiting)
    }

    /// Whether nobody serves it any more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn drop_gone(&self, state: &mut State) {
        let (gone, waiting) = mem::take(&mut state.waiting).into_iter().partition::<VecDeque<_>, _>(Waiting::is_gone);
        state.waiting = waiting;
        for waiting in &gone {
            let rest = rest_of(waiting);
            self.count(state, -rest.0, -rest.1);
        }
    }

    fn take(&self, state: &mut State) -> Vec<Part> {
        let most = self.options.max_rows.max(1);
        let share = (most / 4).max(1);
        let (mut room, mut bytes) = (most, 0);
        let mut parts: Vec<Part> = Vec::new();
        let mut waiting = mem::take(&mut state.waiting);
        while room > 0 && bytes < BATCH_BYTES && parts.len() < self.options.max_requests {
            let Some(mut next) = waiting.pop_front() else { break };
            let start = next.next;
            take_rows(&mut next, share.min(room), &mut room, &mut bytes);
            parts.push(Part { rows: start..next.next, waiting: next });
        }
        state.waiting = waiting;
        for part in &mut parts {
            if room == 0 || bytes >= BATCH_BYTES {
                break;
            }
            take_rows(&mut part.waiting, room, &mut room, &mut bytes);
            part.rows.end = part.waiting.next;
        }
        state.in_demand = parts.len() > 1 || !state.waiting.is_empty();
        let rows = most - room;
        self.count(state, -rows.cast_signed(), -bytes.cast_signed());
        parts
    }

    fn count(&self, state: &mut State, rows: isize, bytes: isize) {
        state.rows = state.rows.saturating_add_signed(rows);
        state.bytes = state.bytes.saturating_add_signed(bytes);
        self.metrics.queued_rows.store(state.rows as u64, Ordering::Relaxed);
    }

    /// What is locked is a list and sums, changed by calls that do not panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves up to `most` rows of a request into the batch; one at least, however long.
fn take_rows(waiting: &mut Waiting, most: usize, room: &mut usize, bytes: &mut usize) {
    let mut left = most.min(waiting.remaining());
    while left > 0 && *bytes < BATCH_BYTES {
        *bytes += row_bytes(&waiting.input, waiting.next);
        waiting.next += 1;
        *room -= 1;
        left -= 1;
    }
}

/// The rows of the parts, one after the other.
///
/// # Errors
/// They hold more than 2 GiB of text.
pub(super) fn concatenate(parts: &[Part]) -> Result<Input> {
    let columns = |column: fn(&Input) -> Vec<ArrayRef>| {
        let mut columns: Vec<Vec<ArrayRef>> = Vec::new();
        for part in parts {
            for (place, array) in column(&part.waiting.input).into_iter().enumerate() {
                if columns.len() == place {
                    columns.push(Vec::with_capacity(parts.len()));
                }
                columns[place].push(array.slice(part.rows.start, part.rows.len()));
            }
        }
        let whole = columns.iter().map(|slices| {
            let slices: Vec<&dyn Array> = slices.iter().map(AsRef::as_ref).collect();
            concat(&slices)
        });
        whole.collect::<Result<Vec<_>, _>>()
    };
    let whole = columns(|input| match input {
        Input::Texts(texts) => vec![Arc::new(texts.clone())],
        Input::Pairs(firsts, seconds) => vec![Arc::new(firsts.clone()), Arc::new(seconds.clone())],
        Input::Bytes(values) => vec![Arc::new(values.clone())],
        Input::TextAndBytes(texts, values) => vec![Arc::new(texts.clone()), Arc::new(values.clone())],
    })?;
    Ok(match (parts.first().map(|part| &part.waiting.input), whole.as_slice()) {
        (Some(Input::Pairs(..)), [firsts, seconds]) => {
            Input::Pairs(firsts.as_string::<i32>().clone(), seconds.as_string::<i32>().clone())
        }
        (Some(Input::TextAndBytes(..)), [texts, values]) => {
            Input::TextAndBytes(texts.as_string::<i32>().clone(), values.as_binary_view().clone())
        }
        (Some(Input::Bytes(_)), [values]) => Input::Bytes(values.as_binary_view().clone()),
        (_, [texts]) => Input::Texts(texts.as_string::<i32>().clone()),
        _ => Input::Texts(Vec::<&str>::new().into()),
    })
}

fn row_bytes(input: &Input, row: usize) -> usize {
    let (first, second) = input.row(row);
    first.len() + second.len()
}

fn bytes_of(input: &Input) -> usize {
    (0..input.rows()).map(|row| row_bytes(input, row)).sum()
}

/// Rows and bytes that are not in a batch yet.
fn rest_of(waiting: &Waiting) -> (isize, isize) {
    let bytes: usize = (waiting.next..waiting.input.rows()).map(|row| row_bytes(&waiting.input, row)).sum();
    (waiting.remaining().cast_signed(), bytes.cast_signed())
}
