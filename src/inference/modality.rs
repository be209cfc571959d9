//! The preprocessor of each modality: takes the folder of a model version, gives what makes its inputs ready.

use std::path::Path;
use std::sync::Arc;

use debut_udfs::model::Modality;

use super::Error;
use super::image::ImagePreprocessor;
use super::preprocessor::Preprocessor;
use super::text_and_bytes::TextAndBytes;
use super::tokenizer::Tokenizer;
use crate::registry::manifest::Manifest;

/// The preprocessor of the model version in `folder`.
///
/// # Errors
/// A file of it is gone or damaged, or asks for what is not done here.
pub(super) fn preprocessor(model: &str, folder: &Path, manifest: &Manifest) -> Result<Arc<dyn Preprocessor>, Error> {
    match manifest.modality {
        Modality::Text => Ok(Arc::new(Tokenizer::open(model, &folder.join("tokenizer.json"), manifest.max_tokens)?)),
        Modality::Bytes => Ok(Arc::new(ImagePreprocessor::open(model, folder)?)),
        Modality::TextAndBytes => Ok(Arc::new(TextAndBytes::open(model, folder, manifest.max_tokens)?)),
    }
}
