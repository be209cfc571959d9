//! A connection's bytes: takes a socket, plain or TLS; gives whole messages, and sends what was appended to `output`.
//!
//! Nothing here waits for both directions at once: [`Wire::watch`] reads ahead while a statement runs, so that a client who
//! goes away is noticed, and every method can be dropped at an await and called again without a byte being lost.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::error::PgError;
use super::frontend::{self, Message, Opening};

/// As much is read ahead of a statement that runs; more stays in the socket.
const READ_AHEAD: usize = 64 << 10;
/// An empty buffer keeps no more than this.
const KEPT: usize = 16 << 10;
/// The least room for a read.
const READ: usize = 4 << 10;

/// A socket of a client.
#[derive(Debug)]
pub(super) enum Socket {
    /// As it came.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(socket) => Pin::new(socket).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }
}

/// Why a connection cannot go on.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client has gone.
    Gone,
    /// The client has sent what is no message; it is to be told.
    Malformed(PgError),
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        // A reset, a time-out of TCP, a TLS alert: the client cannot be told anything any more.
        Self::Gone
    }
}

impl From<PgError> for Broken {
    fn from(error: PgError) -> Self {
        Self::Malformed(error)
    }
}

/// The bytes of a connection.
#[derive(Debug)]
pub(super) struct Wire<S = Socket> {
    reader: ReadHalf<S>,
    input: BytesMut,
    writer: WriteHalf<S>,
    /// Messages that are not sent yet.
    pub(super) output: BytesMut,
}

impl<S: AsyncRead + AsyncWrite> Wire<S> {
    /// A connection of which nothing was read.
    pub(super) fn new(socket: S) -> Self {
        let (reader, writer) = tokio::io::split(socket);
        Self { reader, input: BytesMut::new(), writer, output: BytesMut::new() }
    }

    /// The socket again, if nothing was read that was not used.
    pub(super) fn into_socket(self) -> Option<S>
    where
        S: Unpin,
    {
        self.input.is_empty().then(|| self.reader.unsplit(self.writer))
    }

    /// The first message of the connection.
    pub(super) async fn opening(&mut self) -> Result<Opening, Broken> {
        loop {
            if let Some(opening) = frontend::opening(&mut self.input)? {
                return Ok(opening);
            }
            self.read().await?;
        }
    }

    /// The next message of the session.
    pub(super) async fn message(&mut self, longest: usize) -> Result<Message, Broken> {
        loop {
            if let Some(message) = frontend::message(&mut self.input, longest)? {
                if self.input.is_empty() && self.input.capacity() > KEPT {
                    self.input = BytesMut::new();
                }
                return Ok(message);
            }
            self.read().await?;
        }
    }

    /// Returns when the client has gone, and never otherwise. What it sends meanwhile is kept.
    pub(super) async fn watch(&mut self) {
        watch(&mut self.reader, &mut self.input).await;
    }

    /// Sends what was appended to the output. Returns when the client has gone, too.
    pub(super) async fn send(&mut self) -> Result<(), Broken> {
        let Self { reader, input, writer, output } = self;
        tokio::select! {
            biased;
            sent = send(writer, output) => sent,
            () = watch(reader, input) => Err(Broken::Gone),
        }
    }

    /// Sends what was appended and says that nothing follows.
    pub(super) async fn close(&mut self) -> Result<(), Broken> {
        send(&mut self.writer, &mut self.output).await?;
        Ok(self.writer.shutdown().await?)
    }

    async fn read(&mut self) -> Result<(), Broken> {
        self.input.reserve(READ);
        match self.reader.read_buf(&mut self.input).await? {
            0 => Err(Broken::Gone),
            _ => Ok(()),
        }
    }
}

async fn send<S: AsyncWrite>(writer: &mut WriteHalf<S>, output: &mut BytesMut) -> Result<(), Broken> {
    while output.has_remaining() {
        writer.write_buf(output).await?;
    }
    if output.capacity() > KEPT {
        *output = BytesMut::new();
    }
    Ok(writer.flush().await?)
}

async fn watch<S: AsyncRead>(reader: &mut ReadHalf<S>, input: &mut BytesMut) {
    while input.len() < READ_AHEAD {
        input.reserve(READ);
        if matches!(reader.read_buf(input).await, Ok(0) | Err(_)) {
            return;
        }
    }
    std::future::pending().await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn who_goes_away_is_noticed_and_what_was_sent_is_kept() {
        let (mut client, server) = tokio::io::duplex(1000);
        let mut wire = Wire::new(server);
        client.write_all(b"Q\0\0\0\x06a\0").await.unwrap();
        assert!(timeout(Duration::from_millis(20), wire.watch()).await.is_err());
        assert_eq!(wire.message(100).await.unwrap(), Message::Query("a".into()));
        drop(client);
        timeout(Duration::from_secs(5), wire.watch()).await.unwrap();
        assert!(matches!(wire.message(100).await, Err(Broken::Gone)));
    }

    #[tokio::test]
    async fn who_does_not_read_is_waited_for_until_it_goes() {
        let (client, server) = tokio::io::duplex(10);
        let mut wire = Wire::new(server);
        wire.output.extend_from_slice(&[1; 100]);
        assert!(timeout(Duration::from_millis(20), wire.send()).await.is_err());
        drop(client);
        assert!(timeout(Duration::from_secs(5), wire.send()).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_send_that_was_dropped_goes_on_where_it_stopped() {
        let (mut client, server) = tokio::io::duplex(10);
        let mut wire = Wire::new(server);
        let bytes: Vec<u8> = (0..100).collect();
        wire.output.extend_from_slice(&bytes);
        let reading = tokio::spawn(async move {
            let mut read = vec![0; 100];
            client.read_exact(&mut read).await.unwrap();
            read
        });
        while timeout(Duration::from_millis(1), wire.send()).await.is_err() {}
        assert_eq!(reading.await.unwrap(), bytes);
    }
}
