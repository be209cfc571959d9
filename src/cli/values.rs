//! Values of options: takes what was written; gives sizes, durations, times and addresses, or says how to write one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use datafusion::arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use debut_udfs::config::bytes;

/// Bytes of a size that is not 0, as settings are written: `1048576`, `512M`, `2GiB`.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let bytes = bytes(text).and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "a size is a whole number with K, M, G or T behind it, such as 2G".to_string())
}

/// An address from `127.0.0.1:5432`, `[::1]:5432`, or a port of this machine alone: `5432`.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| "an address is HOST:PORT with a numeric host, such as 127.0.0.1:5432".to_string())
}

/// A duration from `30s`, `500ms`, `5min` or `1h`; seconds where no unit is written.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration is a whole number with ms, s, min or h behind it, such as 30s".to_string();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let milliseconds = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1000,
        "min" | "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(wrong)
}

/// What `--since` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    /// The start of the last run that succeeded.
    Last,
    /// An instant, in microseconds since 1970.
    At(i64),
}

impl Since {
    /// `last`, or a time such as `2026-11-28` or `2026-11-28T02:00:00Z`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "last" {
            return Ok(Self::Last);
        }
        let time = string_to_timestamp_nanos(text);
        time.map(|time| Self::At(time.div_euclid(1000)))
            .map_err(|_| "write last, or a time such as 2026-11-28T02:00:00Z".into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024() {
        assert_eq!(size("10").unwrap(), 10);
        assert_eq!(size("512M").unwrap(), 512 << 20);
        assert_eq!(size("2GiB").unwrap(), 2 << 30);
        for wrong in ["", "G", "0", "-1", "1.5G", "2X", "99999999999T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_and_durations() {
        assert_eq!(address("5432").unwrap(), "127.0.0.1:5432".parse().unwrap());
        assert_eq!(address("[::1]:1").unwrap().port(), 1);
        assert!(address("localhost").is_err() && address("70000").is_err());
        assert_eq!(duration("90").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert!(duration("soon").is_err() && duration("1y").is_err() && duration("-1s").is_err());
    }

    #[test]
    fn since_is_last_or_a_time() {
        assert_eq!(Since::parse("last").unwrap(), Since::Last);
        assert_eq!(Since::parse("1970-01-02").unwrap(), Since::At(86_400_000_000));
        assert_eq!(Since::parse("1970-01-01T01:00:00+01:00").unwrap(), Since::At(0));
        assert!(Since::parse("yesterday").is_err() && Since::parse("").is_err());
    }
}
