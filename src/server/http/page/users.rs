//! `POST /v1/page/users` and `/v1/page/history`: customers, and what one of them has.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shown::page;
use crate::server::http::body;
use crate::server::http::error::{ErrorAnswer, Result};
use crate::server::http::sessions::Query;
use crate::server::http::state::HttpState;
use crate::server::http::values::json_object;

/// Whom to look for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PageUsersRequest {
    /// The beginning of an id; without it, those with the most interactions come first.
    query: Option<String>,
    /// Most users.
    #[schema(minimum = 1)]
    k: u32,
}

/// Users.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct PageUsersAnswer {
    /// The shortest ids first, then those with the most interactions.
    users: Vec<PageUser>,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
struct PageUser {
    /// The id, as a text.
    user_id: String,
    /// Rows of `interactions`.
    interactions: i64,
}

/// Searches the users of the page.
#[utoipa::path(post, path = "/v1/page/users", request_body = PageUsersRequest, responses(
    (status = 200, body = PageUsersAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn users(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let page = page(&state)?;
    let PageUsersRequest { query: beginning, k } = body::json(&state.options, request).await?;
    let mut query = Query::new(
        "SELECT CAST(interactions.user_id AS VARCHAR) AS user_id, count(*) AS interactions FROM interactions",
    )
    .on(page);
    query.text(" WHERE interactions.user_id IS NOT NULL");
    let beginning = beginning.unwrap_or_default();
    if !beginning.trim().is_empty() {
        query.text(" AND starts_with(CAST(interactions.user_id AS VARCHAR), $beginning)");
        query.bind_text("beginning", beginning.trim())?;
    }
    query.text(" GROUP BY interactions.user_id ORDER BY ");
    if !beginning.trim().is_empty() {
        query.text("length(user_id), ");
    }
    query.text("interactions DESC, user_id LIMIT $k");
    query.bind("k", k)?;
    Ok(json_object([("users", query.run(&state).await?)]))
}

/// Whose history to tell.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PageHistoryRequest {
    /// Whose, as a text.
    user_id: String,
    /// Most items.
    #[schema(minimum = 1)]
    k: u32,
}

/// What a user has.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct PageHistoryAnswer {
    /// The latest first.
    items: Vec<PageHistoryItem>,
}

/// An item that a user has.
#[derive(Debug, Serialize, ToSchema)]
struct PageHistoryItem {
    /// Its id, as a text.
    item_id: String,
    /// Its text, if it is still in the catalogue.
    text: Option<String>,
    /// The last day on which the user chose it, as `2026-11-30`.
    day: Option<String>,
}

/// Tells what a user has.
#[utoipa::path(post, path = "/v1/page/history", request_body = PageHistoryRequest, responses(
    (status = 200, body = PageHistoryAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn history(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let page = page(&state)?;
    let PageHistoryRequest { user_id, k } = body::json(&state.options, request).await?;
    let mut query = Query::new("SELECT CAST(chosen.item_id AS VARCHAR) AS item_id, items.text, ").on(page);
    query.text(match page.has_times {
        true => "CAST(CAST(chosen.at AS DATE) AS VARCHAR) AS day FROM (SELECT item_id, max(timestamp) AS at",
        false => "NULL AS day FROM (SELECT item_id, NULL AS at",
    });
    query.text(
        " FROM interactions WHERE user_id = $user AND item_id IS NOT NULL GROUP BY item_id) AS chosen \
         LEFT JOIN items ON items.item_id = chosen.item_id ORDER BY chosen.at DESC NULLS LAST, item_id LIMIT $k",
    );
    query.bind_id("user", &page.user(&user_id)?)?;
    query.bind("k", k)?;
    Ok(json_object([("items", query.run(&state).await?)]))
}
