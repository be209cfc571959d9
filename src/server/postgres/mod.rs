//! PostgreSQL's protocol, version 3: `psql`, its drivers, and the tools built on them connect to Debut.
//!
//! In the order that a connection's bytes pass through:
//! - `wire`: a socket's bytes; `frontend` and `backend`: messages of clients and of the server
//! - `startup`: TLS and passwords; `cancel`: the numbers and keys of connections
//! - `connection`: messages, one after another; `interrupt`: what ends a statement early
//! - `script`: texts in statements; `utility`: those about the session; `settings` and `show`: SET and SHOW
//! - `prepare`: plans and parameters; `portal`: rows that wait to be asked for
//! - `copy`: rows as text that a client keeps in a file
//! - `execute` and `extended`: the simple and the extended protocol
//! - `types`, `encode`, `parameters`, `moments`: Arrow's values as PostgreSQL's, and back
//! - `catalog`: `pg_catalog`; `error`: messages and codes

mod backend;
mod cancel;
mod catalog;
mod connection;
mod copy;
mod encode;
mod error;
mod execute;
mod extended;
mod frontend;
mod interrupt;
mod moments;
mod parameters;
mod portal;
mod prepare;
mod script;
mod settings;
mod show;
mod startup;
mod types;
mod utility;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::shared::{Phase, Shared, reached};
use cancel::Connections;
use connection::Connection;
use error::{PgError, codes};
use interrupt::Stop;
use startup::{Begun, Gate, Startup};
use wire::Broken;

/// The protocol's name where TLS negotiates one.
pub(crate) const PROTOCOL: &[u8] = b"postgresql";

/// How long a client may take to hear why its connection ends.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);

/// So many may be proving who they are at a time, beside as many as may be connected.
const STARTING: usize = 64;

/// How long nothing is accepted where the operating system has no more to give.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Those who serve the clients of one address.
#[derive(Clone)]
pub(crate) struct Server {
    shared: Arc<Shared>,
    gate: Gate,
    connections: Arc<Connections>,
    /// A place for each client whose password was right.
    places: Arc<Semaphore>,
    /// A place for each who is not so far.
    starting: Arc<Semaphore>,
}

impl Server {
    /// A server of what all share, which speaks TLS if it is told how.
    pub(crate) fn new(shared: Arc<Shared>, tls: Option<Arc<ServerConfig>>) -> Self {
        let options = &shared.options;
        let gate = Gate { tls: tls.map(startup::acceptor), tls_required: options.tls_required };
        let most = options.limits.max_connections;
        let (places, starting) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(most + STARTING)));
        Self { shared, gate, connections: Arc::default(), places, starting }
    }

    /// Serves who connects, until the server stops and all have gone.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let mut phase = self.shared.phase.clone();
        let mut clients = JoinSet::new();
        let mut draining = false;
        while !(draining && clients.is_empty()) {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    // Who floods the server with half of a handshake is not answered.
                    Ok((socket, _)) => if let Ok(starting) = Arc::clone(&self.starting).try_acquire_owned() {
                        clients.spawn(self.clone().client(socket, starting));
                    },
                    Err(error) => {
                        tracing::warn!("cannot accept a connection: {error}");
                        tokio::time::sleep(EXHAUSTED).await;
                    }
                },
                Some(ended) = clients.join_next() => if let Err(error) = ended {
                    tracing::error!("a connection ended by a bug in Debut: {error}");
                },
                () = reached(&mut phase, Phase::Draining), if !draining => draining = true,
            }
        }
    }

    async fn client(self, socket: TcpStream, starting: OwnedSemaphorePermit) {
        let begun = timeout(self.shared.options.limits.startup_timeout, self.begin(socket)).await;
        drop(starting);
        // Others are done, or were told, or have gone, or took too long.
        if let Ok(Ok(Some((connection, _place)))) = begun {
            connection.serve().await;
        }
    }

    /// What happens before a session: encryption, authentication, and whether there is room. `None` where the client
    /// wanted something else.
    async fn begin(&self, socket: TcpStream) -> Result<Option<(Connection, OwnedSemaphorePermit)>, Broken> {
        socket.set_nodelay(true)?;
        let (mut wire, begun) = self.gate.negotiate(socket).await?;
        let Startup { user, minor, parameters } = match begun {
            Begun::Session(startup) => startup,
            Begun::Cancel { process, key } => {
                self.connections.cancel(process, &key);
                return Ok(None);
            }
        };
        if *self.shared.phase.borrow() >= Phase::Draining {
            let error = PgError::fatal(codes::CANNOT_CONNECT_NOW, "the database system is shutting down");
            return Err(startup::refuse(&mut wire, error).await);
        }
        if let Some(users) = &self.shared.users {
            startup::authenticate(&mut wire, users, &user).await?;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let error = PgError::fatal(codes::TOO_MANY_CONNECTIONS, "sorry, too many clients already");
            return Err(startup::refuse(&mut wire, error).await);
        };
        let registered = match self.connections.register(minor) {
            Ok(registered) => registered,
            Err(failure) => {
                let error = PgError::fatal(codes::INTERNAL_ERROR, failure.to_string());
                return Err(startup::refuse(&mut wire, error).await);
            }
        };
        match Connection::begin(Arc::clone(&self.shared), wire, registered, user, parameters).await {
            Ok(connection) => Ok(Some((connection, place))),
            Err((mut wire, Stop::Error(error))) => Err(startup::refuse(&mut wire, error).await),
            Err((_, Stop::Gone)) => Err(Broken::Gone),
        }
    }
}
