//! What all connections of a server have in common: options, users, the engine, and whether the server is about to stop.

use datafusion::common::Result;
use tokio::sync::watch;

use super::options::ServerOptions;
use super::statement::Compute;
use super::users::Users;
use crate::engine::{Access, Engine, Session};

/// What a server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It serves.
    Serving,
    /// It takes no new work, and lets the old end.
    Draining,
    /// It cancels what still runs.
    Stopping,
}

/// Ends when the server has come so far.
pub(crate) async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    // Who could tell has gone: that is the end, too.
    let _ = phases.wait_for(|now| *now >= phase).await;
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) options: ServerOptions,
    pub(crate) users: Option<Users>,
    pub(crate) compute: Compute,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(super) engine: Engine,
    pub(super) access: Access,
}

impl Shared {
    /// A session for a connection of its own.
    pub(crate) fn open_session(&self) -> Result<Session> {
        self.engine.session(&self.access)
    }
}
