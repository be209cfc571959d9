//! Times as PostgreSQL counts them, in microseconds: takes a value of an Arrow array in any unit; gives microseconds.

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{
    DataType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};

/// PostgreSQL counts from 2000-01-01, Arrow from 1970-01-01.
pub(super) const EPOCH_DAYS: i64 = 10_957;
/// The same in microseconds.
pub(super) const EPOCH_MICROS: i64 = EPOCH_DAYS * 86_400_000_000;

/// PostgreSQL's interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) months: i32,
    pub(super) days: i32,
    pub(super) micros: i64,
}

/// Microseconds since 1970; `None` where there are too many.
pub(super) fn timestamp(array: &dyn Array, row: usize) -> Option<i64> {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            array.as_primitive::<TimestampSecondType>().value(row).checked_mul(1_000_000)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1000)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Some(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Some(array.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1000))
        }
        _ => None,
    }
}

/// Microseconds since midnight.
pub(super) fn time(array: &dyn Array, row: usize) -> Option<i64> {
    match array.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            Some(i64::from(array.as_primitive::<Time32SecondType>().value(row)) * 1_000_000)
        }
        DataType::Time32(TimeUnit::Millisecond) => {
            Some(i64::from(array.as_primitive::<Time32MillisecondType>().value(row)) * 1000)
        }
        DataType::Time64(TimeUnit::Microsecond) => Some(array.as_primitive::<Time64MicrosecondType>().value(row)),
        DataType::Time64(TimeUnit::Nanosecond) => Some(array.as_primitive::<Time64NanosecondType>().value(row) / 1000),
        _ => None,
    }
}

/// An interval or a duration; `None` where a duration is too long.
pub(super) fn interval(array: &dyn Array, row: usize) -> Option<Interval> {
    let of_micros = |micros| Interval { months: 0, days: 0, micros };
    match array.data_type() {
        DataType::Interval(IntervalUnit::YearMonth) => {
            Some(Interval { months: array.as_primitive::<IntervalYearMonthType>().value(row), days: 0, micros: 0 })
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let value = array.as_primitive::<IntervalDayTimeType>().value(row);
            Some(Interval { months: 0, days: value.days, micros: i64::from(value.milliseconds) * 1000 })
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            Some(Interval { months: value.months, days: value.days, micros: value.nanoseconds / 1000 })
        }
        DataType::Duration(TimeUnit::Second) => {
            array.as_primitive::<DurationSecondType>().value(row).checked_mul(1_000_000).map(of_micros)
        }
        DataType::Duration(TimeUnit::Millisecond) => {
            array.as_primitive::<DurationMillisecondType>().value(row).checked_mul(1000).map(of_micros)
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            Some(of_micros(array.as_primitive::<DurationMicrosecondType>().value(row)))
        }
        DataType::Duration(TimeUnit::Nanosecond) => {
            Some(of_micros(array.as_primitive::<DurationNanosecondType>().value(row) / 1000))
        }
        _ => None,
    }
}
