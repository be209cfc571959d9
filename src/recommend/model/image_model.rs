//! The model of pictures of a recommender: takes pictures, gives their vectors. It is never trained.

use std::sync::Arc;

use arrow::array::{Array, BinaryViewArray, UInt32Array};
use arrow::compute::take;
use datafusion::common::cast::as_binary_view_array;
use datafusion::common::{DataFusionError, Result};
use debut_udfs::config::{BatchTokens, DebutConfig};
use debut_udfs::model::{Input, Job, Model, Stats};

use crate::cancellation::{Stop, check};
use crate::linalg::dense::Matrix;
use crate::recommend::dataset::pictures::Pictures;
use crate::recommend::error::Error;

/// Pictures that are embedded between two looks at whether anybody still waits.
const CHUNK: usize = 256;

/// A model of pictures, ready to run.
#[derive(Debug, Clone)]
pub(crate) struct ImageModel {
    model: Arc<dyn Model>,
    max_batch_tokens: BatchTokens,
}

impl ImageModel {
    pub(crate) fn new(model: Arc<dyn Model>, config: &DebutConfig) -> Self {
        Self { model, max_batch_tokens: config.max_batch_tokens }
    }

    /// The pictures of items as vectors. NULL is no picture; `name` says which item it is that `function` cannot read.
    ///
    /// # Errors
    /// One of them is no picture, the model fails, or it was stopped.
    pub(crate) async fn embed(
        &self,
        function: &'static str,
        images: &BinaryViewArray,
        name: impl Fn(usize) -> String,
        stop: Stop<'_>,
    ) -> Result<Pictures> {
        let (pictures, failures) = self.embed_each(images, &Arc::default(), stop).await?;
        match failures.into_iter().next() {
            None => Ok(pictures),
            Some((item, reason)) => Err(external(Error::Picture { function, item: name(item), reason })),
        }
    }

    /// The same; what cannot be read has no vector, and is told with its reason.
    ///
    /// # Errors
    /// The model fails, or it was stopped.
    pub(crate) async fn embed_each(
        &self,
        images: &BinaryViewArray,
        stats: &Arc<Stats>,
        stop: Stop<'_>,
    ) -> Result<(Pictures, Vec<(usize, String)>)> {
        let there = (0..images.len() as u32).filter(|item| images.is_valid(*item as usize)).collect::<Vec<_>>();
        let dimension = self.model.info().dimension;
        let (mut vectors, mut failures) = (Vec::with_capacity(there.len() * dimension), Vec::new());
        for items in there.chunks(CHUNK) {
            check(stop).map_err(external)?;
            let chosen = take(images, &UInt32Array::from(items.to_vec()), None)?;
            let job = Job {
                input: Input::Bytes(as_binary_view_array(&chosen)?.clone()),
                prompt: String::new(),
                max_batch_tokens: self.max_batch_tokens,
                stats: Arc::clone(stats),
            };
            let output = self.model.run(job).await?;
            failures.extend(output.failures.into_iter().map(|(row, reason)| (items[row] as usize, reason)));
            vectors.extend_from_slice(&output.values);
        }
        let pictures = Pictures::new(images.len(), &there, Matrix::new(there.len(), dimension, vectors));
        let unreadable = failures.iter().map(|(item, _)| *item as u32).collect::<Vec<_>>();
        Ok((if unreadable.is_empty() { pictures } else { pictures.without(&unreadable) }, failures))
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
