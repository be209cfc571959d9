//! Sockets of Flight SQL: takes a listener; gives encrypted or plain connections that are in time.
//!
//! A connection whose client has not proved who it is within the time for that is closed, however far its handshake came. Who
//! has takes one of the places that `--max-connections` limits, or is told that there is none.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::Status;
use tonic::transport::server::Connected;

use super::session::Sessions;
use crate::server::shared::{Phase, Shared, reached};

/// How long nothing is accepted where the operating system has no more to give.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// So many may be proving who they are at a time, beside as many as may be connected.
const STARTING: usize = 64;

/// A connection, as the calls that come through it know it.
#[derive(Clone)]
pub(super) struct Connection(Arc<State>);

struct State {
    sessions: Sessions,
    /// Whether a call has proved who calls, and found a place.
    known: AtomicBool,
    /// A place for each client that is known.
    places: Arc<Semaphore>,
    /// Its place among those that begin, and then among those that are known.
    held: Mutex<OwnedSemaphorePermit>,
}

impl Connection {
    /// The sessions of its users.
    pub(super) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// A call has proved who calls: the connection takes a place.
    ///
    /// # Errors
    /// There is none. There may be one when the client calls again, while it is not closed.
    pub(super) fn enter(&self) -> Result<(), Status> {
        let State { known, places, held, .. } = &*self.0;
        if known.load(Ordering::Relaxed) {
            return Ok(());
        }
        // A permit is whole at all times, also after a panic.
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.load(Ordering::Relaxed) {
            let place = Arc::clone(places).try_acquire_owned();
            *held = place.map_err(|_| {
                Status::resource_exhausted("sorry, too many clients already: the server's --max-connections is reached")
            })?;
            known.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Accepts connections until the server stops.
pub(super) fn accept(
    shared: &Arc<Shared>,
    tls: Option<Arc<ServerConfig>>,
    listener: TcpListener,
) -> impl Stream<Item = io::Result<Socket>> + use<> {
    let (sender, receiver) = mpsc::channel(1);
    let (limits, mut phase) = (shared.options.limits, shared.phase.clone());
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let starting = Arc::new(Semaphore::new(limits.max_connections + STARTING));
    let tls = tls.map(TlsAcceptor::from);
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = reached(&mut phase, Phase::Draining) => return,
            };
            let Ok((stream, _)) = accepted else {
                sleep(EXHAUSTED).await;
                continue;
            };
            // Who floods the server with half of a handshake is not answered.
            let Ok(held) = Arc::clone(&starting).try_acquire_owned() else { continue };
            let (places, sender, tls) = (Arc::clone(&places), sender.clone(), tls.clone());
            let time = limits.startup_timeout;
            tokio::spawn(async move {
                let known = AtomicBool::new(false);
                let state = State { sessions: Sessions::default(), known, places, held: Mutex::new(held) };
                if let Ok(Ok(socket)) = timeout(time, Socket::open(stream, tls, state, time)).await {
                    // Nobody takes it any more once the server has stopped.
                    let _ = sender.send(Ok(socket)).await;
                }
            });
        }
    });
    futures::stream::unfold(
        receiver,
        |mut receiver| async move { receiver.recv().await.map(|socket| (socket, receiver)) },
    )
}

/// A connection's bytes.
pub(super) struct Socket {
    stream: Bytes,
    connection: Connection,
    /// When the client must be known.
    deadline: Option<Pin<Box<Sleep>>>,
}

enum Bytes {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl Socket {
    async fn open(stream: TcpStream, tls: Option<TlsAcceptor>, state: State, time: Duration) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let stream = match tls {
            Some(tls) => Bytes::Encrypted(Box::new(tls.accept(stream).await?)),
            None => Bytes::Plain(stream),
        };
        Ok(Self { stream, connection: Connection(Arc::new(state)), deadline: Some(Box::pin(sleep(time))) })
    }

    /// Fails once it takes the client too long to be known.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.connection.0.known.load(Ordering::Relaxed) {
            self.deadline = None;
        }
        let over = self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(context).is_ready());
        if over { Err(ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl Connected for Socket {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        self.connection.clone()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        match &mut self.stream {
            Bytes::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Bytes::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Bytes::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Bytes::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Bytes::Plain(stream) => Pin::new(stream).poll_flush(context),
            Bytes::Encrypted(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Bytes::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Bytes::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
