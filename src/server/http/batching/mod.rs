//! Micro-batching: takes rows of many requests; gives each its results, computed in common calls of the model.
//!
//! # How a request's rows are computed
//! ```text
//! request -> queue of its model -> batch: rows of several requests -> Model::run -> split -> request
//!            bounded: else 429     as soon as the model is free, or after the latency budget
//! ```
//! Each model has a queue ([`queue`]) and a task that serves it ([`worker`]), which is gone when nobody asks for a while.
//! A request whose client went away is dropped from the queue, and interrupted where it runs alone.

mod queue;
mod worker;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use datafusion::common::DataFusionError;
use debut_udfs::config::DebutConfig;
use debut_udfs::inference::Inference;
use debut_udfs::model::{Input, InputKind, ModelProvider, Output};
use tokio::runtime::Handle;

use super::error::{ApiError, Result};
use super::metrics::Metrics;
use super::options::BatchingOptions;
use queue::{Queue, Refused};

/// What can be computed in one call: rows of one model with the same prompt, of the same kind.
type Key = (String, String, InputKind);

/// The queues of all models.
pub(super) struct Batchers {
    provider: Arc<dyn ModelProvider>,
    config: DebutConfig,
    options: BatchingOptions,
    metrics: Arc<Metrics>,
    threads: Handle,
    queues: Mutex<HashMap<Key, Arc<Queue>>>,
}

/// The results of a request.
#[derive(Debug, Default)]
pub(super) struct Computed {
    /// Values and failures, as a model gives them.
    pub(super) output: Output,
    /// The length of each row in tokens.
    pub(super) tokens: Vec<u32>,
}

impl Batchers {
    /// Queues over the models of `provider`, whose work is started on `threads`.
    pub(super) fn new(
        provider: Arc<dyn ModelProvider>,
        config: DebutConfig,
        options: BatchingOptions,
        metrics: Arc<Metrics>,
        threads: Handle,
    ) -> Arc<Self> {
        Arc::new(Self { provider, config, options, metrics, threads, queues: Mutex::default() })
    }

    /// Computes rows. Dropping the future takes them back.
    ///
    /// # Errors
    /// 429 when too much waits already; what went wrong with the model.
    pub(super) async fn run(self: &Arc<Self>, inference: &Inference, input: Input) -> Result<Computed> {
        if input.rows() == 0 {
            return Ok(Computed::default());
        }
        let key = (inference.model.reference(), inference.prompt.clone(), input.kind());
        let mut input = Some(input);
        loop {
            let queue = self.queue(&key, inference);
            let Some(rows) = input.take() else { return Err(ApiError::internal(&"rows were queued twice")) };
            match queue.push(rows) {
                Ok(answer) => {
                    let answer = answer.await.map_err(|_| ApiError::internal(&"the queue of a model was lost"))?;
                    return answer.map_err(|error| DataFusionError::Shared(error).into());
                }
                Err(Refused::Full { wait, rows }) => return Err(full(wait, rows)),
                // Its task has just ended; the next one is new.
                Err(Refused::Closed(rows)) => input = Some(*rows),
            }
        }
    }

    fn queue(self: &Arc<Self>, key: &Key, inference: &Inference) -> Arc<Queue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(key).filter(|queue| !queue.is_closed()) {
            return Arc::clone(queue);
        }
        let metrics = self.metrics.model(&key.0);
        let queue = Arc::new(Queue::new(self.options, inference.width(), metrics));
        queues.insert(key.clone(), Arc::clone(&queue));
        let work = worker::serve(Arc::clone(self), key.clone(), inference.clone(), Arc::clone(&queue));
        self.threads.spawn(work);
        queue
    }

    /// Takes a queue out that was closed, unless another has its place.
    fn forget(&self, key: &Key, queue: &Arc<Queue>) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.get(key).is_some_and(|found| Arc::ptr_eq(found, queue)) {
            queues.remove(key);
        }
    }

    /// Rows that wait for any model.
    pub(super) fn queued_rows(&self) -> u64 {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.values().map(|queue| queue.metrics().queued_rows.load(Ordering::Relaxed)).sum()
    }
}

fn full(wait: Duration, rows: usize) -> ApiError {
    let message =
        format!("{rows} rows wait for the model already: send the request again after the time in Retry-After");
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", message).retry_after(wait)
}

#[cfg(test)]
mod tests;
