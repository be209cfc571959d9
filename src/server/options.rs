//! What a server is started with: addresses, users, TLS and limits.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::tls::TlsFiles;
use crate::engine::EngineOptions;

/// How a server is to be run.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where PostgreSQL's protocol is spoken; nowhere if `None`.
    pub postgres: Option<SocketAddr>,
    /// Where Arrow Flight SQL is spoken; nowhere if `None`.
    pub flight: Option<SocketAddr>,
    /// Where JSON is answered over HTTP; nowhere if `None`.
    pub http: Option<SocketAddr>,
    /// The folder that feedback is appended to; without one, there is none.
    pub feedback: Option<PathBuf>,
    /// The file of SQL that says what the page at `/` shows; without one, the page says so.
    pub page: Option<PathBuf>,
    /// The file of users. Without one there are no passwords, and only this machine may connect.
    pub users: Option<PathBuf>,
    /// Certificate and key; without them there is no TLS.
    pub tls: Option<TlsFiles>,
    /// Whether who does not use TLS is refused.
    pub tls_required: bool,
    /// What all sessions share.
    pub engine: EngineOptions,
    /// The folders whose files sessions read, and nothing else.
    pub data: Vec<PathBuf>,
    /// Whether sessions may write there, and make and drop models.
    pub writable: bool,
    /// What the server does not do more of.
    pub limits: Limits,
    /// What it does not do more of over HTTP.
    pub http_limits: HttpLimits,
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL's, version 3.
    Postgres,
    /// Arrow Flight SQL.
    Flight,
    /// JSON over HTTP.
    Http,
}

impl Protocol {
    /// Its name, as that of its option.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Flight => "flight",
            Self::Http => "http",
        }
    }
}

/// The limits of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time.
    pub max_connections: usize,
    /// Longest time that a statement may take, planning and the reading of its rows included; no limit if `None`.
    pub statement_timeout: Option<Duration>,
    /// Longest time from the connection to the end of the authentication.
    pub startup_timeout: Duration,
    /// How long running statements may go on after the server was told to stop.
    pub shutdown_timeout: Duration,
    /// Longest message of a client, in bytes.
    pub max_message: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 100,
            statement_timeout: None,
            startup_timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(30),
            max_message: 64 << 20,
        }
    }
}

/// The limits of a server over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Longest body of a request, in bytes; those of all requests together may have [`Self::BODIES`] times as much.
    pub max_body: usize,
    /// Most texts, pairs, rows or events in a request.
    pub max_rows: usize,
    /// How long a request may wait for others, to run the model once for all of them.
    pub latency_budget: Duration,
    /// Most rows that wait for one model.
    pub max_queue: usize,
}

impl HttpLimits {
    /// How many of the longest bodies there may be at a time.
    pub const BODIES: usize = 64;
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { max_body: 4 << 20, max_rows: 2048, latency_budget: Duration::from_millis(2), max_queue: 8192 }
    }
}

/// Why options do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Nothing to serve.
    #[error("nothing to serve: name an address, such as --postgres 127.0.0.1:5432")]
    NoAddress,
    /// Anybody could connect.
    #[error(
        "{0} can be reached from other machines, and without users anybody could connect: \
         make a file of users with `debut user add NAME --users FILE` and name it with --users FILE"
    )]
    Open(SocketAddr),
    /// There is a page, and nothing that serves it.
    #[error("the page is served over HTTP: name an address with --http ADDR")]
    NoHttp,
    /// TLS is required and cannot be had.
    #[error("TLS is required, but there is no certificate: name one with --tls-cert FILE and --tls-key FILE")]
    NoCertificate,
}

impl ServerOptions {
    /// What is spoken where.
    pub fn addresses(&self) -> Vec<(Protocol, SocketAddr)> {
        let addresses =
            [(Protocol::Postgres, self.postgres), (Protocol::Flight, self.flight), (Protocol::Http, self.http)];
        addresses.into_iter().filter_map(|(protocol, address)| Some((protocol, address?))).collect()
    }

    /// An address that other machines reach, where clients send passwords or tokens, and there is no TLS. PostgreSQL's clients
    /// prove that they know a password, and send none.
    pub fn unencrypted(&self) -> Option<SocketAddr> {
        let sent = |(protocol, address): &(Protocol, SocketAddr)| {
            *protocol != Protocol::Postgres && self.users.is_some() && !address.ip().to_canonical().is_loopback()
        };
        self.addresses().into_iter().find(sent).map(|(_, address)| address).filter(|_| self.tls.is_none())
    }

    /// Refuses what would be unsafe or pointless.
    ///
    /// # Errors
    /// There is no address, a page without HTTP, an address that others reach and no users, or TLS is required without a certificate.
    pub fn check(&self) -> Result<(), OptionsError> {
        let addresses = self.addresses();
        if addresses.is_empty() {
            return Err(OptionsError::NoAddress);
        }
        if self.page.is_some() && self.http.is_none() {
            return Err(OptionsError::NoHttp);
        }
        let open = addresses.iter().find(|(_, address)| !address.ip().to_canonical().is_loopback());
        if let (None, Some((_, open))) = (&self.users, open) {
            return Err(OptionsError::Open(*open));
        }
        if self.tls_required && self.tls.is_none() {
            return Err(OptionsError::NoCertificate);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn options(address: &str) -> ServerOptions {
        ServerOptions {
            postgres: Some(address.parse().unwrap()),
            flight: None,
            http: None,
            feedback: None,
            page: None,
            users: None,
            tls: None,
            tls_required: false,
            engine: EngineOptions::default(),
            data: Vec::new(),
            writable: false,
            limits: Limits::default(),
            http_limits: HttpLimits::default(),
        }
    }

    #[test]
    fn without_users_only_this_machine_may_connect() {
        for address in ["127.0.0.1:1", "[::1]:1", "127.8.8.8:0", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(options(address).check(), Ok(()), "{address}");
        }
        for address in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[2001:db8::1]:1"] {
            assert!(matches!(options(address).check(), Err(OptionsError::Open(_))), "{address}");
            assert_eq!(ServerOptions { users: Some("users".into()), ..options(address) }.check(), Ok(()), "{address}");
        }
    }

    #[test]
    fn what_is_sent_in_the_clear_is_known() {
        let open = |address: &str| ServerOptions {
            postgres: Some("0.0.0.0:1".parse().unwrap()),
            http: Some(address.parse().unwrap()),
            users: Some("users".into()),
            ..options("[::1]:1")
        };
        assert_eq!(open("0.0.0.0:2").unencrypted(), Some("0.0.0.0:2".parse().unwrap()));
        assert_eq!(open("127.0.0.1:2").unencrypted(), None);
        let files = TlsFiles { certificate: "c".into(), key: "k".into() };
        assert_eq!(ServerOptions { tls: Some(files), ..open("0.0.0.0:2") }.unencrypted(), None);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert_eq!(ServerOptions { postgres: None, ..options("[::1]:1") }.check(), Err(OptionsError::NoAddress));
        let page = ServerOptions { page: Some("page.sql".into()), ..options("[::1]:1") };
        assert_eq!(page.check(), Err(OptionsError::NoHttp));
        let required = ServerOptions { tls_required: true, ..options("[::1]:1") };
        assert_eq!(required.check(), Err(OptionsError::NoCertificate));
    }
}
