//! Where results go and in which form.
//!
//! Takes streams of batches; writes them to stdout or a file, batch by batch. `destination` is where, `text`, `binary`
//! and `table` are how, `vectors` is what a person sees of a vector.

mod binary;
pub(super) mod destination;
mod table;
mod text;
mod vectors;

use std::io::IsTerminal;
use std::path::Path;

use clap::ValueEnum;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::config::FormatOptions;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::error::{CliError, Result};
use super::progress::Watch;
use destination::Destination;

/// Rows of a table that a terminal shows when nobody said how many.
const TERMINAL_ROWS: usize = 40;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Table,
    /// Comma-separated, with a header; NULL as nothing, the empty string as "", lists and structs as JSON
    Csv,
    /// Tab-separated, else as csv
    Tsv,
    /// One array of objects
    Json,
    /// One object a line
    Ndjson,
    /// A Parquet file
    Parquet,
    /// An Arrow IPC file
    Arrow,
}

impl Format {
    /// Whether it is for programs only.
    fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }
}

/// What became of one result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// Rows that were written.
    pub(super) rows: usize,
    /// Whether there were more that a table had no room for.
    pub(super) cut: bool,
}

/// Writes one result after another.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
    destination: Destination,
    /// Most rows of a table; `None` for all.
    max_rows: Option<usize>,
    results: usize,
}

impl Output {
    /// An output to `path`, or to stdout. `max_rows` limits tables: 0 for no limit, `None` for the terminal's.
    ///
    /// # Errors
    /// The file cannot be made, or a binary format would go to a terminal.
    pub(super) fn open(format: Format, path: Option<&Path>, max_rows: Option<usize>) -> Result<Self> {
        let terminal = path.is_none() && std::io::stdout().is_terminal();
        if terminal && format.is_binary() {
            return Err(CliError::Usage(format!(
                "{} is not for a terminal: add -o FILE or redirect stdout",
                format.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
            )));
        }
        let max_rows = match max_rows {
            Some(0) => None,
            Some(rows) => Some(rows),
            None => terminal.then_some(TERMINAL_ROWS),
        };
        let destination = path.map_or_else(|| Ok(Destination::stdout()), Destination::file)?;
        Ok(Self { format, destination, max_rows, results: 0 })
    }

    /// Whether results appear while a query runs, on the same screen as a progress bar would.
    pub(super) fn streams_to_terminal(&self) -> bool {
        self.format != Format::Table && self.destination.is_terminal()
    }

    /// Whether a person reads the results.
    pub(super) fn for_people(&self) -> bool {
        self.format == Format::Table && self.destination.is_terminal()
    }

    /// Bytes of results so far.
    pub(super) fn written(&self) -> u64 {
        self.destination.written()
    }

    /// Writes the whole of a result; a table stops reading when it is full, unless `whole`. `watch` is the
    /// progress to end before a table is drawn.
    ///
    /// # Errors
    /// The query or the writing failed; [`CliError::Closed`] when who read stdout has gone.
    pub(super) async fn write(
        &mut self,
        schema: SchemaRef,
        mut stream: SendableRecordBatchStream,
        options: &FormatOptions,
        whole: bool,
        watch: Option<Watch>,
    ) -> Result<Written> {
        self.results += 1;
        if self.format.is_binary() && self.results > 1 {
            return Err(CliError::Usage(format!(
                "a {:?} file holds one result, and this is the second: use a text format, or run the statements separately",
                self.format
            )));
        }
        let max_rows = if whole { None } else { self.max_rows };
        let written = self.copy(schema, &mut stream, options, max_rows, watch).await;
        match written {
            Err(_) if self.destination.is_closed() => Err(CliError::Closed),
            other => other,
        }
    }

    async fn copy(
        &mut self,
        schema: SchemaRef,
        stream: &mut SendableRecordBatchStream,
        options: &FormatOptions,
        max_rows: Option<usize>,
        watch: Option<Watch>,
    ) -> Result<Written> {
        // A query that fails at once writes nothing, not even a header.
        let mut next = stream.next().await.transpose()?;
        let destination = &mut self.destination;
        let mut writer: Box<dyn ResultWriter + '_> = match self.format {
            Format::Table => Box::new(table::TableWriter::new(&schema, destination, options)),
            Format::Csv => Box::new(text::Separated::new(&schema, destination, b',')?),
            Format::Tsv => Box::new(text::Separated::new(&schema, destination, b'\t')?),
            Format::Json => Box::new(text::Json::array(destination)),
            Format::Ndjson => Box::new(text::Json::lines(destination)),
            Format::Parquet => Box::new(binary::Parquet::new(schema, destination)?),
            Format::Arrow => Box::new(binary::Arrow::new(&schema, destination)?),
        };
        let mut rows = 0;
        let mut cut = false;
        while let Some(mut batch) = next {
            if let Some(left) = max_rows.map(|most| most - rows)
                && batch.num_rows() > left
            {
                batch = batch.slice(0, left);
                cut = true;
            }
            rows += batch.num_rows();
            if batch.num_rows() > 0 {
                writer.write(&batch)?;
            }
            if cut {
                break;
            }
            next = stream.next().await.transpose()?;
        }
        // The line that changes has to be gone before a table is drawn.
        drop(watch);
        writer.finish()?;
        Ok(Written { rows, cut })
    }

    /// Makes what was written visible: the file appears under its name.
    ///
    /// # Errors
    /// It could not be written to the end. An existing file is as it was.
    pub(super) fn commit(self) -> Result<()> {
        self.destination.commit()
    }
}

/// One result in one format.
trait ResultWriter: Send {
    /// Adds rows.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Ends the result.
    fn finish(self: Box<Self>) -> Result<()>;
}
