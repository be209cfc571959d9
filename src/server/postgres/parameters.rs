//! Values of a client for `$1`, `$2`: takes a type and bytes in text or binary; gives a value of the engine.

use std::sync::Arc;

use bytes::Buf;
use datafusion::arrow::array::{ArrayRef, StringArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use postgres_types::{Kind, Type};

use super::encode::Format;
use super::error::{PgError, codes};
use super::moments::{EPOCH_DAYS, EPOCH_MICROS};

/// Most digits of a decimal.
const DIGITS: u8 = 38;

/// The engine's type for PostgreSQL's; `None` where there is none.
pub(super) fn arrow_type(pg_type: &Type) -> Option<DataType> {
    if let Kind::Array(item) = pg_type.kind() {
        return arrow_type(item).map(|item| DataType::new_list(item, true));
    }
    Some(match *pg_type {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 | Type::OID => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::NUMERIC => DataType::Decimal128(DIGITS, 10),
        Type::TEXT
        | Type::VARCHAR
        | Type::BPCHAR
        | Type::NAME
        | Type::CHAR
        | Type::UNKNOWN
        | Type::JSON
        | Type::UUID => DataType::Utf8,
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIME => DataType::Time64(TimeUnit::Microsecond),
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        Type::INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        _ => return None,
    })
}

/// Reads a value, as `target` where the statement wants another type than the client's; NULL is `None`.
///
/// # Errors
/// It is none of that type.
pub(super) fn decode(
    pg_type: &Type,
    target: Option<&DataType>,
    format: Format,
    bytes: Option<&[u8]>,
) -> Result<ScalarValue, PgError> {
    let own = arrow_type(pg_type).ok_or_else(|| unsupported(pg_type))?;
    let wanted = target.unwrap_or(&own);
    let value = match (bytes, format) {
        (None, _) => return ScalarValue::try_from(wanted).map_err(|_| unsupported(pg_type)),
        (Some(bytes), Format::Text) => {
            let text = std::str::from_utf8(bytes).map_err(|_| {
                PgError::error(codes::CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\"")
            })?;
            of_text(pg_type, text)?
        }
        (Some(mut bytes), Format::Binary) => {
            let value = of_binary(pg_type, &mut bytes)?;
            if !bytes.is_empty() {
                return Err(malformed(pg_type));
            }
            value
        }
    };
    if target.is_none_or(|target| &value.data_type() == target) {
        return Ok(value);
    }
    let cast = value.cast_to(wanted);
    cast.map_err(|error| PgError { code: codes::INVALID_TEXT_REPRESENTATION, ..PgError::of_engine(&error, "") })
}

fn of_text(pg_type: &Type, text: &str) -> Result<ScalarValue, PgError> {
    let wrong = || invalid(pg_type, text);
    if let Kind::Array(item) = pg_type.kind() {
        let items = array_items(text).ok_or_else(wrong)?;
        let item = arrow_type(item).ok_or_else(|| unsupported(pg_type))?;
        let items: ArrayRef = Arc::new(StringArray::from(items));
        let items = cast_with_options(&items, &item, &STRICT).map_err(|_| wrong())?;
        return Ok(SingleRowListArrayBuilder::new(items).build_list_scalar());
    }
    let word = text.trim();
    Ok(match *pg_type {
        Type::BOOL => match word.to_ascii_lowercase().as_str() {
            "t" | "true" | "y" | "yes" | "on" | "1" => ScalarValue::from(true),
            "f" | "false" | "n" | "no" | "off" | "0" => ScalarValue::from(false),
            _ => return Err(wrong()),
        },
        Type::BYTEA => ScalarValue::Binary(Some(bytea(text).ok_or_else(wrong)?)),
        Type::NUMERIC => decimal(word).ok_or_else(wrong)?,
        _ => match arrow_type(pg_type) {
            Some(DataType::Utf8) => ScalarValue::from(text),
            Some(data_type) => {
                let text: ArrayRef = Arc::new(StringArray::from(vec![word]));
                let value = cast_with_options(&text, &data_type, &STRICT).map_err(|_| wrong())?;
                ScalarValue::try_from_array(&value, 0).map_err(|_| wrong())?
            }
            None => return Err(unsupported(pg_type)),
        },
    })
}

/// What cannot be cast is an error.
const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: datafusion::arrow::util::display::FormatOptions::new() };

fn of_binary(pg_type: &Type, bytes: &mut &[u8]) -> Result<ScalarValue, PgError> {
    let wrong = |_| malformed(pg_type);
    if let Kind::Array(item) = pg_type.kind() {
        return array(pg_type, item, bytes);
    }
    Ok(match *pg_type {
        Type::BOOL => ScalarValue::from(bytes.try_get_u8().map_err(wrong)? != 0),
        Type::INT2 => ScalarValue::from(bytes.try_get_i16().map_err(wrong)?),
        Type::INT4 | Type::OID => ScalarValue::from(bytes.try_get_i32().map_err(wrong)?),
        Type::INT8 => ScalarValue::from(bytes.try_get_i64().map_err(wrong)?),
        Type::FLOAT4 => ScalarValue::from(bytes.try_get_f32().map_err(wrong)?),
        Type::FLOAT8 => ScalarValue::from(bytes.try_get_f64().map_err(wrong)?),
        Type::DATE => {
            let days = i64::from(bytes.try_get_i32().map_err(wrong)?) + EPOCH_DAYS;
            ScalarValue::Date32(Some(i32::try_from(days).map_err(|_| malformed(pg_type))?))
        }
        Type::TIME => ScalarValue::Time64Microsecond(Some(bytes.try_get_i64().map_err(wrong)?)),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            let micros =
                bytes.try_get_i64().map_err(wrong)?.checked_add(EPOCH_MICROS).ok_or_else(|| malformed(pg_type))?;
            let zone = (*pg_type == Type::TIMESTAMPTZ).then(|| "+00:00".into());
            ScalarValue::TimestampMicrosecond(Some(micros), zone)
        }
        Type::INTERVAL => {
            let micros = bytes.try_get_i64().map_err(wrong)?;
            let (days, months) = (bytes.try_get_i32().map_err(wrong)?, bytes.try_get_i32().map_err(wrong)?);
            let nanoseconds = micros.checked_mul(1000).ok_or_else(|| malformed(pg_type))?;
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { months, days, nanoseconds }))
        }
        Type::NUMERIC => numeric(bytes).ok_or_else(|| malformed(pg_type))?,
        Type::BYTEA => ScalarValue::Binary(Some(std::mem::take(bytes).to_vec())),
        Type::UUID => {
            let id = bytes.try_get_u128().map_err(wrong)?;
            let text = format!("{id:032x}");
            ScalarValue::from([&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-"))
        }
        _ if arrow_type(pg_type) == Some(DataType::Utf8) => {
            let text = std::str::from_utf8(std::mem::take(bytes)).map_err(|_| malformed(pg_type))?;
            ScalarValue::from(text)
        }
        _ => return Err(unsupported(pg_type)),
    })
}

/// An array of one dimension.
fn array(pg_type: &Type, item: &Type, bytes: &mut &[u8]) -> Result<ScalarValue, PgError> {
    let wrong = |_| malformed(pg_type);
    let dimensions = bytes.try_get_i32().map_err(wrong)?;
    let (_has_nulls, _oid) = (bytes.try_get_i32().map_err(wrong)?, bytes.try_get_u32().map_err(wrong)?);
    let data_type = arrow_type(item).ok_or_else(|| unsupported(pg_type))?;
    let count = match dimensions {
        0 => 0,
        1 => {
            let count = bytes.try_get_i32().map_err(wrong)?;
            let _lower_bound = bytes.try_get_i32().map_err(wrong)?;
            usize::try_from(count).map_err(|_| malformed(pg_type))?
        }
        _ => {
            let message = format!("a parameter is an array of {dimensions} dimensions; only one is supported");
            return Err(PgError::error(codes::FEATURE_NOT_SUPPORTED, message));
        }
    };
    // Every value has a length of four bytes at least.
    if count > bytes.len() / 4 {
        return Err(malformed(pg_type));
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let length = bytes.try_get_i32().map_err(wrong)?;
        values.push(match usize::try_from(length) {
            Err(_) => ScalarValue::try_from(&data_type).map_err(|_| unsupported(pg_type))?,
            Ok(length) => {
                let (mut value, rest) = bytes.split_at_checked(length).ok_or_else(|| malformed(pg_type))?;
                *bytes = rest;
                of_binary(item, &mut value)?
            }
        });
    }
    let list = ScalarValue::new_list(&values, &data_type, true);
    Ok(ScalarValue::List(list))
}

/// The items of `{1,"a b",NULL}`, or of pgvector's `[1,2]`; `None` where it is neither.
fn array_items(text: &str) -> Option<Vec<Option<String>>> {
    let text = text.trim();
    let vector = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let inner = match vector {
        Some(inner) => inner,
        None => text.strip_prefix('{')?.strip_suffix('}')?,
    };
    let mut items = Vec::new();
    let mut letters = inner.chars().peekable();
    loop {
        while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
        if items.is_empty() && letters.peek().is_none() {
            return Some(items);
        }
        let mut item = String::new();
        if letters.next_if_eq(&'"').is_some() {
            loop {
                match letters.next()? {
                    '"' => break,
                    '\\' => item.push(letters.next()?),
                    letter => item.push(letter),
                }
            }
            while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
            items.push(Some(item));
        } else {
            while let Some(letter) = letters.next_if(|letter| *letter != ',') {
                match letter {
                    '{' | '}' | '"' => return None,
                    '\\' => item.push(letters.next()?),
                    letter => item.push(letter),
                }
            }
            let item = item.trim_end();
            if item.is_empty() {
                return None;
            }
            items.push((!item.eq_ignore_ascii_case("NULL")).then(|| item.to_string()));
        }
        match letters.next() {
            None => return Some(items),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

/// Bytes of `\x0a1b`, or of text with `\\` and `\012`.
fn bytea(text: &str) -> Option<Vec<u8>> {
    if let Some(digits) = text.strip_prefix("\\x") {
        let digit = |digit: &u8| char::from(*digit).to_digit(16);
        let pairs = digits.as_bytes().chunks(2);
        return pairs.map(|pair| u8::try_from(digit(pair.first()?)? * 16 + digit(pair.get(1)?)?).ok()).collect();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next()? {
            b'\\' => bytes.push(b'\\'),
            first => {
                let digits = [first, rest.next()?, rest.next()?];
                let octal = std::str::from_utf8(&digits).ok()?;
                bytes.push(u8::from_str_radix(octal, 8).ok()?);
            }
        }
    }
    Some(bytes)
}

/// A decimal with the digits that it has: `-12.340`.
fn decimal(text: &str) -> Option<ScalarValue> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let scale = i32::try_from(fraction.len()).ok()? - exponent;
    let mut digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    for _ in scale..0 {
        digits = digits.checked_mul(10)?;
    }
    let scale = i8::try_from(scale.max(0)).ok().filter(|scale| *scale <= DIGITS.cast_signed())?;
    (digits.unsigned_abs() < 10_u128.pow(DIGITS.into())).then_some(ScalarValue::Decimal128(Some(digits), DIGITS, scale))
}

/// A decimal in groups of four digits.
fn numeric(bytes: &mut &[u8]) -> Option<ScalarValue> {
    let (count, weight) = (bytes.try_get_u16().ok()?, bytes.try_get_i16().ok()?);
    let (sign, scale) = (bytes.try_get_u16().ok()?, bytes.try_get_u16().ok()?);
    let mut digits: i128 = 0;
    for _ in 0..count {
        let group = bytes.try_get_u16().ok().filter(|group| *group < 10_000)?;
        digits = digits.checked_mul(10_000)?.checked_add(group.into())?;
    }
    // The last group stands for so many digits behind the point; the scale says how many are told.
    let behind = 4 * (i32::from(count) - 1 - i32::from(weight));
    let scale = i32::from(scale);
    for _ in behind..scale {
        digits = digits.checked_mul(10)?;
    }
    for _ in scale..behind {
        digits /= 10;
    }
    let digits = match sign {
        0 => digits,
        0x4000 => -digits,
        _ => return None,
    };
    let scale = i8::try_from(scale).ok().filter(|scale| *scale <= DIGITS.cast_signed())?;
    (digits.unsigned_abs() < 10_u128.pow(DIGITS.into())).then_some(ScalarValue::Decimal128(Some(digits), DIGITS, scale))
}

fn invalid(pg_type: &Type, text: &str) -> PgError {
    let message = format!("invalid input syntax for type {}: \"{text}\"", pg_type.name());
    PgError::error(codes::INVALID_TEXT_REPRESENTATION, message)
}

fn malformed(pg_type: &Type) -> PgError {
    let message = format!("incorrect binary data format for a parameter of type {}", pg_type.name());
    PgError::error(codes::INVALID_BINARY_REPRESENTATION, message)
}

fn unsupported(pg_type: &Type) -> PgError {
    let message = format!("parameters of type {} are not supported", pg_type.name());
    PgError::error(codes::FEATURE_NOT_SUPPORTED, message).hint("send the value as text")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(pg_type: Type, text: &str) -> Result<String, PgError> {
        decode(&pg_type, None, Format::Text, Some(text.as_bytes())).map(|value| value.to_string())
    }

    #[test]
    fn values_in_text() {
        for (pg_type, given, expected) in [
            (Type::BOOL, " T ", "true"),
            (Type::INT4, "-7", "-7"),
            (Type::FLOAT8, "NaN", "NaN"),
            (Type::FLOAT4, "-Infinity", "-inf"),
            (Type::NUMERIC, "-12.340", "-12.340"),
            (Type::NUMERIC, "1.5e3", "1500"),
            (Type::TEXT, " a'; DROP TABLE t; --", " a'; DROP TABLE t; --"),
            (Type::BYTEA, "\\x0aFF", "0AFF"),
            (Type::BYTEA, "a\\\\\\012", "615C0A"),
            (Type::DATE, "2026-01-31", "2026-01-31"),
            (Type::INT4_ARRAY, "{1, NULL,3}", "[1, , 3]"),
            (Type::TEXT_ARRAY, "{\"a,\\\"b\\\"\",c d,\"NULL\"}", "[a,\"b\", c d, NULL]"),
            (Type::FLOAT4_ARRAY, "[1,2.5]", "[1.0, 2.5]"),
            (Type::FLOAT4_ARRAY, "{}", "[]"),
        ] {
            assert_eq!(text(pg_type.clone(), given).unwrap(), expected, "{pg_type} {given}");
        }
        for (pg_type, wrong) in [
            (Type::INT4, "x"),
            (Type::INT2, "40000"),
            (Type::BOOL, "maybe"),
            (Type::BYTEA, "\\x0"),
            (Type::NUMERIC, "1.2.3"),
            (Type::NUMERIC, &"9".repeat(39)),
            (Type::INT4_ARRAY, "{1,"),
            (Type::INT4_ARRAY, "{1}x"),
            (Type::INT4_ARRAY, "{a}"),
            (Type::DATE, "yesterday"),
        ] {
            assert_eq!(
                text(pg_type.clone(), wrong).unwrap_err().code,
                codes::INVALID_TEXT_REPRESENTATION,
                "{pg_type} {wrong}"
            );
        }
    }

    #[test]
    fn values_take_the_type_that_the_statement_wants() {
        let vector = DataType::new_fixed_size_list(DataType::Float32, 2, true);
        let value = decode(&Type::FLOAT4_ARRAY, Some(&vector), Format::Text, Some(b"{1,2}")).unwrap();
        assert_eq!(value.data_type(), vector);
        assert!(decode(&Type::FLOAT4_ARRAY, Some(&vector), Format::Text, Some(b"{1,2,3}")).is_err());
        let null = decode(&Type::INT4, Some(&DataType::Int64), Format::Binary, None).unwrap();
        assert_eq!(null, ScalarValue::Int64(None));
        assert_eq!(
            decode(&Type::POINT, None, Format::Text, Some(b"(1,2)")).unwrap_err().code,
            codes::FEATURE_NOT_SUPPORTED
        );
    }

    #[test]
    fn values_in_binary() {
        let binary = |pg_type: &Type, bytes: &[u8]| decode(pg_type, None, Format::Binary, Some(bytes));
        assert_eq!(binary(&Type::INT8, &[0, 0, 0, 0, 0, 0, 1, 0]).unwrap(), ScalarValue::Int64(Some(256)));
        assert_eq!(binary(&Type::DATE, &[0, 0, 0, 1]).unwrap(), ScalarValue::Date32(Some(10_958)));
        // 12.34 and -0.005, as PostgreSQL's numeric_send has them.
        assert_eq!(
            binary(&Type::NUMERIC, &[0, 2, 0, 0, 0, 0, 0, 2, 0, 12, 0x0d, 0x48]).unwrap(),
            ScalarValue::Decimal128(Some(1234), 38, 2)
        );
        assert_eq!(
            binary(&Type::NUMERIC, &[0, 1, 0xff, 0xff, 0x40, 0, 0, 3, 0, 50]).unwrap(),
            ScalarValue::Decimal128(Some(-5), 38, 3)
        );
        let array =
            [&[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1][..], &[0, 0, 0, 4, 0, 0, 0, 7], &[255; 4]];
        assert_eq!(binary(&Type::INT4_ARRAY, &array.concat()).unwrap().to_string(), "[7, ]");
        for (pg_type, wrong) in [
            (Type::INT4, &b"abc"[..]),
            (Type::INT4, b"abcde"),
            (Type::INT4_ARRAY, &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 127, 255, 255, 255, 0, 0, 0, 1]),
            (Type::NUMERIC, &[0, 1, 0, 0, 0xc0, 0, 0, 0, 0, 1]),
            (Type::TEXT, b"\xff"),
        ] {
            assert_eq!(binary(&pg_type, wrong).unwrap_err().code, codes::INVALID_BINARY_REPRESENTATION, "{pg_type}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in "\\PC{0,20}") {
            for pg_type in [Type::NUMERIC, Type::INTERVAL, Type::TIMESTAMPTZ, Type::NUMERIC_ARRAY, Type::TEXT_ARRAY, Type::UUID] {
                let _ = decode(&pg_type, None, Format::Binary, Some(&bytes));
                let _ = decode(&pg_type, None, Format::Text, Some(text.as_bytes()));
            }
        }
    }
}
