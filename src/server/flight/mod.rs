//! Arrow Flight SQL: ADBC, JDBC and Arrow's own clients connect to Debut, and take results as Arrow.
//!
//! In the order that a call passes through:
//! - `socket`: TCP and TLS, and how long a client may stay unknown
//! - `login`: passwords and tokens
//! - `session`: what a connection has: a session of the engine, plans that wait to be read, prepared statements
//! - `service`: the calls of the protocol
//! - `prepared`: statements with parameters; `rows`: a result on its way; `wire`: types that every client can read
//! - `metadata`: catalogs, schemas, tables, and what the server says of itself; `described`: keys and types of columns
//!
//! A session belongs to a connection and a user, as in PostgreSQL's protocol: it ends with the connection.

mod described;
mod login;
mod metadata;
mod prepared;
mod rows;
mod service;
mod session;
mod socket;
mod wire;

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightServiceServer;
use datafusion::common::DataFusionError;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tonic::Status;
use tonic::transport::Server as Transport;

use super::shared::{Phase, Shared, reached};
use crate::engine::describe::describe;
use login::Login;
use service::Service;

/// The protocol's name where TLS negotiates one: that of HTTP/2.
pub(crate) const PROTOCOL: &[u8] = b"h2";

/// Calls of one connection at a time.
const CALLS: usize = 64;

/// Serves those who connect, until the server stops and all calls have ended.
pub(crate) async fn serve(shared: Arc<Shared>, tls: Option<Arc<ServerConfig>>, listener: TcpListener) {
    let login = match Login::new(shared.users.clone()) {
        Ok(login) => login,
        Err(error) => return tracing::error!("Flight SQL is not served: {error}"),
    };
    let mut phase = shared.phase.clone();
    let largest = shared.options.limits.max_message;
    let service = Service::new(Arc::clone(&shared), login);
    let calls = FlightServiceServer::new(service).max_decoding_message_size(largest);
    let sockets = socket::accept(&shared, tls, listener);
    let draining = async move { reached(&mut phase, Phase::Draining).await };
    let transport = Transport::builder().concurrency_limit_per_connection(CALLS).add_service(calls);
    if let Err(error) = transport.serve_with_incoming_shutdown(sockets, draining).await {
        tracing::error!("Flight SQL is no longer served: {error}");
    }
}

/// An error of the engine as a client reads it.
fn status(error: &DataFusionError) -> Status {
    let message = describe(error);
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => Status::resource_exhausted(message),
        DataFusionError::NotImplemented(_) => Status::unimplemented(message),
        DataFusionError::Internal(_) | DataFusionError::IoError(_) => Status::internal(message),
        _ => Status::invalid_argument(message),
    }
}

/// An error of Arrow that only a bug in Debut explains.
fn internal(error: impl std::fmt::Display) -> Status {
    Status::internal(format!("{error} (a bug in Debut, not in the query)"))
}
