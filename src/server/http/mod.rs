//! JSON over HTTP: takes a listener and the engine; answers requests until it is told to stop.
//!
//! # The way of a request
//! ```text
//! listen: connection -> guard: user, deadline, counters -> routes: body -> work -> answer
//!                                                                     |
//!         batching: embed, score, classify, predict -------------------+
//!         sessions: recommend, search (SQL with bound values) ---------+
//!         feedback: events to Parquet ---------------------------------+
//! ```
//! - [`options`]: limits; [`auth`]: who asks; [`error`]: what a client is told when something goes wrong
//! - `listen`: connections, and how they end; `stall`: a client that stops reading; `guard`: what holds for every route
//! - `body`: JSON as values, and `bodies`: what all of them hold; `values`: those that several routes read
//! - `page`: what browsers see, and the routes that it asks; `page_file`: the SQL that says what it shows
//! - `routes`: one file per route; `openapi`: all of them as a document
//! - `batching`: rows of many requests in one call of a model; `sessions`: SQL; `feedback`: what was shown and what came of it
//! - `metrics`: what `/metrics` tells

pub mod auth;
mod batching;
mod bodies;
mod body;
pub mod error;
pub mod feedback;
mod guard;
mod listen;
mod metrics;
mod openapi;
pub mod options;
mod page;
mod page_file;
mod routes;
mod sessions;
mod stall;
mod state;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

pub use listen::serve;
pub use openapi::document;
pub use state::{HttpEngine, HttpState, StartError};

use super::options::HttpLimits;
use super::shared::Shared;
use auth::Tokens;
use options::{BatchingOptions, HttpOptions};

/// The protocol's name where TLS negotiates one.
pub(super) const PROTOCOL: &[u8] = b"http/1.1";

/// What answers requests, over what all servers share.
///
/// # Errors
/// No session can be opened, the folder of feedback cannot be written, or the page cannot be shown.
pub(super) async fn open(shared: &Arc<Shared>) -> Result<Arc<HttpState>, StartError> {
    let defaults = HttpOptions::default();
    let limits = shared.options.limits;
    let HttpLimits { max_body, max_rows, latency_budget, max_queue } = shared.options.http_limits;
    let options = HttpOptions {
        max_body,
        max_bodies: max_body.saturating_mul(HttpLimits::BODIES),
        max_rows,
        deadline: limits.statement_timeout.unwrap_or(defaults.deadline),
        read_timeout: limits.startup_timeout,
        max_connections: limits.max_connections,
        shutdown_timeout: limits.shutdown_timeout,
        batching: BatchingOptions { latency_budget, max_queued_rows: max_queue, ..defaults.batching },
        feedback: shared.options.feedback.clone(),
        page: shared.options.page.clone(),
    };
    let sessions = Arc::clone(shared);
    let engine = HttpEngine {
        open_session: Box::new(move || sessions.open_session()),
        provider: Arc::clone(shared.engine.provider()),
        threads: shared.compute.threads().clone(),
    };
    HttpState::open(engine, Arc::new(Tokens(shared.users.clone())), options).await
}

/// All routes.
pub fn router(state: Arc<HttpState>) -> Router {
    Router::new()
        .route("/v1/embed", post(routes::embed::embed))
        .route("/v1/embeddings", post(routes::embeddings::embeddings))
        .route("/v1/score", post(routes::score::score))
        .route("/v1/classify", post(routes::predict::classify))
        .route("/v1/predict", post(routes::predict::predict))
        .route("/v1/recommend", post(routes::recommend::recommend))
        .route("/v1/search", post(routes::search::search))
        .route("/v1/feedback", post(routes::feedback::feedback))
        .route("/health", get(routes::health::health))
        .route("/ready", get(routes::health::ready))
        .route("/metrics", get(routes::health::metrics))
        .route("/openapi.json", get(openapi::openapi))
        .merge(page::routes())
        .fallback(guard::unknown_route)
        .method_not_allowed_fallback(guard::wrong_method)
        .layer(from_fn_with_state(Arc::clone(&state), guard::guard))
        .with_state(state)
}
