//! `POST /v1/page/explain`: why a customer is recommended an item, as SQL's `explain_recommendation` tells it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::customer::PageCustomer;
use super::shown::page;
use crate::server::http::body;
use crate::server::http::error::{ErrorAnswer, Result};
use crate::server::http::sessions::Query;
use crate::server::http::state::HttpState;
use crate::server::http::values::json_object;

/// What to explain to whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PageExplainRequest {
    /// For whom it is recommended.
    customer: PageCustomer,
    /// What is recommended: an item of the page, as a text.
    item_id: String,
    /// Most purchases, and most words.
    #[schema(minimum = 1, maximum = 1000)]
    k: u32,
}

/// Reasons.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct PageExplainAnswer {
    /// Those of each kind together, the largest first.
    rows: Vec<PageReason>,
}

/// A reason.
#[derive(Debug, Serialize, ToSchema)]
struct PageReason {
    /// `component`, `purchase` or `word`.
    kind: String,
    /// The component, the id of the purchased item, or the word.
    feature: String,
    /// What it is, in words.
    description: Option<String>,
    /// What it adds to ln(score / (1 - score)); those of the components add up to it.
    attribution: f32,
    /// What the list is ordered by.
    score: f32,
}

/// Explains an item of the page.
#[utoipa::path(post, path = "/v1/page/explain", request_body = PageExplainRequest, responses(
    (status = 200, body = PageExplainAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn explain(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let page = page(&state)?;
    let PageExplainRequest { customer, item_id, k } = body::json(&state.options, request).await?;
    let model = page.model_in_use(&state).await?;
    let mut query = Query::new(
        "SELECT kind, feature, description, attribution, score FROM explain_recommendation(model => $model, k => $k",
    )
    .on(page);
    query.bind_text("model", &model)?;
    query.bind("k", k)?;
    page.one_item(&mut query, &item_id)?;
    customer.arguments(page, &mut query, state.options.max_rows)?;
    query.text(") ORDER BY kind, attribution DESC, feature");
    Ok(json_object([("rows", query.run(&state).await?)]))
}
