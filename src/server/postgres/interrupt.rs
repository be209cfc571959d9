//! What ends a statement early: the client goes, or cancels it, its time is over, or the server stops.

use std::future::Future;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::error::{PgError, codes};
use super::wire::{Broken, Wire};
use crate::server::shared::{Phase, reached};

/// Why a statement ended before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The client has gone.
    Gone,
    /// The client is to be told.
    Error(PgError),
}

impl From<PgError> for Stop {
    fn from(error: PgError) -> Self {
        Self::Error(error)
    }
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Gone => Self::Gone,
            Broken::Malformed(error) => Self::Error(error),
        }
    }
}

/// What may end a statement.
#[derive(Debug)]
pub(super) struct Interrupts {
    cancel: oneshot::Receiver<()>,
    deadline: Option<Instant>,
    phase: watch::Receiver<Phase>,
}

impl Interrupts {
    /// Those of a message that has just come.
    pub(super) fn new(cancel: oneshot::Receiver<()>, timeout: Option<Duration>, phase: watch::Receiver<Phase>) -> Self {
        let mut interrupts = Self { cancel, deadline: None, phase };
        interrupts.restart(timeout);
        interrupts
    }

    /// The time of the next statement begins.
    pub(super) fn restart(&mut self, timeout: Option<Duration>) {
        // What no clock can tell is for ever.
        self.deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    }

    /// Does `work` on behalf of the client of `wire`.
    ///
    /// # Errors
    /// Something came before its end; the work is dropped.
    pub(super) async fn during<T>(&mut self, wire: &mut Wire, work: impl Future<Output = T>) -> Result<T, Stop> {
        // The interrupts first: work that is always ready must not keep them waiting.
        tokio::select! {
            biased;
            error = self.next() => Err(error.into()),
            done = work => Ok(done),
            () = wire.watch() => Err(Stop::Gone),
        }
    }

    /// Sends what was appended to the output of `wire`.
    ///
    /// # Errors
    /// Something came before all of it was sent; the rest still can be.
    pub(super) async fn send(&mut self, wire: &mut Wire) -> Result<(), Stop> {
        tokio::select! {
            biased;
            error = self.next() => Err(error.into()),
            sent = wire.send() => Ok(sent?),
        }
    }

    async fn next(&mut self) -> PgError {
        let deadline = self.deadline;
        let timeout = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Ok(()) = &mut self.cancel => {
                PgError::error(codes::QUERY_CANCELED, "canceling statement due to user request")
            }
            () = timeout => PgError::error(codes::QUERY_CANCELED, "canceling statement due to statement timeout"),
            () = reached(&mut self.phase, Phase::Stopping) => shutdown(),
        }
    }
}

/// What clients are told when the server stops.
pub(super) fn shutdown() -> PgError {
    PgError::fatal(codes::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
}
