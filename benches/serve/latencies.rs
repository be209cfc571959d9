//! How long requests took: takes times; gives quantiles.

use std::fmt;
use std::time::Duration;

/// Times of requests of one kind.
#[derive(Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    /// Adds one.
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Adds those of another client.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Milliseconds within which this share of the requests was answered; not a number where there are none.
    fn quantile(sorted: &[Duration], share: f64) -> f64 {
        let place = (sorted.len() as f64 * share) as usize;
        sorted.get(place.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

/// The quantiles that the tables of benches/README.md have.
impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort();
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| Self::quantile(&sorted, share));
        write!(f, "p50 {p50:>8.1}  p95 {p95:>8.1}  p99 {p99:>8.1} ms")
    }
}
