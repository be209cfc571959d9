//! A recommender's texts and pictures as vectors: takes texts, gives embeddings by the encoder as it was and by the tuned one;
//! takes pictures, gives those of its model of pictures.
//!
//! All of them run in the same sessions that `embed` uses.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, StringArray};
use datafusion::common::{DataFusionError, Result, exec_err};
use debut_udfs::config::{BatchTokens, DebutConfig};
use debut_udfs::model::{Input, Job, Model, ModelProvider, Stats};
use debut_udfs::models::prompt_of;

use super::image_model::ImageModel;
use super::recommender::Recommender;
use super::store;
use crate::inference::Models;
use crate::inference::pool::Pool;
use crate::linalg::dense::Matrix;

/// Recommenders live as long as the process, like the sessions of their encoders.
static LOADED: LazyLock<Pool<(PathBuf, String), Recommender>> = LazyLock::new(Pool::default);

/// A recommender with its encoders.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// What was learned.
    pub(crate) recommender: Arc<Recommender>,
    /// `name@version`.
    pub(crate) reference: String,
    /// The tuned encoder, which the version publishes.
    pub(crate) tuned: Arc<dyn Model>,
    base: Arc<dyn Model>,
    /// The model of pictures, if it was trained with pictures.
    pub(crate) images: Option<ImageModel>,
    max_batch_tokens: BatchTokens,
}

/// Texts as vectors of length one.
#[derive(Debug, Clone)]
pub(crate) struct Embedded {
    /// By the encoder as it was.
    pub(crate) base: Matrix,
    /// By the tuned one.
    pub(crate) tuned: Matrix,
}

impl Loaded {
    /// Loads the version that `reference` means.
    pub(crate) fn open(models: &Models, reference: &str, config: &DebutConfig) -> Result<Self> {
        let external = |error: crate::registry::Error| DataFusionError::External(Box::new(error));
        let version = models.registry().resolve(reference).map_err(external)?;
        let kept = |name: &str| {
            let folder = format!("{}/{name}", store::FOLDER);
            models.registry().kept_within(&version, &folder).map_err(external)
        };
        let images = match &version.manifest.image_model {
            Some(_) => Some(ImageModel::new(models.load_version(&kept(store::IMAGE_MODEL)?, config)?, config)),
            None => None,
        };
        let key = (version.path.clone(), version.manifest.fingerprint.clone());
        LOADED.evict(|(folder, _)| !folder.exists());
        let recommender = LOADED
            .get_or_load(key, || store::read(&version.path))
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(Self {
            recommender,
            reference: version.reference(),
            tuned: models.load(&version.reference(), config)?,
            base: models.load_version(&kept(store::ENCODER)?, config)?,
            images,
            max_batch_tokens: config.max_batch_tokens,
        })
    }

    /// The vectors of texts.
    pub(crate) async fn embed(&self, texts: &StringArray, stats: &Arc<Stats>) -> Result<Embedded> {
        let base = self.run(self.base.as_ref(), texts, stats).await?;
        let tuned = self.run(self.tuned.as_ref(), texts, stats).await?;
        Ok(Embedded { base, tuned })
    }

    async fn run(&self, model: &dyn Model, texts: &StringArray, stats: &Arc<Stats>) -> Result<Matrix> {
        let info = model.info();
        let job = Job {
            input: Input::Texts(texts.clone()),
            prompt: prompt_of("embed", info, "document")?,
            max_batch_tokens: self.max_batch_tokens,
            stats: Arc::clone(stats),
        };
        let output = model.run(job).await?;
        if let Some((row, reason)) = output.failures.first() {
            let start: String = texts.value(*row).chars().take(60).collect();
            return exec_err!("'{}' cannot read the text '{start}': {reason}", self.reference);
        }
        Ok(Matrix::new(texts.len(), info.dimension, output.values))
    }
}
