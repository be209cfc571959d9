//! The result of a call as Arrow: its columns, and an epoch as a row of them.
//!
//! Takes an [`EpochRow`]; gives a batch of one row, because rows are shown as they come.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;

/// One row of the result of `finetune(...)`: what an epoch came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EpochRow {
    /// The epoch, from 1; 0 for the base model, measured before the first step.
    pub epoch: u64,
    /// Steps of the optimizer so far.
    pub step: u64,
    /// The mean loss over the epoch's training examples.
    pub train_loss: Option<f64>,
    /// The mean loss over the validation examples, after the epoch.
    pub validation_loss: Option<f64>,
    /// The objective's metric over the validation examples, after the epoch.
    pub metric: Option<f64>,
    /// The learning rate of the epoch's last step.
    pub learning_rate: Option<f64>,
    /// Seconds since the training began.
    pub elapsed: f64,
    /// The run, as in `debut.training_runs`.
    pub run: String,
    /// The version that was published, `name@version`; in the last row, if one was.
    pub version: Option<String>,
    /// What a person should know: why nothing was published, that training stopped early, that it was resumed.
    pub message: Option<String>,
}

/// The columns, in their order.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let field = |name, data_type, nullable| Field::new(name, data_type, nullable);
        Arc::new(Schema::new(vec![
            field("epoch", DataType::UInt64, false),
            field("step", DataType::UInt64, false),
            field("train_loss", DataType::Float64, true),
            field("validation_loss", DataType::Float64, true),
            field("metric", DataType::Float64, true),
            field("learning_rate", DataType::Float64, true),
            field("elapsed", DataType::Float64, false),
            field("run", DataType::Utf8, false),
            field("version", DataType::Utf8, true),
            field("message", DataType::Utf8, true),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// An epoch as a batch of one row.
///
/// # Errors
/// None in practice: the columns are built together.
pub fn batch(row: EpochRow) -> Result<RecordBatch> {
    let count = |value: u64| Arc::new(UInt64Array::from(vec![value])) as ArrayRef;
    let number = |value: Option<f64>| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
    let text = |value: Option<String>| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let columns = vec![
        count(row.epoch),
        count(row.step),
        number(row.train_loss),
        number(row.validation_loss),
        number(row.metric),
        number(row.learning_rate),
        number(Some(row.elapsed)),
        text(Some(row.run)),
        text(row.version),
        text(row.message),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}
