//! What a person sees of a vector: its first numbers and its width.
//!
//! Takes columns; gives those with long lists of floats as text, `[0.0123, -0.0456, ... 384]`, the rest as they are.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringBuilder, StructArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

/// Numbers that are shown.
const SHOWN: usize = 2;

/// Widest vector that is shown whole.
const SHORT: usize = 8;

/// The schema of [`shorten`]'s batches.
pub(super) fn short_schema(schema: &SchemaRef) -> SchemaRef {
    let fields: Fields = schema.fields().iter().map(short_field).collect();
    Arc::new(Schema::new(fields))
}

/// The batch with its vectors as text.
pub(super) fn shorten(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(short_column).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn is_vector(kind: &DataType) -> bool {
    match kind {
        DataType::FixedSizeList(item, width) => *width > SHORT as i32 && item.data_type().is_floating(),
        DataType::List(item) | DataType::LargeList(item) => item.data_type().is_floating(),
        _ => false,
    }
}

fn short_field(field: &FieldRef) -> FieldRef {
    let kind = match field.data_type() {
        kind if is_vector(kind) => DataType::Utf8,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(short_field).collect()),
        _ => return Arc::new(field.as_ref().clone().with_nullable(true)),
    };
    Arc::new(Field::new(field.name(), kind, true))
}

fn short_column(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.data_type() {
        kind if is_vector(kind) => texts(column),
        DataType::Struct(fields) => {
            let parts = column.as_struct();
            let columns = parts.columns().iter().map(short_column).collect::<Result<Vec<_>, _>>()?;
            let fields = fields.iter().map(short_field).collect();
            Ok(Arc::new(StructArray::try_new(fields, columns, parts.nulls().cloned())?))
        }
        _ => Ok(Arc::clone(column)),
    }
}

fn texts(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let whole = ArrayFormatter::try_new(column, &options)?;
    let mut texts = StringBuilder::new();
    let mut text = String::new();
    for row in 0..column.len() {
        if column.is_null(row) {
            texts.append_null();
            continue;
        }
        let vector = value(column, row);
        text.clear();
        if vector.len() > SHORT {
            write_start(&mut text, &vector)?;
        } else {
            whole.value(row).write(&mut text)?;
        }
        texts.append_value(&text);
    }
    Ok(Arc::new(texts.finish()))
}

fn value(column: &ArrayRef, row: usize) -> ArrayRef {
    match column.data_type() {
        DataType::List(_) => column.as_list::<i32>().value(row),
        DataType::LargeList(_) => column.as_list::<i64>().value(row),
        _ => column.as_fixed_size_list().value(row),
    }
}

fn write_start(text: &mut String, vector: &ArrayRef) -> Result<(), ArrowError> {
    let numbers = cast(&vector.slice(0, SHOWN), &DataType::Float64)?;
    text.push('[');
    for number in numbers.as_primitive::<Float64Type>() {
        // Writing to a string does not fail.
        let _ = match number {
            Some(number) => write!(text, "{number:.4}, "),
            None => write!(text, "NULL, "),
        };
    }
    let _ = write!(text, "... {}]", vector.len());
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::arrow::array::{FixedSizeListArray, Float32Array, Int32Array};

    use super::*;

    fn vectors(width: i32, nulls: Option<Vec<bool>>) -> ArrayRef {
        let rows = nulls.as_ref().map_or(1, Vec::len);
        let numbers = Float32Array::from_iter_values((0..rows * width as usize).map(|i| i as f32 / 8.0));
        let item = Arc::new(Field::new_list_field(DataType::Float32, true));
        Arc::new(FixedSizeListArray::new(item, width, Arc::new(numbers), nulls.map(Into::into)))
    }

    fn shown(column: ArrayRef) -> ArrayRef {
        let schema = Arc::new(Schema::new(vec![Field::new("v", column.data_type().clone(), true)]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
        Arc::clone(shorten(&batch, &short_schema(&schema)).unwrap().column(0))
    }

    #[test]
    fn a_wide_vector_shows_its_start_and_width() {
        let texts = shown(vectors(384, Some(vec![true, false, true])));
        let texts = texts.as_string::<i32>();
        assert_eq!(texts.value(0), "[0.0000, 0.1250, ... 384]");
        assert!(texts.is_null(1));
        assert_eq!(texts.value(2), "[96.0000, 96.1250, ... 384]");
    }

    #[test]
    fn what_is_short_or_no_vector_stays() {
        assert_eq!(shown(vectors(3, None)).data_type(), vectors(3, None).data_type());
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        assert_eq!(&shown(Arc::clone(&numbers)), &numbers);
    }

    #[test]
    fn vectors_are_found_inside_structs() {
        let vector = vectors(20, None);
        let field = Field::new("value", vector.data_type().clone(), true);
        let parts: ArrayRef = Arc::new(StructArray::new(vec![field].into(), vec![vector], None));
        let shown = shown(parts);
        assert_eq!(shown.as_struct().column(0).as_string::<i32>().value(0), "[0.0000, 0.1250, ... 20]");
    }
}
