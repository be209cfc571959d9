//! The contract between `finetune(...)` and whatever trains models.
//!
//! The engine plans a call with [`Trainer::validate`], collects its sub-queries into tables, and hands them over with
//! [`Trainer::train`]; what comes back are the rows of the call's result. The crate `debut` implements the trait over its
//! registry and ONNX Runtime. Nothing here knows how a model is trained.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use futures::stream::BoxStream;

pub use crate::finetune::rows::EpochRow;

use crate::config::DebutConfig;
use crate::finetune::FinetuneOptions;
use crate::options::Inputs;
use crate::progress::Progress;

/// Trains models.
pub trait Trainer: Debug + Send + Sync {
    /// Checks what can be known before any row is read: that the base model is there and can be trained by the method,
    /// that the columns of the inputs are there and of a usable type. Called while a query is planned, `EXPLAIN` too, so
    /// it never trains and leaves nothing behind.
    ///
    /// # Errors
    /// The call cannot succeed; the message says what to change.
    fn validate(&self, options: &FinetuneOptions, inputs: &Inputs<SchemaRef>, config: &DebutConfig) -> Result<()>;

    /// Starts to train, on threads of its own, and returns at once. The stream gives a row after each epoch; the last
    /// one says what was published. Its end is the end of the training; dropping it cancels the training, and then
    /// nothing is published.
    ///
    /// # Errors
    /// The training cannot begin. What goes wrong later is the last item of the stream.
    fn train(&self, request: TrainRequest, config: &DebutConfig) -> Result<BoxStream<'static, Result<EpochRow>>>;
}

/// What to train, and on what.
#[derive(Debug, Clone)]
pub struct TrainRequest {
    /// The call's options, all of them resolved.
    pub options: FinetuneOptions,
    /// The rows of its sub-queries.
    pub inputs: Inputs<Table>,
    /// Where the trainer says how far it is.
    pub progress: Arc<Progress>,
}

/// The result of a sub-query.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its columns, which are there even when there are no rows.
    pub schema: SchemaRef,
    /// Its rows, in no particular order.
    pub batches: Vec<RecordBatch>,
}

impl Table {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}
