//! `POST /v1/feedback`: what was shown and what came of it, kept for the next training and for `evaluate`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::server::http::body;
use crate::server::http::error::{ApiError, ErrorAnswer, Result};
use crate::server::http::feedback::Receipt;
use crate::server::http::feedback::event::{Event, Events};
use crate::server::http::state::HttpState;
use crate::server::http::values::{at_most, json};

/// The header that makes it safe to send a request again.
const KEY: &str = "idempotency-key";

/// Longest key, in bytes.
const LONGEST_KEY: usize = 255;

/// Events.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct FeedbackRequest {
    /// The events: all are kept, or none.
    #[schema(min_items = 1)]
    events: Vec<Event>,
}

/// That the events are on the disk.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct FeedbackAnswer {
    /// Number of events of the request.
    accepted: usize,
    /// Whether they were there already, from a request with the same `Idempotency-Key`.
    repeated: bool,
}

/// Keeps events.
#[utoipa::path(post, path = "/v1/feedback", request_body = FeedbackRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "A text that no other request has, up to 255 bytes: \
        a request that is sent again with it is kept once")),
    responses(
        (status = 200, body = FeedbackAnswer),
        (status = "4XX", body = ErrorAnswer),
        (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn feedback(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let Some(log) = &state.feedback else {
        let message = "this server keeps no feedback: start it with a folder for it";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "no_feedback", message));
    };
    let key = key(request.headers())?;
    let FeedbackRequest { events } = body::json(&state.options, request).await?;
    if events.is_empty() {
        return Err(ApiError::field("events", "there are none"));
    }
    at_most("events", events.len(), state.options.max_rows)?;
    let events = Events::check(events)?;
    let accepted = events.len();
    let receipt = log.append(events, key).await?;
    json(&FeedbackAnswer { accepted, repeated: receipt == Receipt::Known })
}

fn key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get(KEY) else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.trim().is_empty() && key.len() <= LONGEST_KEY => Ok(Some(key.trim().to_owned())),
        _ => {
            let message = format!("Idempotency-Key is a text of 1 to {LONGEST_KEY} visible ASCII characters");
            Err(ApiError::new(StatusCode::BAD_REQUEST, "invalid_key", message))
        }
    }
}
