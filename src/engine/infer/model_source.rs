//! Where a node gets its model: takes a provider and a reference, gives the model, loaded when the first row arrives.

use std::sync::{Arc, OnceLock};

use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result};
use debut_udfs::config::DebutConfig;
use debut_udfs::inference::Inference;
use debut_udfs::model::{Model, ModelProvider};

use super::shared::{SharedModel, SharedResults};

/// Where a node gets its model when the first text arrives.
#[derive(Debug, Clone)]
pub(super) struct ModelSource {
    provider: Arc<dyn ModelProvider>,
    reference: String,
    pub(super) config: DebutConfig,
    /// Where it runs, once it is loaded.
    pub(super) device: Arc<OnceLock<String>>,
    /// Where other nodes of the plan look for results of the same model.
    pub(super) shared: Option<Arc<SharedResults>>,
}

impl ModelSource {
    /// The model that `inference` needs, from `provider` under `config`.
    pub(super) fn new(
        provider: Arc<dyn ModelProvider>,
        inference: &Inference,
        config: DebutConfig,
        shared: Option<Arc<SharedResults>>,
    ) -> Self {
        Self { provider, reference: inference.model.reference(), config, device: Arc::default(), shared }
    }

    /// Loads the model off the query's threads: reading weights takes a while.
    pub(super) async fn load(&self) -> Result<Arc<dyn Model>> {
        let Self { provider, reference, config, device, shared } = self.clone();
        let model = SpawnedTask::spawn_blocking(move || provider.load(&reference, &config))
            .await
            .map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??;
        device.get_or_init(|| model.device().to_string());
        Ok(match shared {
            Some(results) => Arc::new(SharedModel::new(model, results)),
            None => model,
        })
    }
}
