//! A client of HTTP that keeps its connection: takes requests; reads their answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::Result;

/// A request that is made ready before the clock runs.
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// A text to embed.
    pub(crate) fn embed(text: &str) -> Self {
        Self::new("/v1/embed", &json!({"input": [text]}))
    }

    /// Items to score for a query.
    pub(crate) fn score(query: &str, items: &[String]) -> Self {
        Self::new("/v1/score", &json!({"query": query, "items": items}))
    }

    fn new(path: &str, body: &Value) -> Self {
        let body = body.to_string();
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        Self { bytes: [head, body].concat().into_bytes() }
    }
}

/// A connection that is kept.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// The answer's status is not 200.
    pub(crate) fn post(&mut self, request: &Request) -> Result<()> {
        self.0.get_mut().write_all(&request.bytes)?;
        let mut status = String::new();
        self.0.read_line(&mut status)?;
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer)?;
        if !status.starts_with("HTTP/1.1 200") {
            return Err(format!("{}: {}", status.trim(), String::from_utf8_lossy(&answer)).into());
        }
        Ok(())
    }
}
