//! `POST /v1/page/audience` and `/v1/page/words`: who will buy an item, what they have, and what the words of its text do.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use debut_udfs::ids::IdType;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shown::page;
use crate::server::http::body;
use crate::server::http::error::{ApiError, ErrorAnswer, Result};
use crate::server::http::page_file::Page;
use crate::server::http::sessions::{Query, Table};
use crate::server::http::state::HttpState;
use crate::server::http::values::{Id, json_bytes, json_object};

/// Whose audience to tell: `item_id`, or the `text` of an item that does not exist yet.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PageAudienceRequest {
    /// An item of the page, as a text.
    item_id: Option<String>,
    /// The text of an item that does not exist yet.
    text: Option<String>,
    /// Most users, and most items that they have.
    #[schema(minimum = 1)]
    k: u32,
}

/// An audience.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct PageAudienceAnswer {
    /// `name@version` of the recommender.
    model: String,
    /// One row: all users together.
    all: Vec<PageAudience>,
    /// The most likely buyers, best first.
    users: Vec<PageBuyer>,
    /// What the likeliest tenth of the users has more often than all users have, by the difference of the shares.
    items: Vec<PageFavourite>,
}

/// All users together.
#[derive(Debug, Serialize, ToSchema)]
struct PageAudience {
    /// How many do not have the item.
    users: i64,
    /// How many of them will buy it, by the sum of their probabilities.
    buyers: f64,
    /// How many of them the likeliest tenth of the users has.
    buyers_in_best_tenth: f64,
}

/// A user who may buy the item.
#[derive(Debug, Serialize, ToSchema)]
struct PageBuyer {
    /// The id, as a text.
    user_id: String,
    /// From 1.
    rank: i64,
    /// The probability that the user buys the item.
    probability: f32,
}

/// An item that many of the likeliest buyers have.
#[derive(Debug, Serialize, ToSchema)]
struct PageFavourite {
    /// Its id, as a text.
    item_id: String,
    /// Its text.
    text: Option<String>,
    /// The share of the likeliest tenth of the users that has it.
    share: f64,
    /// The share of all users that has it.
    share_of_all: f64,
}

/// Tells who will buy an item.
#[utoipa::path(post, path = "/v1/page/audience", request_body = PageAudienceRequest, responses(
    (status = 200, body = PageAudienceAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn audience(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let page = page(&state)?;
    let request: PageAudienceRequest = body::json(&state.options, request).await?;
    let k = request.k;
    let model = page.model_in_use(&state).await?;
    let mut everybody =
        Query::new("SELECT user_id, rank, probability FROM audience(model => $model, k => 1000000000").on(page);
    everybody.bind_text("model", &model)?;
    one_item(page, &mut everybody, request)?;
    everybody.text(")");
    let everybody = everybody.rows(&state).await?;
    let of_everybody = |text: &'static str| {
        let mut query = Query::new(text).on(page);
        query.table("audience", Table::Rows(everybody.clone()));
        query
    };
    let all = of_everybody(
        "SELECT count(*) AS users, coalesce(sum(CAST(probability AS DOUBLE)), 0) AS buyers, \
         coalesce(sum(CAST(probability AS DOUBLE)) FILTER (WHERE rank <= ceil(0.1 * n)), 0) AS buyers_in_best_tenth \
         FROM audience CROSS JOIN (SELECT count(*) AS n FROM audience)",
    );
    let mut users = of_everybody(
        "SELECT CAST(user_id AS VARCHAR) AS user_id, rank, probability FROM audience ORDER BY rank LIMIT $k",
    );
    users.bind("k", k)?;
    let mut items = of_everybody(
        "WITH users AS (SELECT user_id, rank <= ceil(0.1 * n) AS best \
                        FROM audience CROSS JOIN (SELECT count(*) AS n FROM audience)), \
              sizes AS (SELECT count(*) AS n, count(*) FILTER (WHERE best) AS n_best FROM users), \
              has AS (SELECT interactions.item_id, count(DISTINCT users.user_id) AS n, \
                             count(DISTINCT users.user_id) FILTER (WHERE best) AS n_best \
                      FROM users JOIN interactions ON interactions.user_id = users.user_id GROUP BY interactions.item_id) \
         SELECT CAST(has.item_id AS VARCHAR) AS item_id, items.text, \
                CAST(has.n_best AS DOUBLE) / sizes.n_best AS share, CAST(has.n AS DOUBLE) / sizes.n AS share_of_all \
         FROM has CROSS JOIN sizes LEFT JOIN items ON items.item_id = has.item_id WHERE has.n_best > 0 \
         ORDER BY share - share_of_all DESC, item_id LIMIT $k",
    );
    items.bind("k", k)?;
    Ok(json_object([
        ("model", json_bytes(&model)?),
        ("all", all.run(&state).await?),
        ("users", users.run(&state).await?),
        ("items", items.run(&state).await?),
    ]))
}

/// What words do.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct PageWordsAnswer {
    /// The text as it is, without each of its words, and with words of similar items: the largest effect first.
    rows: Vec<PageWord>,
}

/// A text with a word more or less.
#[derive(Debug, Serialize, ToSchema)]
struct PageWord {
    /// `none`, `remove` or `add`.
    change: String,
    /// The word.
    word: Option<String>,
    /// The changed text.
    text: String,
    /// The buyers to be expected of it.
    buyers: f64,
    /// The difference to the text as it is.
    effect: f64,
}

/// Tells what the words of an item's text do to its audience.
#[utoipa::path(post, path = "/v1/page/words", request_body = PageAudienceRequest, responses(
    (status = 200, body = PageWordsAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn words(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let page = page(&state)?;
    let request: PageAudienceRequest = body::json(&state.options, request).await?;
    let model = page.model_in_use(&state).await?;
    let mut query =
        Query::new("SELECT change, word, text, buyers, effect FROM title_effect(model => $model, k => $k").on(page);
    query.bind_text("model", &model)?;
    query.bind("k", request.k)?;
    one_item(page, &mut query, request)?;
    query.text(") ORDER BY effect DESC, change, word");
    Ok(json_object([("rows", query.run(&state).await?)]))
}

/// Adds the argument `items`: the one that the request is about.
fn one_item(page: &Arc<Page>, query: &mut Query, request: PageAudienceRequest) -> Result<()> {
    match (request.item_id, request.text) {
        (Some(item), None) => page.one_item(query, &item),
        (None, Some(text)) => {
            // An id that no shop has.
            let id = match page.ids.item {
                IdType::Integer => Id::Integer(i64::MIN),
                IdType::Text => Id::Text("\u{0}".to_owned()),
            };
            query.text(", items => (SELECT $item AS item_id, $text AS text)");
            query.bind_id("item", &id)?;
            Ok(query.bind_text("text", &text)?)
        }
        _ => Err(ApiError::field("item_id", "a request has an item_id or a text")),
    }
}
