//! Which failures pass by themselves: takes the error of a statement; says whether an object store was out of reach or too
//! busy, and how long to wait before the next attempt.
//!
//! The `object_store` crate repeats each request up to ten times within three minutes by itself (`RetryConfig`): what arrives
//! here has lasted longer, or broke an answer off in the middle. It keeps the type of its last word on a request to itself, so
//! the status is read from that one's text.

use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use datafusion::common::DataFusionError;
use object_store::client::{HttpError, HttpErrorKind};

use crate::random::Random;

/// The first pause; each one is twice as long as the one before.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// What `object_store` says before the status of an answer that is none.
const STATUS: &str = "Server returned non-2xx status code: ";

/// What it says where the status is good and the body tells of an overloaded server.
const BUSY: &str = "Server returned error response: ";

/// Whether the error comes from an object store that may answer later. Errors of the query never are.
pub fn is_transient(error: &DataFusionError) -> bool {
    match error {
        // All of them have to pass.
        DataFusionError::Collection(errors) => !errors.is_empty() && errors.iter().all(is_transient),
        error => of_store(error, false),
    }
}

/// Walks down the causes; `store` as soon as one of them is an object store's.
fn of_store(error: &(dyn Error + 'static), store: bool) -> bool {
    if let Some(shared) = error.downcast_ref::<Arc<DataFusionError>>() {
        return is_transient(shared);
    }
    if let Some(DataFusionError::Shared(shared)) = error.downcast_ref() {
        return is_transient(shared);
    }
    let store = store || error.is::<object_store::Error>();
    if store && passes(error) {
        return true;
    }
    error.source().is_some_and(|cause| of_store(cause, store))
}

/// Whether this cause of a store's error is one that passes.
fn passes(error: &(dyn Error + 'static)) -> bool {
    if let Some(http) = error.downcast_ref::<HttpError>() {
        // An answer that cannot be decoded was broken off.
        let kinds = [HttpErrorKind::Connect, HttpErrorKind::Request, HttpErrorKind::Timeout];
        return kinds.contains(&http.kind())
            || matches!(http.kind(), HttpErrorKind::Interrupted | HttpErrorKind::Decode);
    }
    if let Some(io) = error.downcast_ref::<std::io::Error>() {
        return matches!(
            io.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::NotConnected
                | ErrorKind::TimedOut
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::NetworkDown
        );
    }
    let text = error.to_string();
    text.starts_with(BUSY) || text.strip_prefix(STATUS).is_some_and(status_passes)
}

/// Whether a status says that the next request may have an answer: 408, 429, 5xx.
fn status_passes(text: &str) -> bool {
    let status = text.get(..3).and_then(|status| status.parse::<u16>().ok());
    status.is_some_and(|status| matches!(status, 408 | 429 | 500..600))
}

/// The pauses between attempts.
#[derive(Debug)]
pub struct Backoff {
    random: Random,
}

impl Default for Backoff {
    fn default() -> Self {
        // Processes that failed together must not come back together.
        let now = UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos();
        Self { random: Random::new(u64::from(now), u64::from(std::process::id())) }
    }
}

impl Backoff {
    /// How long to wait after this many failures: twice as long as before, up to a minute, less a random part up to a half.
    pub fn pause(&mut self, failures: u32) -> Duration {
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
        FIRST.saturating_mul(doubled).min(LONGEST).mul_f64(0.5 + 0.5 * self.random.uniform())
    }
}
