//! Serves the queue of one model: takes batches; runs the model; gives results back to their requests.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use datafusion::common::{DataFusionError, Result};
use debut_udfs::config::BatchTokens;
use debut_udfs::inference::Inference;
use debut_udfs::model::{Input, Model, Stats};
use futures::future::{Either, join_all, select};

use super::queue::{Part, Queue, concatenate};
use super::{Batchers, Computed, Key};

/// A model that nobody asks for is let go after this time; the process may still keep it.
const IDLE: Duration = Duration::from_secs(300);

/// Runs batches until nothing comes for a while.
pub(super) async fn serve(batchers: Arc<Batchers>, key: Key, inference: Inference, queue: Arc<Queue>) {
    match load(&batchers, &inference).await {
        Ok(model) => {
            let worker =
                Worker { model, inference, queue: Arc::clone(&queue), tokens: batchers.config.max_batch_tokens };
            while let Some(parts) = queue.next(IDLE).await {
                worker.run(parts).await;
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            queue.close().into_iter().for_each(|waiting| waiting.fail(Arc::clone(&error)));
        }
    }
    batchers.forget(&key, &queue);
}

/// Loading reads files and takes a moment: a thread that may block does it.
async fn load(batchers: &Batchers, inference: &Inference) -> Result<Arc<dyn Model>> {
    let (provider, config) = (Arc::clone(&batchers.provider), batchers.config.clone());
    let reference = inference.model.reference();
    let loading = tokio::task::spawn_blocking(move || provider.load(&reference, &config));
    loading.await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?
}

struct Worker {
    model: Arc<dyn Model>,
    inference: Inference,
    queue: Arc<Queue>,
    tokens: BatchTokens,
}

impl Worker {
    async fn run(&self, mut parts: Vec<Part>) {
        let rows: usize = parts.iter().map(|part| part.rows.len()).sum();
        let metrics = self.queue.metrics();
        metrics.batch_rows.observe(rows as f64);
        metrics.batch_requests.fetch_add(parts.len() as u64, Ordering::Relaxed);
        let begun = Instant::now();
        let computed = match concatenate(&parts) {
            Ok(input) => self.compute(input, &mut parts).await,
            Err(error) => Err(error),
        };
        match computed {
            Ok(Some(computed)) => {
                self.queue.measured(rows, begun.elapsed());
                self.split(parts, &computed);
            }
            Ok(None) => parts.iter().for_each(|part| self.queue.abandon(&part.waiting)),
            Err(error) if parts.len() == 1 => self.fail(parts, error),
            // One of them may be to blame: each is tried alone, and only that one fails.
            Err(_) => {
                for part in parts {
                    self.run_alone(part).await;
                }
            }
        }
    }

    async fn run_alone(&self, part: Part) {
        let mut parts = vec![part];
        let computed = match parts[0].input() {
            Ok(input) => self.compute(input, &mut parts).await,
            Err(error) => Err(error),
        };
        match computed {
            Ok(Some(computed)) => self.split(parts, &computed),
            Ok(None) => parts.iter().for_each(|part| self.queue.abandon(&part.waiting)),
            Err(error) => self.fail(parts, error),
        }
    }

    /// `None` if nobody waits for any of it any more: the model is interrupted then.
    async fn compute(&self, input: Input, parts: &mut [Part]) -> Result<Option<Computed>> {
        let rows = input.rows();
        let stats = Arc::new(Stats::of_rows(rows));
        let run = self.model.run(self.inference.job(input, self.tokens, Arc::clone(&stats)));
        let gone = join_all(parts.iter_mut().map(|part| part.waiting.gone()));
        let output = match select(run, gone).await {
            Either::Left((output, _)) => output?,
            Either::Right(_) => return Ok(None),
        };
        let expected = rows * self.inference.width();
        if output.values.len() != expected {
            let found = output.values.len();
            return datafusion::common::internal_err!("the model gave {found} values and not {expected}");
        }
        let tokens: Vec<u32> = stats.row_tokens.iter().map(|length| length.load(Ordering::Relaxed)).collect();
        let metrics = self.queue.metrics();
        metrics.rows.fetch_add(rows as u64, Ordering::Relaxed);
        metrics.tokens.fetch_add(tokens.iter().map(|length| u64::from(*length)).sum(), Ordering::Relaxed);
        Ok(Some(Computed { output, tokens }))
    }

    fn split(&self, parts: Vec<Part>, computed: &Computed) {
        let mut first = 0;
        for Part { mut waiting, rows } in parts {
            waiting.write(&rows, first, self.inference.width(), computed);
            first += rows.len();
            if waiting.is_gone() {
                self.queue.abandon(&waiting);
            } else {
                self.queue.give_back(waiting);
            }
        }
    }

    fn fail(&self, parts: Vec<Part>, error: DataFusionError) {
        let error = Arc::new(error);
        for part in parts {
            self.queue.abandon(&part.waiting);
            part.waiting.fail(Arc::clone(&error));
        }
    }
}
