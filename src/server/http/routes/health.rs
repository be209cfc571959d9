//! `GET /health`, `GET /ready` and `GET /metrics`: for load balancers and Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::server::http::error::{ApiError, ErrorAnswer, Result};
use crate::server::http::metrics::{process, text};
use crate::server::http::state::{HttpState, Readiness};
use crate::server::http::values::json;

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct HealthAnswer {
    /// `ok`, or `ready`.
    status: &'static str,
    /// The version of Debut.
    version: &'static str,
}

fn is(status: &'static str) -> Result<Response> {
    json(&HealthAnswer { status, version: env!("CARGO_PKG_VERSION") })
}

/// Whether the process answers.
#[utoipa::path(get, path = "/health", responses((status = 200, body = HealthAnswer)))]
pub(in super::super) async fn health() -> Result<Response> {
    is("ok")
}

/// Whether the default model is loaded. Nothing is begun by asking: the server loads it when it starts.
#[utoipa::path(get, path = "/ready", responses(
    (status = 200, body = HealthAnswer),
    (status = 503, body = ErrorAnswer),
))]
pub(in super::super) async fn ready(State(state): State<Arc<HttpState>>) -> Result<Response> {
    let unready = |message: String| Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message));
    match state.readiness() {
        Readiness::Ready => is("ready"),
        Readiness::Loading => {
            unready("the default model is being loaded, and is fetched before if it is not installed".to_owned())
        }
        // Who asks has no token: what is wrong, and where, stands in the log.
        Readiness::Failed(_) => unready("the default model could not be loaded, and is tried again".to_owned()),
        Readiness::Stopping => unready("the server ends".to_owned()),
    }
}

/// The counters of the server, in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", responses(
    (status = 200, body = String, content_type = "text/plain"),
    (status = 401, body = ErrorAnswer),
))]
pub(in super::super) async fn metrics(State(state): State<Arc<HttpState>>) -> Response {
    let mut gauges = vec![
        ("debut_queue_rows", "Rows that wait for any model.", state.batchers.queued_rows()),
        (
            "debut_http_body_bytes",
            "Bytes of the bodies of requests that are being answered.",
            state.bodies.held() as u64,
        ),
        ("debut_memory_pool_bytes", "Bytes that queries hold.", state.pool.reserved() as u64),
    ];
    if let Some(bytes) = process::resident_bytes() {
        gauges.push(("process_resident_memory_bytes", "Resident memory of the process.", bytes));
    }
    let text = text::write(&state.metrics, &gauges);
    ([(CONTENT_TYPE, text::CONTENT_TYPE)], text).into_response()
}
