//! The pictures of a shop in a training: takes them and the model that the call names, gives their vectors; puts a copy of that
//! model into the version that comes out.
//!
//! The model of pictures is not trained. It is fixed by its version: `score` and the others read pictures by the copy.

use arrow::array::{Array, BinaryViewArray};
use arrow::datatypes::SchemaRef;
use datafusion::common::{Result as QueryResult, plan_err};
use debut_udfs::config::DebutConfig;
use debut_udfs::finetune::{FinetuneOptions, NAME};
use debut_udfs::model::{Modality, ModelProvider, Task};
use debut_udfs::models::require_task;
use debut_udfs::options::Inputs;

use crate::inference::Models;
use crate::recommend::dataset::interactions::InteractionDataset;
use crate::recommend::dataset::pictures::Pictures;
use crate::recommend::error::Error;
use crate::recommend::model::image_model::ImageModel;
use crate::recommend::model::store;
use crate::registry::{Candidate, ModelVersion};
use crate::train::Stopped;
use crate::train::failure::failed;
use crate::train::lifecycle::Call;

/// Checks what a call says of pictures, while it is planned.
///
/// # Errors
/// There are pictures and no model that reads them, or the call names such a model and there are none.
pub(crate) fn check(
    models: &Models,
    options: &FinetuneOptions,
    inputs: &Inputs<SchemaRef>,
    config: &DebutConfig,
) -> QueryResult<()> {
    let named = options.image_base.as_deref();
    let pictured = inputs.items.as_ref().is_some_and(|items| items.column_with_name("image").is_some());
    match named {
        Some(named) if !pictured => {
            plan_err!(
                "{NAME}: image_base names '{named}', and items has no column 'image' of pictures; select one AS image, name it \
                 with columns => 'image=...', or leave image_base out"
            )
        }
        // Another model than that of the version in use is an error of the training, which reads that version.
        _ if !pictured || options.goes_on() => Ok(()),
        _ => {
            let reference = named.unwrap_or(&config.image_model);
            let info = models.describe(reference, config)?;
            require_task(NAME, &info, Task::Embedding)?;
            if info.modality == Modality::Bytes {
                return Ok(());
            }
            plan_err!(
                "{NAME}: '{}' reads {}, and the pictures of items need a model that reads bytes; name one with image_base => \
                 'efficientnet-lite0', or SET debut.image_model",
                info.reference(),
                info.modality
            )
        }
    }
}

/// The pictures of a shop, and what makes vectors of them.
pub(crate) struct ShopPictures<'a> {
    /// Item by item.
    pub(crate) images: BinaryViewArray,
    model: ModelVersion,
    /// `name@version` of the model, of which `model` may be a copy.
    reference: String,
    models: &'a Models,
    config: &'a DebutConfig,
}

impl<'a> ShopPictures<'a> {
    /// Pictures with the model that the call names, or with that of `base` where training goes on from it: it keeps what was
    /// learned of that model's vectors. `config` are the session's settings.
    ///
    /// # Errors
    /// The model is not there, or not the one of the version that training goes on from.
    pub(crate) fn new(
        call: &Call<'a>,
        config: &'a DebutConfig,
        images: BinaryViewArray,
        base: &ModelVersion,
    ) -> Result<Self, Stopped> {
        let Call { models, options, .. } = *call;
        let named = options.image_base.as_deref();
        if !options.goes_on() {
            let named = named.unwrap_or(&config.image_model);
            let model = models.registry().resolve_or_install(named, config.offline, models.progress())?;
            let reference = model.reference();
            return Ok(Self { images, model, reference, models, config });
        }
        let wrong = |reason: &str| -> Stopped {
            let reason =
                format!("since => 'last' goes on from {}, {reason}, or train anew without since", base.reference());
            failed(Error::TooLittle { function: NAME, reason }).into()
        };
        let Some(reference) = base.manifest.image_model.clone() else {
            return Err(wrong("which was trained without pictures; leave the column image out"));
        };
        let is_same =
            |named: &str| named == reference || reference.split_once('@').is_some_and(|(name, _)| name == named);
        if let Some(named) = named.filter(|named| !is_same(named)) {
            return Err(wrong(&format!(
                "which was trained with {reference}, and this call says image_base => '{named}'; leave image_base out"
            )));
        }
        let folder = format!("{}/{}", store::FOLDER, store::IMAGE_MODEL);
        let model = models.registry().kept_within(base, &folder)?;
        Ok(Self { images, model, reference, models, config })
    }

    /// What tells these pictures' vectors from those of another training.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.model.manifest.fingerprint
    }

    /// The vectors of the items of `dataset`.
    ///
    /// # Errors
    /// A picture cannot be read, the model fails, or it was stopped.
    pub(crate) fn embed(&self, call: &Call<'_>, dataset: &InteractionDataset) -> Result<Pictures, Stopped> {
        let count = self.images.len() - self.images.null_count();
        self.models.progress()(&format!("{NAME}: embedding {count} pictures with {}", self.reference));
        let model = self.models.load_version(&self.model, self.config).map_err(failed)?;
        let model = ImageModel::new(model, self.config);
        let stop = || call.is_cancelled();
        let name = |item: usize| dataset.items.ids.get(item).to_string();
        let embedding = model.embed(NAME, &self.images, name, &stop);
        let embedded = futures::executor::block_on(embedding);
        // What was stopped ends with an error too.
        call.check_cancelled()?;
        Ok(embedded.map_err(failed)?)
    }

    /// Puts a copy of the model into a version.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn keep(&self, candidate: &mut Candidate) -> Result<(), Stopped> {
        let folder = candidate.folder().join(store::FOLDER).join(store::IMAGE_MODEL);
        candidate.keep_base(&self.model, &folder, self.model.manifest.max_tokens)?;
        candidate.manifest.image_model = Some(self.reference.clone());
        Ok(())
    }
}
