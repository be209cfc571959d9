//! Binary vectors: one bit for each number, set where it is above zero, eight to a byte and the first in its highest bit.
//!
//! Takes fields and arrays of any binary type; says which hold such vectors, and gives their rows as bytes without copying.
//! That a column holds bits is known by its metadata: by its type alone it may hold pictures.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, FixedSizeBinaryArray, LargeBinaryArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};

use crate::vectors::{BINARY, QUANTIZED_KEY};

/// Whether values of this type are bytes.
pub(crate) fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
}

/// Whether a column holds binary vectors, as `quantize` makes them.
pub(crate) fn is_bits(field: &Field) -> bool {
    is_bytes(field.data_type()) && field.metadata().get(QUANTIZED_KEY).is_some_and(|form| form == BINARY)
}

/// How many bytes the bits of so many numbers take.
pub(crate) fn bytes_of(width: usize) -> usize {
    width.div_ceil(8)
}

/// The number of bytes of each value, where the type says it.
pub(crate) fn byte_width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeBinary(bytes) => usize::try_from(*bytes).ok(),
        _ => None,
    }
}

/// Rows of a binary array.
#[derive(Debug)]
pub(crate) enum Bits<'a> {
    Fixed(&'a FixedSizeBinaryArray),
    Binary(&'a BinaryArray),
    Large(&'a LargeBinaryArray),
    View(&'a BinaryViewArray),
}

impl<'a> Bits<'a> {
    /// A view of `array`.
    ///
    /// # Errors
    /// The array is of no binary type.
    pub(crate) fn try_new(function: &str, array: &'a ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::FixedSizeBinary(_) => Self::Fixed(array.as_fixed_size_binary()),
            DataType::Binary => Self::Binary(array.as_binary()),
            DataType::LargeBinary => Self::Large(array.as_binary()),
            DataType::BinaryView => Self::View(array.as_binary_view()),
            other => return exec_err!("{function} reads binary vectors, not {other}"),
        })
    }

    /// The bytes of a row; `None` if it is NULL.
    pub(crate) fn row(&self, row: usize) -> Option<&'a [u8]> {
        match self {
            Self::Fixed(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Binary(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Large(array) => array.is_valid(row).then(|| array.value(row)),
            Self::View(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}
