//! What holds for every route: only users are answered, within the deadline, and every answer is counted.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use super::error::ApiError;
use super::metrics::Held;
use super::page;
use super::state::HttpState;

/// What a load balancer asks for has no token.
const OPEN: [&str; 2] = ["/health", "/ready"];

/// Answers a request by `next`, if its client may ask.
pub(super) async fn guard(State(state): State<Arc<HttpState>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let _running = Held::of(&state.metrics.running);
    // Paths that nobody serves are counted as one: clients choose them.
    let route = request.extensions().get::<MatchedPath>().map_or("other", |path| path.as_str()).to_owned();
    let denied = match OPEN.contains(&route.as_str()) || page::is_file(&route) {
        true => None,
        false => state.users.authenticate(request.headers()).await.err(),
    };
    let response = match denied {
        Some(denied) => denied.into_response(),
        None => answer(&state, request, next).await,
    };
    state.metrics.answered(&route, response.status().as_u16(), begun.elapsed());
    response
}

async fn answer(state: &HttpState, mut request: Request, next: Next) -> Response {
    // Counted until there is an answer: what a body says is held as long.
    let share = Arc::new(state.bodies.share());
    request.extensions_mut().insert(Arc::clone(&share));
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(state.options.deadline, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => ApiError::internal(&"a request panicked").into_response(),
        Err(_) => {
            let seconds = state.options.deadline.as_secs_f64();
            let message = format!("there was no answer within {seconds} s; nothing is computed any more");
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "deadline", message).into_response()
        }
    }
}

/// Nothing is served at this path.
pub(super) async fn unknown_route() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_route", "nothing is served here; /openapi.json lists what is")
}

/// The path is served, by another method.
pub(super) async fn wrong_method() -> ApiError {
    let message = "this path is served by another method; /openapi.json lists which";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message)
}
