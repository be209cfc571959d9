//! Values in text: takes a value of an array; appends it as PostgreSQL prints it.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Timelike, Utc};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, IntervalUnit, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};

use super::super::moments::{self, Interval};
use super::{PgError, is_null, out_of_range, unexpected};

/// Appends a value that is not NULL.
///
/// # Errors
/// It has no text, such as a date that is out of range.
pub(super) fn value(output: &mut BytesMut, array: &dyn Array, row: usize) -> Result<(), PgError> {
    macro_rules! display {
        ($type:ty) => {
            number(output, array.as_primitive::<$type>().value(row))
        };
    }
    macro_rules! decimal {
        ($type:ty) => {
            output.put_slice(array.as_primitive::<$type>().value_as_string(row).as_bytes())
        };
    }
    match array.data_type() {
        DataType::Boolean => output.put_u8(if array.as_boolean().value(row) { b't' } else { b'f' }),
        DataType::Int8 => display!(Int8Type),
        DataType::Int16 => display!(Int16Type),
        DataType::Int32 => display!(Int32Type),
        DataType::Int64 => display!(Int64Type),
        DataType::UInt8 => display!(UInt8Type),
        DataType::UInt16 => display!(UInt16Type),
        DataType::UInt32 => display!(UInt32Type),
        DataType::UInt64 => display!(UInt64Type),
        DataType::Float16 => float4(output, array.as_primitive::<Float16Type>().value(row).to_f32()),
        DataType::Float32 => float4(output, array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float8(output, array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal32(..) => decimal!(Decimal32Type),
        DataType::Decimal64(..) => decimal!(Decimal64Type),
        DataType::Decimal128(..) => decimal!(Decimal128Type),
        DataType::Decimal256(..) => decimal!(Decimal256Type),
        DataType::Utf8 => output.put_slice(array.as_string::<i32>().value(row).as_bytes()),
        DataType::LargeUtf8 => output.put_slice(array.as_string::<i64>().value(row).as_bytes()),
        DataType::Utf8View => output.put_slice(array.as_string_view().value(row).as_bytes()),
        DataType::Binary => bytea(output, array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => bytea(output, array.as_binary::<i64>().value(row)),
        DataType::BinaryView => bytea(output, array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => bytea(output, array.as_fixed_size_binary().value(row)),
        DataType::Date32 => date(output, array.as_primitive::<Date32Type>().value_as_date(row))?,
        DataType::Date64 => date(output, array.as_primitive::<Date64Type>().value_as_date(row))?,
        DataType::Time32(_) | DataType::Time64(_) => {
            time(output, moments::time(array, row).ok_or_else(|| unexpected(array))?)?;
        }
        DataType::Timestamp(_, zone) => {
            let micros = moments::timestamp(array, row).ok_or_else(|| out_of_range("timestamp"))?;
            timestamp(output, micros, zone.is_some())?;
        }
        DataType::Interval(IntervalUnit::YearMonth | IntervalUnit::DayTime | IntervalUnit::MonthDayNano)
        | DataType::Duration(_) => {
            interval(output, moments::interval(array, row).ok_or_else(|| out_of_range("duration"))?);
        }
        DataType::List(_) => list(output, &array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => list(output, &array.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => list(output, &array.as_fixed_size_list().value(row))?,
        _ => return Err(unexpected(array)),
    }
    Ok(())
}

/// Appends a vector as pgvector prints it.
pub(super) fn vector(output: &mut BytesMut, values: &ArrayRef) -> Result<(), PgError> {
    let values = values.as_primitive_opt::<Float32Type>().ok_or_else(|| unexpected(values))?;
    output.put_u8(b'[');
    for (index, value) in values.values().iter().enumerate() {
        if index > 0 {
            output.put_u8(b',');
        }
        float4(output, *value);
    }
    output.put_u8(b']');
    Ok(())
}

fn number(output: &mut BytesMut, number: impl std::fmt::Display) {
    // A buffer that grows takes everything.
    let _ = write!(output, "{number}");
}

macro_rules! float {
    ($name:ident, $type:ty, $plain:expr) => {
        /// The shortest text that is read back as the same number.
        fn $name(output: &mut BytesMut, number: $type) {
            let _ = match number {
                number if number.is_nan() => output.write_str("NaN"),
                <$type>::INFINITY => output.write_str("Infinity"),
                <$type>::NEG_INFINITY => output.write_str("-Infinity"),
                number if number == 0.0 || (1e-4..$plain).contains(&number.abs()) => write!(output, "{number}"),
                number => write!(output, "{number:e}"),
            };
        }
    };
}

float!(float4, f32, 1e6);
float!(float8, f64, 1e15);

fn bytea(output: &mut BytesMut, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    output.reserve(2 + bytes.len() * 2);
    output.put_slice(b"\\x");
    for byte in bytes {
        output.put_u8(DIGITS[usize::from(byte >> 4)]);
        output.put_u8(DIGITS[usize::from(byte & 15)]);
    }
}

fn date(output: &mut BytesMut, date: Option<NaiveDate>) -> Result<(), PgError> {
    let date = date.ok_or_else(|| out_of_range("date"))?;
    year_month_day(output, date);
    if date.year() <= 0 {
        output.put_slice(b" BC");
    }
    Ok(())
}

fn year_month_day(output: &mut BytesMut, date: NaiveDate) {
    // There is no year 0: 1 BC stands before 1.
    let year = if date.year() > 0 { date.year() } else { 1 - date.year() };
    let _ = write!(output, "{year:04}-{:02}-{:02}", date.month(), date.day());
}

/// Appends microseconds since midnight.
fn time(output: &mut BytesMut, micros: i64) -> Result<(), PgError> {
    let seconds = u32::try_from(micros.div_euclid(1_000_000)).ok();
    let nanos = u32::try_from(micros.rem_euclid(1_000_000)).unwrap_or_default() * 1000;
    let time = seconds.and_then(|seconds| NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos));
    hour_minute_second(output, time.ok_or_else(|| out_of_range("time"))?);
    Ok(())
}

fn hour_minute_second(output: &mut BytesMut, time: NaiveTime) {
    let _ = write!(output, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    fraction(output, i64::from(time.nanosecond() / 1000));
}

/// Appends microseconds behind a point, without zeros at the end.
fn fraction(output: &mut BytesMut, micros: i64) {
    if micros == 0 {
        return;
    }
    let (mut digits, mut micros) = (6, micros);
    while micros % 10 == 0 {
        (digits, micros) = (digits - 1, micros / 10);
    }
    let _ = write!(output, ".{micros:0digits$}");
}

/// Appends microseconds since 1970; with a zone they are a moment, which is told in UTC.
fn timestamp(output: &mut BytesMut, micros: i64, zoned: bool) -> Result<(), PgError> {
    let moment = DateTime::<Utc>::from_timestamp_micros(micros).ok_or_else(|| out_of_range("timestamp"))?.naive_utc();
    year_month_day(output, moment.date());
    output.put_u8(b' ');
    hour_minute_second(output, moment.time());
    if zoned {
        output.put_slice(b"+00");
    }
    if moment.year() <= 0 {
        output.put_slice(b" BC");
    }
    Ok(())
}

/// As PostgreSQL's IntervalStyle `postgres`.
fn interval(output: &mut BytesMut, Interval { months, days, micros }: Interval) {
    let start = output.len();
    let (years, months) = (months / 12, months % 12);
    // Once a field was negative, those that are positive show their sign.
    let mut negative = false;
    for (count, one, many) in [(years, "year", "years"), (months, "mon", "mons"), (days, "day", "days")] {
        if count == 0 {
            continue;
        }
        let space = if output.len() > start { " " } else { "" };
        let plus = if negative && count > 0 { "+" } else { "" };
        let _ = write!(output, "{space}{plus}{count} {}", if count == 1 { one } else { many });
        negative = count < 0;
    }
    if micros == 0 && output.len() > start {
        return;
    }
    if output.len() > start {
        output.put_u8(b' ');
    }
    if micros < 0 {
        output.put_u8(b'-');
    } else if negative {
        output.put_u8(b'+');
    }
    let micros = micros.unsigned_abs();
    let seconds = micros / 1_000_000;
    let _ = write!(output, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    fraction(output, (micros % 1_000_000).cast_signed());
}

/// Appends an array: `{1,NULL,"with ""quotes"""}`.
fn list(output: &mut BytesMut, values: &ArrayRef) -> Result<(), PgError> {
    output.put_u8(b'{');
    for row in 0..values.len() {
        if row > 0 {
            output.put_u8(b',');
        }
        if is_null(values, row) {
            output.put_slice(b"NULL");
            continue;
        }
        let start = output.len();
        value(output, values.as_ref(), row)?;
        quote(output, start);
    }
    output.put_u8(b'}');
    Ok(())
}

/// Puts what was appended since `start` in quotes where an array needs them.
fn quote(output: &mut BytesMut, start: usize) {
    let special = |byte: &u8| matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\') || byte.is_ascii_whitespace();
    let item = &output[start..];
    if !item.is_empty() && !item.iter().any(special) && !item.eq_ignore_ascii_case(b"NULL") {
        return;
    }
    let item = output.split_off(start);
    output.reserve(item.len() + 2);
    output.put_u8(b'"');
    for byte in item {
        if matches!(byte, b'"' | b'\\') {
            output.put_u8(b'\\');
        }
        output.put_u8(byte);
    }
    output.put_u8(b'"');
}
