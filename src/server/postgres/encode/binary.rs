//! Values in binary: takes a value of an array; appends it as PostgreSQL's drivers read it.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::super::moments::{self, EPOCH_DAYS, EPOCH_MICROS, Interval};
use super::super::types;
use super::{PgError, is_null, numeric, out_of_range, sized, unexpected};

/// Appends a value that is not NULL.
///
/// # Errors
/// It has no binary form, such as a date that is out of range.
pub(super) fn value(output: &mut BytesMut, array: &dyn Array, row: usize) -> Result<(), PgError> {
    macro_rules! decimal {
        ($type:ty) => {
            numeric::write(output, &array.as_primitive::<$type>().value_as_string(row))?
        };
    }
    match array.data_type() {
        DataType::Boolean => output.put_u8(u8::from(array.as_boolean().value(row))),
        DataType::Int8 => output.put_i16(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::UInt8 => output.put_i16(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::Int16 => output.put_i16(array.as_primitive::<Int16Type>().value(row)),
        DataType::UInt16 => output.put_i32(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::Int32 => output.put_i32(array.as_primitive::<Int32Type>().value(row)),
        DataType::UInt32 => output.put_i64(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::Int64 => output.put_i64(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => {
            let mut digits = BytesMut::new();
            // A buffer that grows takes everything.
            let _ = write!(digits, "{}", array.as_primitive::<UInt64Type>().value(row));
            numeric::write(output, std::str::from_utf8(&digits).unwrap_or_default())?;
        }
        DataType::Float16 => output.put_f32(array.as_primitive::<Float16Type>().value(row).to_f32()),
        DataType::Float32 => output.put_f32(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => output.put_f64(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal32(..) => decimal!(Decimal32Type),
        DataType::Decimal64(..) => decimal!(Decimal64Type),
        DataType::Decimal128(..) => decimal!(Decimal128Type),
        DataType::Decimal256(..) => decimal!(Decimal256Type),
        DataType::Utf8 => output.put_slice(array.as_string::<i32>().value(row).as_bytes()),
        DataType::LargeUtf8 => output.put_slice(array.as_string::<i64>().value(row).as_bytes()),
        DataType::Utf8View => output.put_slice(array.as_string_view().value(row).as_bytes()),
        DataType::Binary => output.put_slice(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => output.put_slice(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => output.put_slice(array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => output.put_slice(array.as_fixed_size_binary().value(row)),
        DataType::Date32 => date(output, array.as_primitive::<Date32Type>().value(row).into())?,
        DataType::Date64 => date(output, array.as_primitive::<Date64Type>().value(row).div_euclid(86_400_000))?,
        DataType::Time32(_) | DataType::Time64(_) => {
            output.put_i64(moments::time(array, row).ok_or_else(|| unexpected(array))?);
        }
        DataType::Timestamp(..) => {
            let micros = moments::timestamp(array, row).and_then(|micros| micros.checked_sub(EPOCH_MICROS));
            output.put_i64(micros.ok_or_else(|| out_of_range("timestamp"))?);
        }
        DataType::Interval(_) | DataType::Duration(_) => {
            let interval = moments::interval(array, row).ok_or_else(|| out_of_range("duration"))?;
            let Interval { months, days, micros } = interval;
            output.put_i64(micros);
            output.put_i32(days);
            output.put_i32(months);
        }
        DataType::List(_) => list(output, &array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => list(output, &array.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => list(output, &array.as_fixed_size_list().value(row))?,
        _ => return Err(unexpected(array)),
    }
    Ok(())
}

/// Appends days since 1970.
fn date(output: &mut BytesMut, days: i64) -> Result<(), PgError> {
    output.put_i32(i32::try_from(days - EPOCH_DAYS).map_err(|_| out_of_range("date"))?);
    Ok(())
}

/// Appends an array of one dimension, or of none where it is empty.
fn list(output: &mut BytesMut, values: &ArrayRef) -> Result<(), PgError> {
    let item = types::of(values.data_type()).ok_or_else(|| unexpected(values))?;
    let count = i32::try_from(values.len()).map_err(|_| unexpected(values))?;
    output.put_i32(i32::from(count > 0));
    output.put_i32(i32::from(values.logical_null_count() > 0));
    output.put_u32(item.oid());
    if count > 0 {
        output.put_i32(count);
        output.put_i32(1);
    }
    for row in 0..values.len() {
        if is_null(values, row) {
            output.put_i32(-1);
        } else {
            sized(output, |output| value(output, values.as_ref(), row))?;
        }
    }
    Ok(())
}
