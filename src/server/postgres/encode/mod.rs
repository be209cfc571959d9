//! Rows for a client: takes a batch; appends a DataRow for each row, in text or in binary as the client chose by column.
//!
//! - `text`: values as PostgreSQL prints them; `binary`: as its drivers read them
//! - `numeric`: decimals in binary
//!
//! What is not plain in Arrow (dictionaries, runs, what becomes JSON) is made plain once for a batch, so that a row is
//! written without an allocation of its own.

mod binary;
mod numeric;
mod text;

use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::arrow::json::writer::{EncoderOptions, make_encoder};
use datafusion::common::DataFusionError;
use postgres_types::Type;

use super::backend;
use super::error::{PgError, codes};
use super::types::{self, VectorOutput};

/// The format of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// As PostgreSQL prints it.
    Text,
    /// As its drivers read it.
    Binary,
}

impl Format {
    /// The formats of `columns` columns, of which a client gives none, one for all, or one for each.
    ///
    /// # Errors
    /// Another number of them, or another format.
    pub(super) fn of_codes(codes: &[i16], columns: usize) -> Result<Vec<Self>, PgError> {
        let format = |code: &i16| match code {
            0 => Ok(Self::Text),
            1 => Ok(Self::Binary),
            other => Err(PgError::error(codes::INVALID_PARAMETER_VALUE, format!("unsupported format code: {other}"))),
        };
        match codes {
            [] => Ok(vec![Self::Text; columns]),
            [all] => Ok(vec![format(all)?; columns]),
            each if each.len() == columns => each.iter().map(format).collect(),
            each => Err(PgError::error(
                codes::PROTOCOL_VIOLATION,
                format!("bind message has {} formats for {columns} values", each.len()),
            )),
        }
    }

    /// As the protocol says it.
    pub(super) fn code(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }
}

/// A column as a client is told of it.
#[derive(Debug, Clone)]
pub(super) struct Column {
    name: String,
    pg_type: Type,
    format: Format,
    vectors: VectorOutput,
}

impl Column {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// The columns of a result.
///
/// # Errors
/// One has a type that the protocol cannot carry, or the formats are not theirs.
pub(super) fn columns(schema: &Schema, formats: &[i16], vectors: VectorOutput) -> Result<Vec<Column>, PgError> {
    let formats = Format::of_codes(formats, schema.fields().len())?;
    let columns = schema.fields().iter().zip(formats).map(|(field, format)| {
        let pg_type = types::of_field(field, vectors)?;
        Ok(Column { name: field.name().clone(), pg_type, format, vectors })
    });
    columns.collect()
}

/// The same columns in other formats.
///
/// # Errors
/// The formats are not theirs.
pub(super) fn reformat(columns: &[Column], formats: &[i16]) -> Result<Vec<Column>, PgError> {
    let formats = Format::of_codes(formats, columns.len())?;
    Ok(columns.iter().zip(formats).map(|(column, format)| Column { format, ..column.clone() }).collect())
}

/// Appends RowDescription.
pub(super) fn describe(output: &mut BytesMut, columns: &[Column]) {
    let described: Vec<_> = columns
        .iter()
        .map(|Column { name, pg_type, format, .. }| backend::Column {
            name,
            oid: pg_type.oid(),
            size: types::size(pg_type),
            format: format.code(),
        })
        .collect();
    backend::columns(output, &described);
}

/// A batch whose rows can be written.
#[derive(Debug)]
pub(super) struct Plain {
    columns: Vec<ArrayRef>,
    rows: usize,
}

impl Plain {
    /// Makes a batch plain.
    ///
    /// # Errors
    /// Its columns are others than were told, or a value has no text.
    pub(super) fn new(batch: &RecordBatch, columns: &[Column]) -> Result<Self, PgError> {
        if batch.num_columns() != columns.len() {
            let message = format!("the rows have {} columns, but {} were told", batch.num_columns(), columns.len());
            return Err(PgError::error(codes::INTERNAL_ERROR, message));
        }
        let plain = batch.columns().iter().zip(columns);
        let plain =
            plain.map(|(array, column)| if column.pg_type == Type::JSON { json(array) } else { plain_values(array) });
        Ok(Self { columns: plain.collect::<Result<_, PgError>>()?, rows: batch.num_rows() })
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Appends these rows.
    ///
    /// # Errors
    /// A value is none of PostgreSQL's, such as a date out of its range. The rows before it were appended.
    pub(super) fn write(&self, rows: Range<usize>, columns: &[Column], output: &mut BytesMut) -> Result<(), PgError> {
        for row in rows {
            backend::row(output, self.columns.len(), |body| {
                self.columns
                    .iter()
                    .zip(columns)
                    .try_for_each(|(array, column)| write(body, array.as_ref(), row, column))
            })?;
        }
        Ok(())
    }
}

impl Plain {
    /// Appends a value's text; `false` where it is NULL.
    ///
    /// # Errors
    /// It has no text.
    pub(super) fn text(
        &self,
        row: usize,
        column: usize,
        columns: &[Column],
        output: &mut BytesMut,
    ) -> Result<bool, PgError> {
        let array = self.columns[column].as_ref();
        if is_null(array, row) {
            return Ok(false);
        }
        if columns[column].vectors == VectorOutput::Pgvector && types::is_vector(array.data_type()) {
            text::vector(output, &array.as_fixed_size_list().value(row))?;
        } else {
            text::value(output, array, row)?;
        }
        Ok(true)
    }
}

/// Appends a value after its length.
fn write(output: &mut BytesMut, array: &dyn Array, row: usize, column: &Column) -> Result<(), PgError> {
    if is_null(array, row) {
        output.put_i32(-1);
        return Ok(());
    }
    sized(output, |output| {
        if column.vectors == VectorOutput::Pgvector && types::is_vector(array.data_type()) {
            return text::vector(output, &array.as_fixed_size_list().value(row));
        }
        match column.format {
            Format::Text => text::value(output, array, row),
            Format::Binary => binary::value(output, array, row),
        }
    })
}

/// Whether a value is NULL; Arrow's arrays of nothing but NULL say of none of them that it is.
fn is_null(array: &dyn Array, row: usize) -> bool {
    array.data_type() == &DataType::Null || array.is_null(row)
}

/// Appends what `write` appends after its length.
fn sized(output: &mut BytesMut, write: impl FnOnce(&mut BytesMut) -> Result<(), PgError>) -> Result<(), PgError> {
    let start = output.len();
    output.put_i32(0);
    write(output)?;
    let length = i32::try_from(output.len() - start - 4).map_err(|_| {
        PgError::error(codes::PROGRAM_LIMIT_EXCEEDED, "a value is longer than the two gigabytes that a row can carry")
    })?;
    output[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// The same values without dictionaries, runs and views of lists.
fn plain_values(array: &ArrayRef) -> Result<ArrayRef, PgError> {
    match plain_type(array.data_type()) {
        Some(data_type) => cast(array, &data_type).map_err(|error| failed(error.into())),
        None => Ok(Arc::clone(array)),
    }
}

/// The type to cast to, where values are not plain.
fn plain_type(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Dictionary(_, values) => Some(plain_type(values).unwrap_or_else(|| values.as_ref().clone())),
        DataType::RunEndEncoded(_, values) => {
            Some(plain_type(values.data_type()).unwrap_or_else(|| values.data_type().clone()))
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            plain_type(item.data_type()).map(|item| DataType::new_list(item, true))
        }
        DataType::ListView(item) | DataType::LargeListView(item) => {
            let item = plain_type(item.data_type()).unwrap_or_else(|| item.data_type().clone());
            Some(DataType::new_list(item, true))
        }
        _ => None,
    }
}

/// Values as JSON, a text for each.
fn json(array: &ArrayRef) -> Result<ArrayRef, PgError> {
    let field = Arc::new(datafusion::arrow::datatypes::Field::new("value", array.data_type().clone(), true));
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(&field, array.as_ref(), &options).map_err(|error| failed(error.into()))?;
    let mut texts = StringBuilder::new();
    let mut text = Vec::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        let text = std::str::from_utf8(&text)
            .map_err(|_| PgError::error(codes::CHARACTER_NOT_IN_REPERTOIRE, "a value is not UTF-8"))?;
        texts.append_value(text);
    }
    Ok(Arc::new(texts.finish()))
}

fn failed(error: DataFusionError) -> PgError {
    PgError::of_engine(&error, "")
}

/// What has no encoding here, although its type was told.
fn unexpected(array: &dyn Array) -> PgError {
    PgError::error(codes::INTERNAL_ERROR, format!("a value of the type {} cannot be sent", array.data_type()))
}

/// A moment out of PostgreSQL's range.
fn out_of_range(what: &'static str) -> PgError {
    PgError::error(codes::DATETIME_FIELD_OVERFLOW, format!("a {what} is out of the range of PostgreSQL's type"))
}
