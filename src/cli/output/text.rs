//! CSV, TSV, JSON and newline-delimited JSON.
//!
//! Takes batches; writes text that other programs read. Each batch is passed on when it is complete. Called by `output`.

use std::io::Write;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, StringBuilder};
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::writer::{JsonArray, JsonFormat, LineDelimited};
use datafusion::arrow::json::{EncoderOptions, Writer, WriterBuilder, writer::make_encoder};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;

use super::destination::Destination;
use super::{Result, ResultWriter};
use crate::cli::error::CliError;

/// Values between separators, with a header, which an empty result has too.
pub(super) struct Separated<'a> {
    schema: SchemaRef,
    writer: csv::Writer<&'a mut Destination>,
}

impl<'a> Separated<'a> {
    /// A writer for a result of this schema.
    pub(super) fn new(schema: &Schema, destination: &'a mut Destination, separator: u8) -> Result<Self> {
        let mut writer = csv::WriterBuilder::new().with_header(true).with_delimiter(separator).build(destination);
        let schema = flat_schema(schema);
        writer.write(&RecordBatch::new_empty(Arc::clone(&schema))).map_err(arrow)?;
        Ok(Self { schema, writer })
    }
}

impl ResultWriter for Separated<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let schema = batch.schema();
        let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
            if column.data_type().is_nested() { json_text(column, field) } else { Ok(Arc::clone(column)) }
        });
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(arrow)?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(arrow)?;
        self.writer.write(&batch).map_err(arrow)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// The schema with text in place of lists, structs and maps. All columns may be NULL, whatever was promised.
fn flat_schema(schema: &Schema) -> SchemaRef {
    let flat = |field: &FieldRef| {
        let kind = if field.data_type().is_nested() { DataType::Utf8 } else { field.data_type().clone() };
        Field::new(field.name(), kind, true)
    };
    Arc::new(Schema::new(schema.fields().iter().map(flat).collect::<Vec<_>>()))
}

/// Each value as JSON.
fn json_text(column: &ArrayRef, field: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, column.as_ref(), &options)?;
    let mut texts = StringBuilder::with_capacity(column.len(), column.len() * 16);
    let mut json = Vec::new();
    for row in 0..column.len() {
        if column.is_null(row) {
            texts.append_null();
            continue;
        }
        json.clear();
        encoder.encode(row, &mut json);
        texts.append_value(std::str::from_utf8(&json).map_err(|error| ArrowError::JsonError(error.to_string()))?);
    }
    Ok(Arc::new(texts.finish()))
}

/// Objects, in an array or one a line; a NULL is written as such.
pub(super) struct Json<'a, F: JsonFormat> {
    writer: Writer<&'a mut Destination, F>,
    array: bool,
}

impl<'a> Json<'a, JsonArray> {
    /// One array.
    pub(super) fn array(destination: &'a mut Destination) -> Self {
        Self { writer: WriterBuilder::new().with_explicit_nulls(true).build(destination), array: true }
    }
}

impl<'a> Json<'a, LineDelimited> {
    /// One object a line.
    pub(super) fn lines(destination: &'a mut Destination) -> Self {
        Self { writer: WriterBuilder::new().with_explicit_nulls(true).build(destination), array: false }
    }
}

impl<F: JsonFormat + Send> ResultWriter for Json<'_, F> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(arrow)?;
        self.writer.get_mut().flush().map_err(io)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.writer.finish().map_err(arrow)?;
        let destination = self.writer.into_inner();
        if self.array {
            writeln!(destination).map_err(io)?;
        }
        destination.flush().map_err(io)
    }
}

pub(super) fn arrow(error: ArrowError) -> CliError {
    CliError::query(DataFusionError::from(error))
}

pub(super) fn io(error: std::io::Error) -> CliError {
    CliError::query(DataFusionError::from(error))
}
