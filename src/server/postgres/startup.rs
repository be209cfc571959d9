//! How a connection begins: takes a socket; gives one that is encrypted where it must be, whose client has proved who it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::backend;
use super::error::{PgError, codes};
use super::frontend::{LONGEST_PASSWORD, Message, Opening};
use super::wire::{Broken, Socket, Wire};
use crate::engine::describe::chain;
use crate::server::scram::{Exchange, Failure, MECHANISM};
use crate::server::users::Users;

/// The first byte of a TLS handshake, with which a client may begin at once.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a client began with.
#[derive(Debug)]
pub(super) enum Begun {
    /// A session.
    Session(Startup),
    /// A request to cancel another connection's statement.
    Cancel {
        /// The connection.
        process: i32,
        /// The proof that it is the client's own.
        key: bytes::Bytes,
    },
}

/// A session that a client wants.
#[derive(Debug)]
pub(super) struct Startup {
    /// Who.
    pub(super) user: String,
    /// The minor version of the protocol that both speak.
    pub(super) minor: u16,
    /// Settings, by their names.
    pub(super) parameters: BTreeMap<String, String>,
}

/// What a new connection is told before it says who it is.
#[derive(Clone)]
pub(super) struct Gate {
    /// How TLS is spoken, if it is.
    pub(super) tls: Option<TlsAcceptor>,
    /// Whether plain connections are refused.
    pub(super) tls_required: bool,
}

impl Gate {
    /// Negotiates encryption and reads what the client wants.
    ///
    /// # Errors
    /// It goes, or speaks something else; there is no connection to tell it so then, or it was told.
    pub(super) async fn negotiate(&self, socket: TcpStream) -> Result<(Wire, Begun), Broken> {
        let mut first = [0];
        if socket.peek(&mut first).await? == 1 && first[0] == TLS_HANDSHAKE {
            let Some(tls) = &self.tls else { return Err(Broken::Gone) };
            let socket = tls.accept(socket).await?;
            // Nothing else was said that would show that this is PostgreSQL's protocol.
            if socket.get_ref().1.alpn_protocol().is_none() {
                return Err(Broken::Gone);
            }
            return self.begin(Wire::new(Socket::Tls(Box::new(socket))), true).await;
        }
        self.begin(Wire::new(Socket::Plain(socket)), false).await
    }

    async fn begin(&self, mut wire: Wire, mut encrypted: bool) -> Result<(Wire, Begun), Broken> {
        loop {
            let opening = match wire.opening().await {
                Err(Broken::Malformed(error)) => return Err(refuse(&mut wire, error).await),
                opening => opening?,
            };
            match opening {
                Opening::Gss => wire.output.extend_from_slice(b"N"),
                Opening::Ssl if encrypted => {
                    return Err(refuse(&mut wire, PgError::protocol("the connection is encrypted already")).await);
                }
                Opening::Ssl => match &self.tls {
                    None => wire.output.extend_from_slice(b"N"),
                    Some(tls) => {
                        wire.output.extend_from_slice(b"S");
                        wire.send().await?;
                        // What came in plain text behind the request could have been put there by somebody else.
                        let Some(Socket::Plain(socket)) = wire.into_socket() else { return Err(Broken::Gone) };
                        wire = Wire::new(Socket::Tls(Box::new(tls.accept(socket).await?)));
                        encrypted = true;
                    }
                },
                Opening::Cancel { process, key } => return Ok((wire, Begun::Cancel { process, key })),
                Opening::Startup { major, minor, parameters } => {
                    return match self.startup(&mut wire, encrypted, (major, minor), parameters) {
                        Ok(startup) => Ok((wire, Begun::Session(startup))),
                        Err(error) => Err(refuse(&mut wire, error).await),
                    };
                }
            }
            wire.send().await?;
        }
    }

    fn startup(
        &self,
        wire: &mut Wire,
        encrypted: bool,
        (major, minor): (u16, u16),
        mut parameters: BTreeMap<String, String>,
    ) -> Result<Startup, PgError> {
        if major != 3 {
            let message = format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2");
            return Err(PgError::fatal(codes::FEATURE_NOT_SUPPORTED, message));
        }
        if self.tls_required && !encrypted {
            let error = PgError::fatal(codes::INVALID_AUTHORIZATION, "this server accepts encrypted connections only");
            return Err(error.hint("connect with sslmode=require or stricter"));
        }
        // 3.1 was never used.
        let spoken = if minor >= 2 { 2 } else { 0 };
        let unknown: Vec<&str> =
            parameters.keys().map(String::as_str).filter(|name| name.starts_with("_pq_.")).collect();
        if minor != spoken || !unknown.is_empty() {
            backend::negotiate(&mut wire.output, spoken, &unknown);
        }
        let Some(user) = parameters.remove("user").filter(|user| !user.is_empty()) else {
            return Err(PgError::fatal(
                codes::INVALID_AUTHORIZATION,
                "no PostgreSQL user name specified in startup packet",
            ));
        };
        if parameters.remove("replication").is_some_and(|value| !matches!(value.as_str(), "false" | "off" | "no" | "0"))
        {
            return Err(PgError::fatal(codes::FEATURE_NOT_SUPPORTED, "replication is not supported"));
        }
        parameters.retain(|name, _| !name.starts_with("_pq_."));
        Ok(Startup { user, minor: spoken, parameters })
    }
}

/// Makes the client prove that it knows the user's password. Whether there is such a user is not told.
///
/// # Errors
/// It cannot, or goes. It was told.
pub(super) async fn authenticate(wire: &mut Wire, users: &Users, user: &str) -> Result<(), Broken> {
    match exchange(wire, users, user).await {
        Err(Broken::Malformed(error)) => Err(refuse(wire, error).await),
        done => done,
    }
}

async fn exchange(wire: &mut Wire, users: &Users, user: &str) -> Result<(), Broken> {
    let known = users.known().await.map_err(|error| {
        tracing::error!("nobody can log in: {}", chain(&error));
        internal()
    })?;
    let secret = known.secret(user);
    backend::sasl(&mut wire.output, MECHANISM);
    wire.send().await?;
    let mut first = response(wire).await?;
    // The mechanism, and the length of what follows.
    let mechanism = first.iter().position(|byte| *byte == 0).map(|end| first.split_to(end));
    if mechanism.as_deref() != Some(MECHANISM.as_bytes()) || first.len() < 5 {
        return Err(PgError::protocol("client selected an invalid SASL authentication mechanism").into());
    }
    let failed = |failure| match failure {
        Failure::Proof => {
            let message = format!("password authentication failed for user \"{user}\"");
            PgError::fatal(codes::INVALID_PASSWORD, message)
        }
        Failure::Malformed(what) => PgError::protocol(format!("malformed SCRAM message: {what}")),
        Failure::Random => internal(),
    };
    let (exchange, answer) = Exchange::begin(secret, &first[5..]).map_err(failed)?;
    backend::sasl_continue(&mut wire.output, &answer);
    wire.send().await?;
    let last = response(wire).await?;
    let answer = exchange.finish(&last).map_err(failed)?;
    backend::sasl_final(&mut wire.output, &answer);
    Ok(())
}

/// A step of the exchange.
async fn response(wire: &mut Wire) -> Result<bytes::Bytes, Broken> {
    match wire.message(LONGEST_PASSWORD).await? {
        Message::Password(data) => Ok(data),
        Message::Terminate => Err(Broken::Gone),
        _ => Err(PgError::protocol("expected SASL response").into()),
    }
}

fn internal() -> PgError {
    PgError::fatal(codes::INTERNAL_ERROR, "the server cannot check passwords; its log says why")
}

/// Tells the client why it cannot go on, and ends the connection.
pub(super) async fn refuse(wire: &mut Wire, error: PgError) -> Broken {
    backend::error(&mut wire.output, &PgError { fatal: true, ..error });
    // Who does not listen cannot be told.
    let _ = wire.close().await;
    Broken::Gone
}

/// TLS as the server speaks it.
pub(super) fn acceptor(config: Arc<rustls::ServerConfig>) -> TlsAcceptor {
    TlsAcceptor::from(config)
}
