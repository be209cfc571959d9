//! The bodies of all requests that are being answered: takes their bytes as they come; refuses what is beyond the limit of all
//! of them together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;

use super::error::{ApiError, Result};

/// When a client may try again. Nobody knows when other clients have sent the rest of theirs.
const LATER: Duration = Duration::from_secs(1);

/// How many bytes there are, of at most so many.
#[derive(Debug)]
pub(super) struct Bodies {
    most: usize,
    held: AtomicUsize,
}

/// The bytes of one request, which are counted until this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    bodies: Arc<Bodies>,
    bytes: AtomicUsize,
}

impl Bodies {
    /// Bodies of at most so many bytes.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: AtomicUsize::new(0) })
    }

    /// The share of a request, of which nothing has come.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share { bodies: Arc::clone(self), bytes: AtomicUsize::new(0) }
    }

    /// How many bytes there are.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Counts bytes that have come.
    ///
    /// # Errors
    /// 429: with them there would be too many.
    pub(super) fn add(&self, bytes: usize) -> Result<()> {
        let Bodies { most, held } = &*self.bodies;
        let more = |now: usize| now.checked_add(bytes).filter(|sum| sum <= most);
        if held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            let message = format!(
                "the bodies of the requests that are being answered have {most} bytes together: send the request again after \
                 the time in Retry-After"
            );
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "bodies_full", message).retry_after(LATER));
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bodies.held.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_not_counted_and_what_ends_makes_room() {
        let bodies = Bodies::new(10);
        let (first, second) = (bodies.share(), bodies.share());
        first.add(4).unwrap();
        first.add(3).unwrap();
        assert_eq!(second.add(4).unwrap_err().status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(second.add(usize::MAX).is_err());
        second.add(3).unwrap();
        assert_eq!(bodies.held(), 10);
        drop(first);
        assert_eq!(bodies.held(), 3);
        second.add(7).unwrap();
        drop(second);
        assert_eq!(bodies.held(), 0);
    }
}
