//! How the HTTP server is run: limits of requests, of batches and of connections, and where feedback goes.

use std::path::PathBuf;
use std::time::Duration;

use crate::server::options::HttpLimits;

/// The options of the HTTP server.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Longest body of a request, in bytes.
    pub max_body: usize,
    /// Most bytes of the bodies of all requests that are being answered; who comes then is told to come back.
    pub max_bodies: usize,
    /// Most texts, pairs, rows or events in a request.
    pub max_rows: usize,
    /// Longest time from the head of a request to its answer.
    pub deadline: Duration,
    /// Longest time in which the head of a request, and then its body, must have come, and in which some of an answer must
    /// have been taken.
    pub read_timeout: Duration,
    /// Connections at a time; who comes then is told to come back.
    pub max_connections: usize,
    /// How long running requests may go on after the server was told to stop.
    pub shutdown_timeout: Duration,
    /// How requests are put together.
    pub batching: BatchingOptions,
    /// The folder that feedback is appended to; without one, `/v1/feedback` says so.
    pub feedback: Option<PathBuf>,
    /// The file of SQL that says what the page shows; without one, the page says so.
    pub page: Option<PathBuf>,
}

/// How requests of several clients become one call of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchingOptions {
    /// How long a request may wait for others while the model is free; none waits where requests come one after the other.
    pub latency_budget: Duration,
    /// Most requests in one call of a model; 1 to put none together.
    pub max_requests: usize,
    /// Most rows in one call of a model.
    pub max_rows: usize,
    /// Most rows that wait for one model; who comes then is told to come back.
    pub max_queued_rows: usize,
    /// Most bytes of text that wait for one model.
    pub max_queued_bytes: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        let HttpLimits { max_body, max_rows, .. } = HttpLimits::default();
        Self {
            max_body,
            max_bodies: max_body.saturating_mul(HttpLimits::BODIES),
            max_rows,
            deadline: Duration::from_secs(30),
            read_timeout: Duration::from_secs(10),
            max_connections: 500,
            shutdown_timeout: Duration::from_secs(30),
            batching: BatchingOptions::default(),
            feedback: None,
            page: None,
        }
    }
}

impl Default for BatchingOptions {
    fn default() -> Self {
        let HttpLimits { latency_budget, max_queue, .. } = HttpLimits::default();
        Self {
            latency_budget,
            max_requests: usize::MAX,
            max_rows: 64,
            max_queued_rows: max_queue,
            max_queued_bytes: 64 << 20,
        }
    }
}
