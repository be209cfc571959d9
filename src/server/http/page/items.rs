//! `POST /v1/page/items`: the catalogue, searched by words.

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

/// What to look for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PageItemsRequest {
    /// Words; without any, the latest launches come first.
    query: Option<String>,
    /// Most items.
    #[schema(minimum = 1)]
    k: u32,
}

/// Items.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct PageItemsAnswer {
    /// Best first.
    items: Vec<PageItem>,
}

/// An item.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PageItem {
    /// Its id, as a text.
    item_id: String,
    /// Its text.
    text: Option<String>,
    /// Its price.
    price: Option<f64>,
    /// The day of its launch, as `2026-11-30`.
    launched_at: Option<String>,
}

/// Searches the items of the page, by their words and by their meaning.
#[utoipa::path(post, path = "/v1/page/items", request_body = PageItemsRequest, responses(
    (status = 200, body = PageItemsAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn items(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let page = page(&state)?;
    let PageItemsRequest { query: words, k } = body::json(&state.options, request).await?;
    let mut query = Query::new("SELECT ").on(page);
    page.shown(&mut query);
    match words.as_deref().map(str::trim).filter(|words| !words.is_empty()) {
        Some(words) => {
            // A column of vectors is searched where there is one; else the texts are embedded, and kept.
            query.text(" FROM hybrid_search('items', $words, $k, 'text') AS items ORDER BY items.score DESC, item_id");
            query.bind_text("words", words)?;
        }
        None => {
            query.text(" FROM items ORDER BY ");
            query.text(if page.has_launches() { "launched_at DESC NULLS LAST, " } else { "" });
            query.text("item_id LIMIT $k");
        }
    }
    query.bind("k", k)?;
    Ok(json_object([("items", query.run(&state).await?)]))
}
