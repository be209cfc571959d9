//! Text arguments in every Arrow form they come in.
//!
//! Takes an argument's type or array; gives one view type to read rows from.

use arrow::array::{ArrayRef, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::cast::as_string_view_array;
use datafusion::common::{Result, ScalarValue, plan_err};

/// Whether values of this type are text: Utf8, LargeUtf8, Utf8View, or a dictionary of one of them.
pub fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// The array as views. Dictionaries and Utf8 keep their value buffers: no text is copied.
///
/// # Errors
/// The array is not text.
pub fn text_views(array: &ArrayRef) -> Result<StringViewArray> {
    let views = match array.data_type() {
        DataType::Utf8View => return Ok(as_string_view_array(array)?.clone()),
        _ => cast(array, &DataType::Utf8View)?,
    };
    Ok(as_string_view_array(&views)?.clone())
}

/// The value of an argument that must be a text literal, because the plan depends on it.
///
/// # Errors
/// The argument is a column or an expression, or a literal that is NULL or not text.
pub fn text_literal<'a>(function: &str, argument: &str, value: Option<&'a ScalarValue>) -> Result<&'a str> {
    match value {
        Some(value) if value.is_null() => plan_err!("{function}: {argument} is NULL; leave it out to use the default"),
        Some(value) => match value.try_as_str() {
            Some(Some(text)) => Ok(text),
            _ => plan_err!("{function}: {argument} must be a text literal such as 'name', not a {}", value.data_type()),
        },
        None => plan_err!(
            "{function}: {argument} must be a literal such as 'name', because the type of the result depends on it; \
             columns and expressions cannot be used here"
        ),
    }
}
