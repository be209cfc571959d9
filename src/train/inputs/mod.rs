//! What the graph of a training reads: takes a dataset's texts, pictures or both and a version, gives the feeds of any rows.
//!
//! # Layout
//! - [`texts`]: tokenized once, padded for every batch
//! - [`pictures`]: decoded for every batch, and changed a little where they are trained on
//! - [`pairs`]: texts with pictures, for versions that read both
//! - [`vectors`]: of a frozen encoder, computed once
//! - [`ahead`](mod@ahead): the next batch is made while the last one is trained on
//! - [`excerpt`](mod@excerpt): what a person is shown of an input

mod ahead;
mod excerpt;
mod pairs;
mod pictures;
mod texts;
mod vectors;

use std::fmt::Debug;

use debut_udfs::model::Modality;

use super::data::InputColumn;
use super::failure::{Result, Stopped, failed};
use super::objective::Batch;
use super::step::Feed;
use crate::inference::image::Augmentation;
use crate::registry::ModelVersion;

pub(super) use ahead::ahead;
pub(super) use excerpt::excerpt;
pub(super) use texts::TokenizedTexts;
pub(super) use vectors::Vectors;

/// Inputs of an encoder, by the rows of a dataset.
pub(super) trait Inputs: Debug + Send + Sync {
    /// What the graph reads of these rows, in this order.
    ///
    /// # Errors
    /// A row cannot be read; the message says which.
    fn feeds(&self, rows: &[u32], view: View) -> Result<Vec<Feed>>;

    /// All that a batch gives to the graph and the loss.
    ///
    /// # Errors
    /// As for [`Self::feeds`].
    fn batch(&self, batch: &Batch, view: View) -> Result<Vec<Feed>> {
        let mut feeds = self.feeds(&batch.inputs, view)?;
        feeds.extend(batch.feeds.iter().cloned());
        Ok(feeds)
    }
}

/// How inputs are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// As they are.
    AsIs,
    /// As a batch of an epoch is trained on: pictures are changed, the same way every time.
    Training {
        /// The run's.
        seed: u64,
        /// From 0.
        epoch: u32,
        /// From 0 in each epoch.
        batch: u32,
    },
}

/// How a training reads its inputs.
pub(super) struct Reading<'a> {
    /// What is put in front of each text.
    pub(super) prompt: String,
    /// Longest text in tokens, if that is less than the version reads.
    pub(super) max_tokens: Option<usize>,
    /// What may be done to pictures that are trained on.
    pub(super) augmentation: Augmentation,
    /// Asked while it takes long.
    pub(super) stop: &'a (dyn Fn() -> bool + Sync),
}

/// The inputs in `column` as `version` reads them.
///
/// # Errors
/// [`Stopped::Cancelled`]; or the version reads something else, or what makes its inputs ready cannot be opened.
pub(super) fn open(
    column: &InputColumn,
    version: &ModelVersion,
    reading: &Reading<'_>,
) -> Result<Box<dyn Inputs>, Stopped> {
    match (column, version.manifest.modality) {
        (InputColumn::Texts(texts), Modality::Text) => {
            Ok(Box::new(TokenizedTexts::new(texts, version, &reading.prompt, reading.max_tokens, reading.stop)?))
        }
        (InputColumn::Pictures(column), Modality::Bytes) => {
            Ok(Box::new(pictures::Pictures::open(column, version, reading.augmentation)?))
        }
        (InputColumn::Pairs(column), Modality::TextAndBytes) => {
            Ok(Box::new(pairs::Pairs::open(column, version, reading)?))
        }
        (_, modality) => Err(failed(OtherModality { version: version.reference(), modality }).into()),
    }
}

/// A version that cannot read what others read.
#[derive(Debug, thiserror::Error)]
#[error("{version} reads {modality}, which the examples are not")]
struct OtherModality {
    version: String,
    modality: Modality,
}
