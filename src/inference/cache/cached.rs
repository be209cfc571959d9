//! A model with a cache in front of it: takes jobs, gives what the cache has and runs the rest.
//!
//! Rows are looked up before they are tokenized, all of a job at once, on the threads beside the session. The model itself is
//! opened when the first row is missing: who asks only for what is known waits for no weights.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use datafusion::common::{DataFusionError, Result};
use debut_udfs::model::{Input, InputKind, Job, Model, ModelInfo, Output, Stats};

use super::shelf::{Found, Shelf};
use super::{Batch, Cache, key, root};
use crate::inference::Error;
use crate::inference::LoadedModel;
use crate::inference::threads::aside;

type Opener = dyn Fn() -> Result<Arc<LoadedModel>, Error> + Send + Sync;

/// A model whose vectors are kept.
pub(crate) struct CachedModel {
    info: ModelInfo,
    device: String,
    cache: Arc<Cache>,
    shelf: Arc<Shelf>,
    opener: Arc<Opener>,
}

impl Debug for CachedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedModel").field("info", &self.info).field("shelf", &self.shelf).finish_non_exhaustive()
    }
}

impl CachedModel {
    /// The model with this `identity`, opened by `opener`, which is called more than once and knows what is open.
    pub(crate) fn new(
        info: ModelInfo,
        device: String,
        cache: Arc<Cache>,
        identity: [u8; 32],
        opener: impl Fn() -> Result<Arc<LoadedModel>, Error> + Send + Sync + 'static,
    ) -> Self {
        let shelf = cache.shelf(identity, info.width(false), &format!("{} on {device}", info.reference()));
        Self { info, device, cache, shelf, opener: Arc::new(opener) }
    }

    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        aside(&self.info.reference(), work).await
    }

    async fn loaded(&self) -> Result<Arc<LoadedModel>> {
        let opener = Arc::clone(&self.opener);
        self.aside(move || opener()).await.and_then(|opened| opened).map_err(external)
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

#[async_trait]
impl Model for CachedModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn device(&self) -> &str {
        &self.device
    }

    fn open(&self) -> Result<()> {
        (self.opener)().map(drop).map_err(external)
    }

    async fn run(&self, job: Job) -> Result<Output> {
        // Logits of pairs are not kept, and of what the model does not read it speaks itself.
        if job.input.kind() != InputKind::of(self.info.modality, false) {
            return self.loaded().await?.run(job).await;
        }
        let width = self.shelf.width();
        let (input, prompt, shelf) = (job.input.clone(), job.prompt.clone(), Arc::clone(&self.shelf));
        let look = move || {
            let keys = key::keys(shelf.identity(), &prompt, &input);
            let found = shelf.lookup(&keys, root::now());
            (keys, found)
        };
        let (keys, Found { mut values, tokens, missing }) = self.aside(look).await.map_err(external)?;
        Stats::add(&job.stats.cache_hits, keys.len() - missing.len());
        Stats::add(&job.stats.cache_misses, missing.len());
        for (row, tokens) in tokens.iter().enumerate() {
            job.stats.set_row_tokens(row, *tokens as usize);
        }
        if missing.is_empty() {
            return Ok(Output { values, failures: Vec::new() });
        }
        let model = self.loaded().await?;
        let stats = Arc::new(Stats::of_rows(missing.len()));
        let input: Input = if missing.len() == keys.len() { job.input.clone() } else { job.input.take(&missing)? };
        let computed = model.run(Job { input, stats: Arc::clone(&stats), ..job.clone() }).await?;
        job.stats.merge(&stats);
        let (cache, shelf) = (Arc::clone(&self.cache), Arc::clone(&self.shelf));
        let put_together = move || {
            let lengths: Vec<u32> = stats.row_tokens.iter().map(|length| length.load(Ordering::Relaxed)).collect();
            let mut new = Batch { shelf, keys: Vec::new(), tokens: Vec::new(), values: Vec::new() };
            let mut failures = computed.failures.into_iter().peekable();
            let mut failed = Vec::new();
            for (place, &row) in missing.iter().enumerate() {
                let (row, vector) = (row as usize, &computed.values[place * width..][..width]);
                values[row * width..][..width].copy_from_slice(vector);
                job.stats.set_row_tokens(row, lengths[place] as usize);
                // A row may have failed by a limit of this run; it is tried again.
                match failures.next_if(|(failed, _)| *failed == place) {
                    Some((_, reason)) => failed.push((row, reason)),
                    None => {
                        new.keys.push(keys[row]);
                        new.tokens.push(lengths[place]);
                        new.values.extend_from_slice(vector);
                    }
                }
            }
            if !new.keys.is_empty() {
                cache.keep(new);
            }
            Output { values, failures: failed }
        };
        self.aside(put_together).await.map_err(external)
    }
}
