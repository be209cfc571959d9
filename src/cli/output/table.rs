//! Tables for people.
//!
//! Takes batches; draws a table when the result is complete, because the widths of its columns depend on every row. A
//! result too long for that is drawn in sections, so that memory stays bounded.

use std::io::Write;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::FormatOptions as DisplayOptions;
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;
use datafusion::config::FormatOptions;

use super::destination::Destination;
use super::text::{arrow, io};
use super::vectors::{short_schema, shorten};
use super::{Result, ResultWriter};

/// Rows of one section.
const SECTION: usize = 20_000;

/// Draws one result.
pub(super) struct TableWriter<'a> {
    schema: SchemaRef,
    destination: &'a mut Destination,
    options: &'a FormatOptions,
    batches: Vec<RecordBatch>,
    rows: usize,
    drawn: bool,
}

impl<'a> TableWriter<'a> {
    /// A writer for a result of this schema; `options` are the session's `datafusion.format.*`.
    pub(super) fn new(schema: &SchemaRef, destination: &'a mut Destination, options: &'a FormatOptions) -> Self {
        let schema = short_schema(schema);
        Self { schema, destination, options, batches: Vec::new(), rows: 0, drawn: false }
    }

    fn draw(&mut self) -> Result<()> {
        let options: DisplayOptions<'_> = self.options.try_into()?;
        let batches = std::mem::take(&mut self.batches);
        let table = pretty_format_batches_with_options(&batches, &options).map_err(arrow)?;
        writeln!(self.destination, "{table}").map_err(io)?;
        self.rows = 0;
        self.drawn = true;
        Ok(())
    }
}

impl ResultWriter for TableWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.batches.push(shorten(batch, &self.schema).map_err(arrow)?);
        self.rows += batch.num_rows();
        if self.rows >= SECTION { self.draw() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if self.rows > 0 || !self.drawn {
            if self.batches.is_empty() {
                self.batches.push(RecordBatch::new_empty(SchemaRef::clone(&self.schema)));
            }
            self.draw()?;
        }
        self.destination.flush().map_err(io)
    }
}
