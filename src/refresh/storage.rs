//! The types that parts are written with, where a table cannot hold those of its query.
//!
//! Takes rows as the query gives them; gives the same values in the types of the parts, and keys back as they were.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Schema, SchemaRef};

use super::{Error, Result};

/// A value that does not fit is an error, and never NULL.
const EXACT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

/// How rows are stored.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    /// The columns as the query gives them.
    pub(super) columns: SchemaRef,
    /// The columns as parts have them.
    pub(super) stored: SchemaRef,
}

impl Storage {
    /// Columns as the query gives them, and as parts have them, under the same names.
    pub(super) fn new(columns: Schema, stored: Schema) -> Self {
        Self { columns: SchemaRef::new(columns), stored: SchemaRef::new(stored) }
    }

    /// Rows as parts have them.
    ///
    /// # Errors
    /// A value does not fit into the type that it is stored with.
    pub(super) fn store(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let columns = rows.columns().iter().zip(self.stored.fields());
        let columns = columns.map(|(column, field)| convert(field.name(), column, field.data_type()));
        Ok(RecordBatch::try_new(SchemaRef::clone(&self.stored), columns.collect::<Result<_>>()?)?)
    }

    /// A column of a part as the query gives it.
    ///
    /// # Errors
    /// The part has a column of another type, which would be our mistake.
    pub(super) fn restore(&self, index: usize, column: &ArrayRef) -> Result<ArrayRef> {
        let field = self.columns.field(index);
        if column.data_type() == field.data_type() {
            return Ok(ArrayRef::clone(column));
        }
        Ok(cast_with_options(column, field.data_type(), &EXACT)?)
    }
}

fn convert(name: &str, column: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if column.data_type() == to {
        return Ok(ArrayRef::clone(column));
    }
    let does_not_fit = |reason: String| Error::Value { column: name.to_owned(), to: to.clone(), reason };
    let converted = cast_with_options(column, to, &EXACT).map_err(|error| does_not_fit(error.to_string()))?;
    // What is cut off is no error of a cast.
    if has_times(column.data_type()) {
        let back = cast_with_options(&converted, column.data_type(), &EXACT)?;
        if back.to_data() != column.to_data() {
            return Err(does_not_fit("it has times that are finer than microseconds".to_owned()));
        }
    }
    Ok(converted)
}

/// Whether there are times in values of this type.
fn has_times(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(..) => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            has_times(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|field| has_times(field.data_type())),
        DataType::Dictionary(_, values) => has_times(values),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{TimestampNanosecondArray, UInt64Array};
    use arrow::datatypes::{Field, TimeUnit};

    use super::*;

    fn storage(from: DataType, to: DataType) -> Storage {
        let schema = |data_type| Schema::new(vec![Field::new("c", data_type, true)]);
        Storage::new(schema(from), schema(to))
    }

    fn store(storage: &Storage, column: ArrayRef) -> Result<ArrayRef> {
        let rows = RecordBatch::try_new(Arc::clone(&storage.columns), vec![column]).unwrap();
        Ok(Arc::clone(storage.store(&rows)?.column(0)))
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let storage = storage(DataType::UInt64, DataType::Int64);
        let column: ArrayRef = Arc::new(UInt64Array::from(vec![Some(7), None]));
        let stored = store(&storage, Arc::clone(&column)).unwrap();
        assert_eq!((stored.data_type(), stored.null_count()), (&DataType::Int64, 1));
        assert_eq!(&storage.restore(0, &stored).unwrap(), &column);
        let message = store(&storage, Arc::new(UInt64Array::from(vec![u64::MAX]))).unwrap_err().to_string();
        assert!(message.contains("the column c") && message.contains("18446744073709551615"), "{message}");
    }

    #[test]
    fn times_are_not_cut_off() {
        let (nanoseconds, microseconds) = (TimeUnit::Nanosecond, TimeUnit::Microsecond);
        let storage = storage(DataType::Timestamp(nanoseconds, None), DataType::Timestamp(microseconds, None));
        let times = |times: Vec<Option<i64>>| Arc::new(TimestampNanosecondArray::from(times)) as ArrayRef;
        assert_eq!(store(&storage, times(vec![Some(2000), None])).unwrap().null_count(), 1);
        let message = store(&storage, times(vec![Some(2001)])).unwrap_err().to_string();
        assert!(message.contains("finer than microseconds"), "{message}");
    }
}
