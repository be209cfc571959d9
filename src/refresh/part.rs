//! One Parquet file of rows, and the file of keys and digests that belongs to it.
//!
//! Takes batches, or keys; gives files that are on the disk when they have their names.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use datafusion::parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use datafusion::parquet::basic::{Compression, Type as PhysicalType, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;

use super::{Error, Result};
use crate::staging::{parent, sync_folder};

/// Rows of a row group: what a writer holds in memory.
const GROUP_ROWS: usize = 8192;
/// Rows of a batch that is read back.
const BATCH_ROWS: usize = 4096;

/// A file that is being written, under another name until it is complete.
pub(super) struct PartWriter {
    path: PathBuf,
    unfinished: PathBuf,
    writer: Option<ArrowWriter<File>>,
    pub(super) rows: usize,
}

/// How files are written. The numbers of vectors are as they are: neither dictionaries nor compression make them smaller.
fn properties(schema: &Schema) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS));
    for column in ArrowSchemaConverter::new().convert(schema)?.columns() {
        if column.physical_type() == PhysicalType::FLOAT {
            let path = column.path();
            properties = properties.set_column_dictionary_enabled(path.clone(), false);
            properties = properties.set_column_compression(path.clone(), Compression::UNCOMPRESSED);
        }
    }
    Ok(properties.build())
}

impl PartWriter {
    /// A file that will be at `path`.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn create(path: PathBuf, schema: &SchemaRef) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let unfinished = path.with_file_name(format!(".{name}.unfinished"));
        let file = File::create(&unfinished).map_err(Error::file("write", &path))?;
        let made = properties(schema).and_then(|set| ArrowWriter::try_new(file, Arc::clone(schema), Some(set)));
        let writer = Some(made.map_err(Error::parquet(&path))?);
        Ok(Self { path, unfinished, writer, rows: 0 })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// They cannot be written.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(writer) = self.writer.as_mut() else {
            return Err(Error::Internal("a file was written after its end"));
        };
        writer.write(batch).map_err(Error::parquet(&self.path))?;
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// Its end cannot be written.
    pub(super) fn finish(mut self) -> Result<PathBuf> {
        if let Some(writer) = self.writer.take() {
            let file = writer.into_inner().map_err(Error::parquet(&self.path))?;
            file.sync_all().map_err(Error::file("write", &self.path))?;
        }
        fs::rename(&self.unfinished, &self.path).map_err(Error::file("write", &self.path))?;
        sync_folder(parent(&self.path)).map_err(Error::file("write", &self.path))?;
        Ok(self.path.clone())
    }
}

impl Drop for PartWriter {
    fn drop(&mut self) {
        // Where it was finished there is none of that name.
        let _ = fs::remove_file(&self.unfinished);
    }
}

/// Puts a part into another folder, on the disk when that folder is: both names are those of one file, where the file system
/// can do that.
///
/// # Errors
/// The file cannot be put there.
pub(super) fn link(from: &Path, folder: &Path) -> Result<()> {
    let to = folder.join(from.file_name().unwrap_or_default());
    let linked = match fs::hard_link(from, &to) {
        // To copy would write into another part.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        Err(_) => fs::copy(from, &to).and_then(|_| File::open(&to)?.sync_all()),
        Ok(()) => Ok(()),
    };
    linked.map_err(Error::file("write", to))
}

/// The batches of a file.
///
/// # Errors
/// It is not there, or damaged.
pub(super) fn read(path: &Path) -> Result<ParquetRecordBatchReader> {
    let file = File::open(path).map_err(Error::file("read", path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(Error::parquet(path))?;
    builder.with_batch_size(BATCH_ROWS).build().map_err(Error::parquet(path))
}

/// Number of rows of a file, as its end says.
///
/// # Errors
/// It is not there, or damaged.
pub(super) fn count(path: &Path) -> Result<u64> {
    let file = File::open(path).map_err(Error::file("read", path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(Error::parquet(path))?;
    Ok(u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or_default())
}

/// Writes keys, digests and the numbers of files.
///
/// # Errors
/// They cannot be written.
pub(super) fn write_state(path: PathBuf, mut rows: impl Iterator<Item = (u128, u128, Option<u32>)>) -> Result<()> {
    let bytes = |name| Field::new(name, DataType::FixedSizeBinary(16), false);
    let fields = vec![bytes("key"), bytes("digest"), Field::new("part", DataType::UInt32, true)];
    let schema = Arc::new(Schema::new(fields));
    let mut writer = PartWriter::create(path, &schema)?;
    loop {
        let chunk: Vec<_> = rows.by_ref().take(BATCH_ROWS).collect();
        if chunk.is_empty() {
            writer.finish()?;
            return Ok(());
        }
        let of = |value: fn(&(u128, u128, Option<u32>)) -> u128| -> Result<ArrayRef> {
            let values = chunk.iter().map(|row| value(row).to_be_bytes());
            Ok(Arc::new(FixedSizeBinaryArray::try_from_iter(values)?))
        };
        let parts: UInt32Array = chunk.iter().map(|(.., part)| *part).collect();
        let columns = vec![of(|row| row.0)?, of(|row| row.1)?, Arc::new(parts) as ArrayRef];
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
    }
}

/// Reads what [`write_state`] wrote.
///
/// # Errors
/// It is not there, or damaged.
pub(super) fn read_state(path: &Path, mut add: impl FnMut(u128, u128, Option<u32>)) -> Result<()> {
    for batch in read(path)? {
        let batch = batch?;
        let [keys, digests, parts] = batch.columns() else { return Err(Error::Internal("a state has three columns")) };
        let (Some(keys), Some(digests), Some(parts)) = (
            keys.as_fixed_size_binary_opt(),
            digests.as_fixed_size_binary_opt(),
            parts.as_primitive_opt::<UInt32Type>(),
        ) else {
            return Err(Error::Internal("a state has columns of other types"));
        };
        for row in 0..batch.num_rows() {
            let number = |array: &FixedSizeBinaryArray| {
                <[u8; 16]>::try_from(array.value(row)).map(u128::from_be_bytes).unwrap_or_default()
            };
            add(number(keys), number(digests), parts.is_valid(row).then(|| parts.value(row)));
        }
    }
    Ok(())
}
