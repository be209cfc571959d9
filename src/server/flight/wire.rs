//! Types that every client can read: takes columns as the engine has them; gives views and dictionaries as plain values.
//!
//! Clients fail on `Utf8View`, and a dictionary's values would go over the wire with every batch.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;

/// A schema in plain types; metadata stays.
pub(super) fn schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(field).collect::<Vec<_>>();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// A batch with the columns of [`schema`].
///
/// # Errors
/// A value cannot be written in its plain type: none is known.
pub(super) fn batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| plain(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn plain(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == wanted { Ok(Arc::clone(column)) } else { cast(column, wanted) }
}

fn field(field: &FieldRef) -> FieldRef {
    match data_type(field.data_type()) {
        plain if plain == *field.data_type() => Arc::clone(field),
        plain => Arc::new(Field::new(field.name(), plain, field.is_nullable()).with_metadata(field.metadata().clone())),
    }
}

fn data_type(found: &DataType) -> DataType {
    match found {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => data_type(values),
        DataType::RunEndEncoded(_, values) => data_type(values.data_type()),
        DataType::List(item) | DataType::ListView(item) => DataType::List(field(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => DataType::LargeList(field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        other => other.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::arrow::array::{
        Array, AsArray, DictionaryArray, ListArray, StringArray, StringViewArray, StructArray,
    };
    use datafusion::arrow::buffer::OffsetBuffer;
    use datafusion::arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn views_and_dictionaries_become_plain_however_deep() {
        let views: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None, Some("longer than twelve bytes")]));
        let dictionary: ArrayRef =
            Arc::new(vec![Some("x"), None, Some("x")].into_iter().collect::<DictionaryArray<Int32Type>>());
        let item = Arc::new(Field::new("item", DataType::Utf8View, true));
        let list: ArrayRef =
            Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([1, 0, 2]), Arc::clone(&views), None));
        let inner = vec![(Arc::new(Field::new("name", DataType::Utf8View, true)), Arc::clone(&views))];
        let nested: ArrayRef = Arc::new(StructArray::from(inner));
        let number: ArrayRef = Arc::new(datafusion::arrow::array::Int64Array::from(vec![1, 2, 3]));
        let given = RecordBatch::try_from_iter_with_nullable(vec![
            ("view", views, true),
            ("dictionary", dictionary, true),
            ("list", list, true),
            ("struct", nested, true),
            ("number", Arc::clone(&number), false),
        ])
        .unwrap();
        let schema = schema(given.schema_ref());
        let types = format!("{:?}", schema.fields().iter().map(|field| field.data_type()).collect::<Vec<_>>());
        assert!(!types.contains("View") && !types.contains("Dictionary"), "{types}");
        let plain = batch(&given, &schema).unwrap();
        assert_eq!(
            plain.column(0).as_string::<i32>(),
            &StringArray::from(vec![Some("a"), None, Some("longer than twelve bytes")])
        );
        assert_eq!(plain.column(1).as_string::<i32>(), &StringArray::from(vec![Some("x"), None, Some("x")]));
        assert_eq!(plain.column(2).as_list::<i32>().values().len(), 3);
        assert!(Arc::ptr_eq(plain.column(4), &number), "what is plain is not copied");
        assert!(plain.schema().field(4) == given.schema().field(4));
        let empty = RecordBatch::try_new_with_options(
            Arc::new(Schema::empty()),
            vec![],
            &RecordBatchOptions::new().with_row_count(Some(7)),
        );
        let empty = empty.unwrap();
        assert_eq!(batch(&empty, &super::schema(empty.schema_ref())).unwrap().num_rows(), 7);
    }
}
