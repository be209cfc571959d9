//! Lists as Arrow columns: takes the type of a column and the values of all rows, one behind the other; gives an array with a list for
//! each row.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;

/// A list for each length, of these values.
///
/// # Errors
/// The type is no list of such values.
pub(super) fn list(
    kind: &DataType,
    lengths: impl IntoIterator<Item = usize>,
    values: ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(Arc::clone(item_of(kind)?), offsets, values, None)?))
}

/// The same of structs, with these columns.
///
/// # Errors
/// The type is no list of structs with such columns.
pub(super) fn list_of_structs(
    kind: &DataType,
    lengths: impl IntoIterator<Item = usize>,
    columns: Vec<ArrayRef>,
) -> Result<ArrayRef, ArrowError> {
    let DataType::Struct(fields) = item_of(kind)?.data_type() else {
        return Err(ArrowError::SchemaError(format!("{kind} is no list of structs")));
    };
    list(kind, lengths, Arc::new(StructArray::try_new(fields.clone(), columns, None)?))
}

fn item_of(kind: &DataType) -> Result<&FieldRef, ArrowError> {
    match kind {
        DataType::List(item) => Ok(item),
        other => Err(ArrowError::SchemaError(format!("{other} is no list"))),
    }
}
