//! An aggregate's `FILTER (WHERE ...)`: takes its values and a row, says whether the row counts.

use arrow::array::{Array, BooleanArray};

/// Whether a row passes the filter; NULL does not.
pub(crate) fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}
