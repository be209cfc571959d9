//! Lists as the states of aggregates: takes a type or values; gives the type of a list of them, or one list that holds them all.
//!
//! Offsets have 64 bits: a state holds what a whole partition has counted.

use std::sync::Arc;

use arrow::array::{ArrayRef, LargeListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;

/// The type of a list of these.
pub(crate) fn list_type(item: DataType) -> DataType {
    DataType::LargeList(Arc::new(Field::new_list_field(item, true)))
}

/// All values as one list.
pub(crate) fn list_value(values: ArrayRef) -> ScalarValue {
    let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let offsets = OffsetBuffer::<i64>::from_lengths([values.len()]);
    ScalarValue::LargeList(Arc::new(LargeListArray::new(item, offsets, values, None)))
}
