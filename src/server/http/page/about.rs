//! `GET /v1/page`: what the page shows, and of which model.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::shown::page;
use crate::server::http::error::{ErrorAnswer, Result};
use crate::server::http::state::HttpState;
use crate::server::http::values::json;

/// What the page shows.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct AboutAnswer {
    /// `name@version` of the recommender.
    model: String,
    /// The type of users' ids: `integer` or `text`. On the page all ids are texts; `/v1/feedback` takes them as they are.
    user_ids: String,
    /// The type of items' ids.
    item_ids: String,
    /// Whether `/v1/feedback` keeps what it is told.
    feedback: bool,
}

/// Says what the page shows.
#[utoipa::path(get, path = "/v1/page", responses(
    (status = 200, body = AboutAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn about(State(state): State<Arc<HttpState>>) -> Result<Response> {
    let page = page(&state)?;
    json(&AboutAnswer {
        model: page.model_in_use(&state).await?,
        user_ids: page.ids.user.to_string(),
        item_ids: page.ids.item.to_string(),
        feedback: state.feedback.is_some(),
    })
}
