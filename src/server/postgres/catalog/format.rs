//! `format` and `pg_size_pretty`: texts that tools build names and sizes of. Takes values; gives PostgreSQL's text for them.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StringArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, create_udf,
};

/// The functions.
pub(super) fn functions() -> [ScalarUDF; 2] {
    let pretty = |arguments: &[ColumnarValue]| {
        let sizes = ColumnarValue::values_to_arrays(arguments)?;
        let sizes = sizes[0].as_primitive::<Int64Type>().iter();
        Ok(ColumnarValue::Array(Arc::new(sizes.map(|size| size.map(size_text)).collect::<StringArray>())))
    };
    let pretty =
        create_udf("pg_size_pretty", vec![DataType::Int64], DataType::Utf8, Volatility::Immutable, Arc::new(pretty));
    [ScalarUDF::new_from_impl(Format { signature: Signature::variadic_any(Volatility::Immutable) }), pretty]
}

/// A size with the unit in which it has at most five digits.
fn size_text(size: i64) -> String {
    let mut rest = i128::from(size);
    for unit in ["bytes", "kB", "MB", "GB", "TB"] {
        if rest.abs() < 10 * 1024 {
            return format!("{rest} {unit}");
        }
        // Half away from zero, as PostgreSQL rounds.
        rest = (rest + 512 * rest.signum()) / 1024;
    }
    format!("{rest} PB")
}

/// `format('%I.%s', ...)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Format {
    signature: Signature,
}

impl ScalarUDFImpl for Format {
    fn name(&self) -> &'static str {
        "format"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let texts = arrays.iter().map(|array| Ok(cast(array, &DataType::Utf8)?)).collect::<Result<Vec<_>>>()?;
        let texts: Vec<&StringArray> = texts.iter().map(|array| array.as_string::<i32>()).collect();
        let [patterns, values @ ..] = texts.as_slice() else { return exec_err!("format needs a pattern") };
        let mut formatted = StringBuilder::new();
        for row in 0..patterns.len() {
            if patterns.is_null(row) {
                formatted.append_null();
                continue;
            }
            let value = |index: usize| values.get(index).map(|texts| (!texts.is_null(row)).then(|| texts.value(row)));
            formatted.append_value(format(patterns.value(row), value)?);
        }
        Ok(ColumnarValue::Array(Arc::new(formatted.finish())))
    }
}

/// Puts values in the place of `%s`, `%I` (a name) and `%L` (a literal).
fn format<'a>(pattern: &str, value: impl Fn(usize) -> Option<Option<&'a str>>) -> Result<String> {
    let mut text = String::with_capacity(pattern.len());
    let mut letters = pattern.chars();
    let mut next = 0;
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let kind = letters.next();
        if kind == Some('%') {
            text.push('%');
            continue;
        }
        let Some(kind @ ('s' | 'I' | 'L')) = kind else {
            return exec_err!("format: \"{pattern}\" has a specifier other than %s, %I, %L and %%");
        };
        let Some(value) = value(next) else { return exec_err!("format: too few arguments for \"{pattern}\"") };
        next += 1;
        match (kind, value) {
            ('s', value) => text.push_str(value.unwrap_or_default()),
            ('I', Some(name)) => identifier(name, &mut text),
            ('I', None) => return exec_err!("format: NULL cannot be a name"),
            (_, Some(value)) => {
                text.push('\'');
                text.push_str(&value.replace('\'', "''"));
                text.push('\'');
            }
            (_, None) => text.push_str("NULL"),
        }
    }
    Ok(text)
}

/// A name, in quotes where it needs them.
fn identifier(name: &str, text: &mut String) {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter == '_' || letter.is_ascii_digit();
    if name.chars().all(plain) && !name.starts_with(|letter: char| letter.is_ascii_digit()) && !name.is_empty() {
        text.push_str(name);
    } else {
        text.push('"');
        text.push_str(&name.replace('"', "\"\""));
        text.push('"');
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_as_postgresql_does() {
        for (size, text) in [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (-10_752, "-11 kB"),
            (10_485_248, "10 MB"),
            (i64::MAX, "8192 PB"),
        ] {
            assert_eq!(size_text(size), text);
        }
    }

    #[test]
    fn values_stand_where_the_pattern_says() {
        let values = [Some("a b"), Some("it's"), None, Some("plain")];
        let formatted = |pattern| format(pattern, |index| values.get(index).copied());
        assert_eq!(formatted("%I=%L %s%% %I").unwrap(), "\"a b\"='it''s' % plain");
        for wrong in ["%I %s %I", "%s %s %s %s %s", "%d", "%"] {
            assert!(formatted(wrong).is_err(), "{wrong}");
        }
    }
}
