//! Parquet and Arrow IPC files.
//!
//! Takes batches; writes files that keep every type, vectors included.

use std::io::Write;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::ipc::writer::FileWriter;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;

use super::destination::Destination;
use super::text::{arrow, io};
use super::{Result, ResultWriter};
use crate::cli::error::CliError;

/// A row group is held in memory until it is written. Rows of vectors are wide: the usual million rows would be gigabytes.
const ROW_GROUP_BYTES: usize = 64 << 20;

/// A Parquet file.
pub(super) struct Parquet<'a> {
    writer: ArrowWriter<&'a mut Destination>,
}

impl<'a> Parquet<'a> {
    /// A writer for a result of this schema.
    pub(super) fn new(schema: SchemaRef, destination: &'a mut Destination) -> Result<Self> {
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let writer = ArrowWriter::try_new(destination, schema, Some(properties)).map_err(parquet)?;
        Ok(Self { writer })
    }
}

impl ResultWriter for Parquet<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(parquet)?;
        if self.writer.in_progress_size() > ROW_GROUP_BYTES {
            self.writer.flush().map_err(parquet)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.writer.close().map_err(parquet)?;
        Ok(())
    }
}

/// An Arrow IPC file.
pub(super) struct Arrow<'a> {
    writer: FileWriter<&'a mut Destination>,
}

impl<'a> Arrow<'a> {
    /// A writer for a result of this schema.
    pub(super) fn new(schema: &Schema, destination: &'a mut Destination) -> Result<Self> {
        Ok(Self { writer: FileWriter::try_new(destination, schema).map_err(arrow)? })
    }
}

impl ResultWriter for Arrow<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(arrow)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.writer.into_inner().map_err(arrow)?.flush().map_err(io)
    }
}

fn parquet(error: ParquetError) -> CliError {
    CliError::query(DataFusionError::from(error))
}
