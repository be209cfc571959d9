//! `debut serve`: clients connect over the network. Takes models and options; serves until it is told to stop.
//!
//! - [`options`]: addresses, users, TLS and limits, and what does not go together
//! - [`users`]: the file of users; [`scram`]: passwords that are never sent nor stored; [`tls`]: certificate and key
//! - `shared`: what all connections have in common; [`statement`]: one statement on the engine's threads, which ends with its
//!   client
//! - `parameters`: statements with `$1`; `literals`: values where SQL wants a literal; `nesting`: statements that nest too deep
//!   to be planned
//! - [`postgres`]: PostgreSQL's protocol; `flight`: Arrow Flight SQL; [`http`]: JSON over HTTP
//!
//! # Threads
//! Sockets are served by threads of their own, so that a client is heard, and a cancelled query ends, however much the
//! engine's threads compute.

mod flight;
pub mod http;
mod literals;
mod nesting;
pub mod options;
mod parameters;
pub mod postgres;
pub mod scram;
mod shared;
pub mod statement;
pub mod tls;
pub mod users;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use datafusion::common::DataFusionError;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

use crate::engine::describe::describe;
use crate::engine::{Access, Engine};
use crate::inference::Models;
use options::{OptionsError, Protocol, ServerOptions};
use shared::{Phase, Shared, reached};
use statement::Compute;
use tls::TlsError;
use users::UsersError;

/// Threads that serve sockets.
const SOCKET_THREADS: usize = 2;

/// Statements are parsed and dropped by recursion there, too, and a debug build's frames are large.
const STACK: usize = 32 << 20;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The options do not fit together.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The users cannot be read.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// Nobody could connect.
    #[error("there are no users in '{0}': add one with `debut user add NAME --users FILE`")]
    NoUsers(String),
    /// The certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address is in use, or not this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A folder cannot be served, or a variable of the environment is malformed.
    #[error("{}", describe(.0))]
    Engine(DataFusionError),
    /// Requests over HTTP cannot be answered.
    #[error(transparent)]
    Http(#[from] http::StartError),
    /// No threads.
    #[error("cannot start the threads that serve sockets")]
    Threads(#[source] io::Error),
}

/// Serves until `shutdown` ends, and then until what runs has ended, or its time has. Calls `ready` with what is served
/// where, once it is: a port 0 is a port that was free. Must be called on the runtime that queries are to run on.
///
/// # Errors
/// The options do not fit together, a file cannot be read, or an address cannot be listened on.
pub async fn run(
    models: Arc<Models>,
    options: ServerOptions,
    shutdown: impl Future<Output = ()>,
    ready: impl FnOnce(&[(&'static str, SocketAddr)]),
) -> Result<(), ServerError> {
    options.check()?;
    let users = options.users.as_ref().map(users::Users::at).transpose()?;
    if let Some(users) = &users
        && users.names()?.is_empty()
    {
        return Err(ServerError::NoUsers(users.path().display().to_string()));
    }
    let engine = Engine::open(models, &options.engine).map_err(ServerError::Engine)?;
    let access = Access::served(&options.data, options.writable).map_err(ServerError::Engine)?;
    let tls = |protocol| options.tls.as_ref().map(|files| files.load(protocol)).transpose();
    let (postgres_tls, flight_tls, http_tls) = (tls(postgres::PROTOCOL)?, tls(flight::PROTOCOL)?, tls(http::PROTOCOL)?);
    let sockets = Sockets::new().map_err(ServerError::Threads)?;
    let (phase, phases) = watch::channel(Phase::Serving);
    let compute = Compute::on(Handle::current());
    let limits = options.limits;
    let mut served = Vec::new();
    let mut listeners = Vec::new();
    for (protocol, address) in options.addresses() {
        let failed = |source| ServerError::Listen { address, source };
        let listener = sockets.run(listen(address)).await.map_err(ServerError::Threads)?.map_err(failed)?;
        served.push((protocol.name(), listener.local_addr().map_err(failed)?));
        listeners.push((protocol, listener));
    }
    let shared = Arc::new(Shared { options, users, compute, phase: phases, engine, access });
    let mut servers = Vec::new();
    for (protocol, listener) in listeners {
        let shared = Arc::clone(&shared);
        servers.push(match protocol {
            Protocol::Postgres => {
                let server = postgres::Server::new(shared, postgres_tls.clone());
                sockets.start(async move { server.serve(listener).await })
            }
            Protocol::Http => {
                let state = http::open(&shared).await?;
                let (tls, mut phase) = (http_tls.clone(), shared.phase.clone());
                let draining = async move { reached(&mut phase, Phase::Draining).await };
                sockets.start(http::serve(listener, tls, state, draining))
            }
            Protocol::Flight => {
                let tls = flight_tls.clone();
                sockets.start(async move { flight::serve(shared, tls, listener).await })
            }
        });
    }
    ready(&served);
    shutdown.await;
    // Nobody listens to the phases any more if all connections have ended.
    let _ = phase.send(Phase::Draining);
    let ended = futures::future::join_all(servers);
    tokio::pin!(ended);
    if tokio::time::timeout(limits.shutdown_timeout, &mut ended).await.is_err() {
        let _ = phase.send(Phase::Stopping);
        // To tell the clients; who does not read is not waited for.
        let _ = tokio::time::timeout(postgres::FAREWELL, &mut ended).await;
    }
    Ok(())
}

/// Listens at an address. Clients that vanished without a word are noticed by the operating system.
///
/// # Errors
/// The address is in use, or not this machine's.
async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    const WAITING: u32 = 1024;
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Sockets that are accepted are as the one that listens.
    socket.set_keepalive(true)?;
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// The threads that serve sockets.
struct Sockets(Option<Runtime>);

impl Sockets {
    fn new() -> io::Result<Self> {
        let mut threads = Builder::new_multi_thread();
        threads.worker_threads(SOCKET_THREADS).thread_name("debut-socket").thread_stack_size(STACK).enable_all();
        Ok(Self(Some(threads.build()?)))
    }

    /// Begins work there.
    fn start<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
        match &self.0 {
            Some(threads) => threads.spawn(work),
            // Only a value that is being dropped has none.
            None => tokio::spawn(work),
        }
    }

    /// Waits for work there.
    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
        self.start(work).await.map_err(io::Error::other)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}
