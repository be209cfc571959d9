//! CSV, TSV, JSON and newline-delimited JSON.
//!
//! Takes batches; writes text that other programs read. Each batch is passed on when it is complete.

use std::io::Write;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, StringBuilder};
use datafusion::arrow::datatypes::{FieldRef, Schema};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::writer::{JsonArray, JsonFormat, LineDelimited};
use datafusion::arrow::json::{EncoderOptions, Writer, WriterBuilder, writer::make_encoder};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DataFusionError;

use super::destination::Destination;
use super::{Result, ResultWriter};
use crate::cli::error::CliError;

/// Bytes of lines that are collected before they are passed on.
const PASSED_ON: usize = 1 << 16;

/// Values between separators, with a header, which an empty result has too.
///
/// A NULL is nothing at all and the empty string two quotes, as PostgreSQL writes and reads them. In a result of one
/// column a NULL is two quotes too, because most readers skip empty lines. Quotes stand around what holds a separator,
/// a quote or a line break.
pub(super) struct Separated<'a> {
    destination: &'a mut Destination,
    separator: u8,
    /// What waits to be passed on, and the value that is being written.
    lines: Vec<u8>,
    value: String,
}

impl<'a> Separated<'a> {
    /// A writer for a result of this schema.
    pub(super) fn new(schema: &Schema, destination: &'a mut Destination, separator: u8) -> Result<Self> {
        let mut writer = Self { destination, separator, lines: Vec::new(), value: String::new() };
        for (column, field) in schema.fields().iter().enumerate() {
            writer.begin(column);
            quote(field.name(), separator, &mut writer.lines);
        }
        writer.lines.push(b'\n');
        writer.pass_on()?;
        Ok(writer)
    }

    fn begin(&mut self, column: usize) {
        if column > 0 {
            self.lines.push(self.separator);
        }
    }

    fn pass_on(&mut self) -> Result<()> {
        self.destination.write_all(&self.lines).map_err(io)?;
        self.lines.clear();
        Ok(())
    }
}

impl ResultWriter for Separated<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let schema = batch.schema();
        let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
            if column.data_type().is_nested() { json_text(column, field) } else { Ok(Arc::clone(column)) }
        });
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(arrow)?;
        let options = FormatOptions::default();
        let texts = columns.iter().map(|column| ArrayFormatter::try_new(column, &options));
        let texts = texts.collect::<Result<Vec<_>, _>>().map_err(arrow)?;
        let nulls = columns.iter().map(|column| column.logical_nulls()).collect::<Vec<_>>();
        for row in 0..batch.num_rows() {
            for (column, (text, nulls)) in texts.iter().zip(&nulls).enumerate() {
                self.begin(column);
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    if texts.len() == 1 {
                        self.lines.extend(b"\"\"");
                    }
                    continue;
                }
                self.value.clear();
                text.value(row).write(&mut self.value).map_err(arrow)?;
                quote(&self.value, self.separator, &mut self.lines);
            }
            self.lines.push(b'\n');
            if self.lines.len() >= PASSED_ON {
                self.pass_on()?;
            }
        }
        self.pass_on()?;
        self.destination.flush().map_err(io)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.destination.flush().map_err(io)
    }
}

/// Writes a value that is not NULL, in quotes where it could be taken for something else.
fn quote(value: &str, separator: u8, line: &mut Vec<u8>) {
    let special = |byte: &u8| *byte == separator || matches!(byte, b'"' | b'\n' | b'\r');
    if !value.is_empty() && !value.as_bytes().iter().any(special) {
        line.extend_from_slice(value.as_bytes());
        return;
    }
    line.push(b'"');
    for (index, part) in value.split('"').enumerate() {
        if index > 0 {
            line.extend_from_slice(b"\"\"");
        }
        line.extend_from_slice(part.as_bytes());
    }
    line.push(b'"');
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
