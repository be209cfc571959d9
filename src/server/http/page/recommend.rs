//! `POST /v1/page/recommend`: one customer's list, with the purchases that speak for it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::customer::PageCustomer;
use super::shown::page;
use crate::server::http::body;
use crate::server::http::error::{ErrorAnswer, Result};
use crate::server::http::sessions::{Query, Table};
use crate::server::http::state::HttpState;
use crate::server::http::values::{json_bytes, json_object};

/// For whom to recommend what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PageRecommendRequest {
    /// For whom.
    customer: PageCustomer,
    /// Whether to recommend new items only.
    only_new: bool,
    /// Most items.
    #[schema(minimum = 1)]
    k: u32,
}

/// A list.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct PageRecommendAnswer {
    /// `name@version` of the recommender.
    model: String,
    /// Best first.
    rows: Vec<PageRecommendation>,
    /// What speaks for them, in the order of the list.
    purchases: Vec<PagePurchase>,
}

/// An item of the list.
#[derive(Debug, Serialize, ToSchema)]
struct PageRecommendation {
    /// Its id, as a text.
    item_id: String,
    /// Its text.
    text: Option<String>,
    /// Its price.
    price: Option<f64>,
    /// The day of its launch, as `2026-11-30`.
    launched_at: Option<String>,
    /// Its place in the list, from 1.
    rank: i64,
    /// The probability that the customer buys the item.
    probability: f32,
    /// Whether the item is new.
    is_new: bool,
    /// The probability that the item is in the list: to be sent with the feedback.
    propensity: f32,
}

/// An item of the customer's history that speaks for an item of the list.
#[derive(Debug, Serialize, ToSchema)]
struct PagePurchase {
    /// The item of the list.
    rank: i64,
    /// The item of the history, as a text.
    item_id: String,
    /// Its text, if it is still in the catalogue.
    text: Option<String>,
    /// What it adds to ln(score / (1 - score)).
    attribution: f32,
}

/// Recommends items of the page.
#[utoipa::path(post, path = "/v1/page/recommend", request_body = PageRecommendRequest, responses(
    (status = 200, body = PageRecommendAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn recommend(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let page = page(&state)?;
    let PageRecommendRequest { customer, only_new, k } = body::json(&state.options, request).await?;
    let model = page.model_in_use(&state).await?;
    let mut list =
        Query::new("SELECT * FROM recommend(model => $model, explain => true, k => $k, only_new => $only_new").on(page);
    list.bind_text("model", &model)?;
    list.bind("k", k)?;
    list.bind("only_new", only_new)?;
    list.text(", items => (SELECT ");
    page.read(&mut list);
    list.text(" FROM items)");
    customer.arguments(page, &mut list, state.options.max_rows)?;
    list.text(")");
    let list = list.rows(&state).await?;
    let mut rows = Query::new("SELECT ").on(page);
    page.shown(&mut rows);
    rows.text(
        ", list.rank, list.probability, list.is_new, list.propensity \
         FROM list JOIN items ON items.item_id = list.item_id ORDER BY list.rank",
    );
    rows.table("list", Table::Rows(list.clone()));
    let mut purchases = Query::new(
        "SELECT rank, CAST(purchase['item_id'] AS VARCHAR) AS item_id, items.text, purchase['attribution'] AS attribution \
         FROM (SELECT rank, unnest(purchases) AS purchase FROM list) AS reasons \
         LEFT JOIN items ON items.item_id = purchase['item_id'] ORDER BY rank, attribution DESC",
    )
    .on(page);
    purchases.table("list", Table::Rows(list));
    Ok(json_object([
        ("model", json_bytes(&model)?),
        ("rows", rows.run(&state).await?),
        ("purchases", purchases.run(&state).await?),
    ]))
}
