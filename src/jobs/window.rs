//! Which rows a run takes of a source that grows: takes when the run starts, how late rows may come and where the last run
//! stopped; gives the instants that `$since` and `$until` stand for.
//!
//! Windows lie side by side: each begins where the last one of a run that succeeded has ended, so that a row with a time
//! from `$since` on and before `$until` is taken once, however often runs fail or are killed in between.

use std::time::Duration;

/// The beginning of time, for who has not run before: 1970.
pub const BEGINNING: i64 = 0;

const SECOND: i64 = 1_000_000;

/// From an instant on, up to another one that is outside, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first instant, if the run asked for it.
    pub since: Option<i64>,
    /// The first instant of the next run.
    pub until: i64,
}

impl Window {
    /// The window of a run that starts at `start`, where rows may come `late` after the time that is written in them.
    ///
    /// It ends with a whole second: rows whose times have no fractions may still come in the second of the start, and
    /// belong to the next run then.
    pub fn new(since: Option<i64>, start: i64, late: Duration) -> Self {
        let late = i64::try_from(late.as_micros()).unwrap_or(i64::MAX);
        let until = start.saturating_sub(late).div_euclid(SECOND).saturating_mul(SECOND);
        // Where the clock was set back, or rows may come later than before, there is nothing to take, and nothing twice.
        Self { since, until: until.max(since.unwrap_or(BEGINNING)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lie_side_by_side() {
        let late = Duration::from_millis(1500);
        let first = Window::new(Some(BEGINNING), 10_700_000, Duration::ZERO);
        assert_eq!(first, Window { since: Some(0), until: 10_000_000 });
        let second = Window::new(Some(first.until), 12_600_000, late);
        assert_eq!(second, Window { since: Some(10_000_000), until: 11_000_000 });
        // The same second, a clock that was set back, and rows that may come later than before.
        for (start, late) in [(11_999_999, Duration::ZERO), (3_000_000, Duration::ZERO), (20_000_000, Duration::MAX)] {
            let empty = Window::new(Some(second.until), start, late);
            assert_eq!(empty, Window { since: Some(11_000_000), until: 11_000_000 });
        }
        assert_eq!(Window::new(None, 5_900_000, Duration::from_secs(2)), Window { since: None, until: 3_000_000 });
    }
}
