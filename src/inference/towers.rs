//! A model of two towers: takes jobs, hands pictures to one and texts to the other.
//!
//! A tower is opened by the first job that it has to run: who embeds pictures alone waits for no tower for texts.

use std::fmt::{self, Debug};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion::common::{DataFusionError, Result};
use debut_udfs::model::{InputKind, Job, Model, ModelInfo, Output};

use super::threads::aside;

/// Opens a tower.
type Opener = dyn Fn() -> Result<Arc<dyn Model>> + Send + Sync;

/// One of the two.
#[derive(Clone)]
pub(super) struct Tower {
    opener: Arc<Opener>,
    opened: Arc<OnceLock<Arc<dyn Model>>>,
}

impl Tower {
    /// The tower that `opener` opens.
    pub(super) fn new(opener: impl Fn() -> Result<Arc<dyn Model>> + Send + Sync + 'static) -> Self {
        Self { opener: Arc::new(opener), opened: Arc::default() }
    }

    fn open(&self) -> Result<Arc<dyn Model>> {
        if let Some(model) = self.opened.get() {
            return Ok(Arc::clone(model));
        }
        // What is opened twice at a time is the same: the process keeps one session of it.
        let model = (self.opener)()?;
        Ok(Arc::clone(self.opened.get_or_init(|| model)))
    }
}

/// Both.
pub(super) struct TwoTowers {
    info: ModelInfo,
    device: String,
    pictures: Tower,
    texts: Tower,
}

impl TwoTowers {
    /// The model that `info` describes, on `device`.
    pub(super) fn new(info: ModelInfo, device: String, pictures: Tower, texts: Tower) -> Self {
        Self { info, device, pictures, texts }
    }
}

impl Debug for TwoTowers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwoTowers").field("info", &self.info).field("device", &self.device).finish_non_exhaustive()
    }
}

#[async_trait]
impl Model for TwoTowers {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn device(&self) -> &str {
        &self.device
    }

    async fn run(&self, job: Job) -> Result<Output> {
        let tower = if job.input.kind() == InputKind::Bytes { &self.pictures } else { &self.texts };
        let model = match tower.opened.get() {
            Some(model) => Arc::clone(model),
            None => {
                let tower = tower.clone();
                let opened = aside(&self.info.reference(), move || tower.open()).await;
                opened.map_err(|error| DataFusionError::External(Box::new(error)))??
            }
        };
        model.run(job).await
    }

    fn open(&self) -> Result<()> {
        self.pictures.open()?.open()?;
        self.texts.open()?.open()
    }
}
