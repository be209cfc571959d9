//! Connections: takes a listener; serves each connection it gives until the server is told to stop, and then lets the
//! requests that run end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::metrics::Held;
use super::router;
use super::stall::Stalling;
use super::state::HttpState;

/// After a failure to accept, such as too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The answer to a connection that is one too many, before anything of it is read.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 109\r\n\r\n{\"error\":{\"message\":\"too many connections\",\"type\":\"server_error\",\"param\":null,\"code\":\"too_many_connections\"}}";

/// Serves until `shutdown` ends; then nothing new is taken, requests that run end or are cut off after
/// [`shutdown_timeout`](super::options::HttpOptions::shutdown_timeout), and what was acknowledged is on the disk.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    state: Arc<HttpState>,
    shutdown: impl Future<Output = ()>,
) {
    let tls = tls.map(TlsAcceptor::from);
    let routes = router(Arc::clone(&state));
    let places = Arc::new(Semaphore::new(state.options.max_connections));
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
            // Those that have ended are let go.
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        // Answers are small and written at once.
        let _ = stream.set_nodelay(true);
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            connections.spawn(refuse(stream, state.options.read_timeout));
            continue;
        };
        let service = TowerToHyperService::new(routes.clone());
        let (state, stopped, tls) = (Arc::clone(&state), stopped.clone(), tls.clone());
        connections.spawn(async move {
            let _place = place;
            let _open = Held::of(&state.metrics.connections);
            let time = state.options.read_timeout;
            let stream = Stalling::new(stream, time);
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(time);
            let Some(tls) = tls else {
                return run(http.serve_connection(TokioIo::new(stream), service), stopped).await;
            };
            // Who speaks no TLS, or takes too long, is not answered.
            if let Ok(Ok(stream)) = tokio::time::timeout(time, tls.accept(stream)).await {
                run(http.serve_connection(TokioIo::new(stream), service), stopped).await;
            }
        });
    }
    drop(listener);
    state.stop();
    // Connections that have ended do not listen.
    let _ = stop.send(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(state.options.shutdown_timeout, ended).await.is_err() {
        connections.shutdown().await;
    }
}

/// Serves a connection until it ends, or, once the server stops, until its request is answered.
async fn run<I, S, B>(connection: http1::Connection<I, S>, mut stopped: watch::Receiver<bool>)
where
    http1::Connection<I, S>: Future<Output = hyper::Result<()>>,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { drop(stopped.wait_for(|stopped| *stopped).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn refuse(mut stream: impl AsyncRead + AsyncWrite + Unpin, timeout: Duration) {
    let answer = async {
        stream.write_all(BUSY).await?;
        stream.shutdown().await
    };
    // Who does not read the refusal is not waited for.
    let _ = tokio::time::timeout(timeout, answer).await;
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let text = String::from_utf8_lossy(super::BUSY);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", body.len()))
                || head.ends_with(&format!("Content-Length: {}", body.len())),
            "{}",
            body.len()
        );
    }
}
