//! A server that is told to stop answers what it has begun.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Server, TOKEN};
use crate::server::http::options::HttpOptions;

/// A connection with a request of the slow model on it, which has begun.
async fn begun(server: &Server) -> TcpStream {
    let body = json!({"model": "slow", "input": "a"}).to_string();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /v1/embed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
    while !server.get("/metrics").await.text().contains("debut_model_batch_rows_count{model=\"slow@1\"} 1") {}
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn running_requests_finish() {
    let server = Server::start().await;
    let mut stream = begun(&server).await;
    let (address, at) = (server.address, Instant::now());
    server.stop().await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(Answer::parse(&answer).status, 200);
    assert!(at.elapsed() < Duration::from_secs(10));
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_too_long_is_cut_off() {
    let server = Server::with(HttpOptions { shutdown_timeout: Duration::ZERO, ..HttpOptions::default() }).await;
    let mut stream = begun(&server).await;
    // A connection without a request does not keep the server either.
    let _idle = TcpStream::connect(server.address).await.unwrap();
    server.stop().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
}
