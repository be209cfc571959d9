//! What the server counts: requests by route and status, their latency, and the work of each model.
//!
//! Counters are atomic, or behind a lock that is held for one addition. [`text`] writes them as Prometheus reads them;
//! [`process`] asks the operating system for the memory.

pub(super) mod process;
pub(super) mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of the latency buckets, in seconds.
const LATENCY_BOUNDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Upper bounds of the buckets of rows per batch.
const ROWS_BOUNDS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0];

/// All counters of a server.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    latencies: Mutex<BTreeMap<String, Arc<Histogram>>>,
    models: Mutex<BTreeMap<String, Arc<ModelMetrics>>>,
    /// Requests that are being answered.
    pub(super) running: AtomicU64,
    /// Connections that are open.
    pub(super) connections: AtomicU64,
    /// Events of feedback that are on the disk.
    pub(super) feedback_events: AtomicU64,
    /// Files that they were written to.
    pub(super) feedback_files: AtomicU64,
    /// Times that small files became a larger one.
    pub(super) feedback_merges: AtomicU64,
}

/// The counters of one model.
#[derive(Debug)]
pub(super) struct ModelMetrics {
    /// Rows that were computed.
    pub(super) rows: AtomicU64,
    /// Their tokens, padding left out.
    pub(super) tokens: AtomicU64,
    /// Rows that were put together into one call of the model.
    pub(super) batch_rows: Histogram,
    /// Requests in one call of the model, summed over calls.
    pub(super) batch_requests: AtomicU64,
    /// Rows that wait.
    pub(super) queued_rows: AtomicU64,
}

impl Metrics {
    /// Counts an answered request.
    pub(super) fn answered(&self, route: &str, status: u16, time: Duration) {
        *lock(&self.requests).entry((route.to_owned(), status)).or_default() += 1;
        let latency = Arc::clone(
            lock(&self.latencies).entry(route.to_owned()).or_insert_with(|| Arc::new(Histogram::new(LATENCY_BOUNDS))),
        );
        latency.observe(time.as_secs_f64());
    }

    /// The counters of a model, by `name@version`.
    pub(super) fn model(&self, reference: &str) -> Arc<ModelMetrics> {
        let new = || {
            Arc::new(ModelMetrics {
                rows: AtomicU64::default(),
                tokens: AtomicU64::default(),
                batch_rows: Histogram::new(ROWS_BOUNDS),
                batch_requests: AtomicU64::default(),
                queued_rows: AtomicU64::default(),
            })
        };
        Arc::clone(lock(&self.models).entry(reference.to_owned()).or_insert_with(new))
    }
}

/// How often values fell at or below each bound, their number and their sum.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [f64],
    /// One more than there are bounds: the last is for what lies above them all.
    buckets: Vec<AtomicU64>,
    /// The sum in millionths.
    micros: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(|_| AtomicU64::default()).collect(),
            micros: AtomicU64::default(),
        }
    }

    /// Counts a value.
    pub(super) fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add((value * 1e6).round() as u64, Ordering::Relaxed);
    }
}

/// A counter that goes up now and down when this is dropped.
#[derive(Debug)]
pub(super) struct Held<'a>(&'a AtomicU64);

impl<'a> Held<'a> {
    /// Counts one.
    pub(super) fn of(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A counter is a number: it cannot be left half written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
