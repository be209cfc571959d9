//! Numbers, durations, instants and JSON values as a reader wants them. Gives text.

use chrono::DateTime;
use serde_json::Value;

/// A number to four significant digits: `0.5342`, `12.5`, `2e-5`.
pub(crate) fn number(value: f64) -> String {
    significant(value, 4)
}

/// A number to some significant digits, without zeros at its end.
pub(crate) fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return "not a number".to_owned();
    }
    // The way over text rounds as people do; arithmetic would leave 0.30000000000000004.
    let rounded: f64 = format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value);
    let text = match rounded.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e6).contains(&size) => rounded.to_string(),
        _ => format!("{rounded:e}"),
    };
    minus(&text)
}

/// A number with this many decimals, for columns that are read downwards.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    match value.abs() {
        size if value.is_finite() && size < 1e6 => minus(&format!("{value:.decimals$}")),
        _ => number(value),
    }
}

/// A difference, with its sign.
pub(crate) fn difference(value: f64) -> String {
    let text = number(value);
    if value > 0.0 { format!("+{text}") } else { text }
}

/// A share in percent to three significant digits: `36.2%`.
pub(crate) fn percent(value: f64) -> String {
    format!("{}%", significant(value * 100.0, 3))
}

/// From here to there: `0.331 to 0.378`.
pub(crate) fn range((low, high): (f64, f64), decimals: usize) -> String {
    format!("{} to {}", fixed(low, decimals), fixed(high, decimals))
}

/// A count with its thousands apart: `294,912`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 epoch`, `2 epochs`.
pub(crate) fn plural(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// `42 s`, `3 min 5 s`, `2 h 10 min`.
pub(crate) fn duration(seconds: f64) -> String {
    // Saturates; a negative or unknown time is none.
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{} s", significant((seconds * 10.0).round() / 10.0, 2)),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

/// Seconds since 1970 as `2026-11-24 22:23:08 UTC`.
pub(crate) fn instant(seconds: u64) -> String {
    let instant = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    // What no calendar can name is still the number that was written.
    instant.map_or_else(
        || format!("{} after 1970", plural(seconds, "second")),
        |instant| instant.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// Microseconds since 1970, UTC, as SQL shows a timestamp: `2026-11-24 22:23:08`.
pub(crate) fn timestamp(microseconds: i64) -> String {
    DateTime::from_timestamp_micros(microseconds)
        .map_or_else(|| microseconds.to_string(), |instant| instant.naive_utc().to_string())
}

/// The value of an option.
pub(crate) fn option(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(option).collect::<Vec<_>>().join(", "),
        Value::Number(value) if value.is_f64() => value.as_f64().map_or_else(|| value.to_string(), number),
        other => other.to_string(),
    }
}

/// With the sign of typographers, which is as wide as a plus.
fn minus(text: &str) -> String {
    text.replacen('-', if text.starts_with('-') { "−" } else { "-" }, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (0.534_213, "0.5342"),
            (12.5, "12.5"),
            (0.00002, "2e-5"),
            (-1.0, "−1"),
            (-0.00001, "−1e-5"),
            (123_456.0, "123500"),
            (1e9, "1e9"),
            (f64::NAN, "not a number"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!((fixed(0.5, 4).as_str(), fixed(-12.0, 1).as_str()), ("0.5000", "−12.0"));
        assert_eq!((percent(0.361_76).as_str(), percent(0.000_412).as_str()), ("36.2%", "0.0412%"));
        assert_eq!(
            (range((0.3314, 0.3779), 3).as_str(), range((-0.01, 0.02), 2).as_str()),
            ("0.331 to 0.378", "−0.01 to 0.02")
        );
        assert_eq!((difference(0.25).as_str(), difference(-0.25).as_str()), ("+0.25", "−0.25"));
        assert_eq!((count(7), count(1234), count(22_713_216)), ("7".into(), "1,234".into(), "22,713,216".into()));
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        let of = |seconds| duration(seconds);
        assert_eq!([of(0.25), of(42.4), of(185.0), of(7_805.0)], ["0.3 s", "42 s", "3 min 5 s", "2 h 10 min"]);
    }

    #[test]
    fn instants_are_those_of_the_calendar() {
        // As `date -u -d @N` has them.
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (u64::MAX, "18,446,744,073,709,551,615 seconds after 1970"),
        ] {
            assert_eq!(instant(seconds), text);
        }
        assert_eq!(timestamp(1_764_547_200_000_000), "2025-12-01 00:00:00");
        assert_eq!(timestamp(-1), "1969-12-31 23:59:59.999999");
    }
}
