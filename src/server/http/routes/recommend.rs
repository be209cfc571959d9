//! `POST /v1/recommend`: the best items for each user, as SQL's `recommend` gives them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::record_batch::RecordBatch;
use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::inference::resolve;
use crate::server::http::body;
use crate::server::http::error::{ApiError, ErrorAnswer, Result};
use crate::server::http::sessions::{Query, Table};
use crate::server::http::state::HttpState;
use crate::server::http::values::{Id, at_most, ids, json_bytes, json_object, text_or_list};

/// What to recommend to whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct RecommendRequest {
    /// The recommender, `name` or `name@version`; by default the server's default model.
    model: Option<String>,
    /// The items to choose from, or a served file of them; by default those of the training data.
    items: Option<Rows<ItemRow>>,
    /// The users, or a served file of them; by default all users of the training data. With `item_id`, the rows are their
    /// histories and replace those of the training data.
    users: Option<Rows<UserRow>>,
    /// Items that users like, or a served file of them: items like them rank higher.
    liked: Option<Rows<AnswerRow>>,
    /// Items that users do not like: they are left out, and items like them rank lower.
    disliked: Option<Rows<AnswerRow>>,
    /// Most items for each user, 20 by default.
    #[schema(minimum = 1, maximum = 1_000_000)]
    k: Option<u32>,
    /// Whether to recommend new items only.
    only_new: Option<bool>,
    /// Factor on the odds of new items; by default the one that training chose.
    new_boost: Option<f64>,
    /// Most users for each item.
    #[schema(minimum = 1)]
    max_exposure: Option<u64>,
    /// Least share of new items for each user, from 0 to 1.
    min_new_share: Option<f64>,
    /// Weight of the penalty on items that are like those before them, from 0 to 1.
    diversity: Option<f64>,
    /// Whether to sample items by the uncertainty of their probability (Thompson sampling).
    explore: Option<bool>,
    /// Confidence in the predicted probability, with `explore`.
    prior_strength: Option<f64>,
    /// Whether each row says why.
    explain: Option<bool>,
    /// Random seed.
    seed: Option<u64>,
}

/// Rows, or the name of a served file that has them as columns of the same names.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(in super::super) enum Rows<T: ToSchema> {
    /// A file or folder.
    File(String),
    /// Rows.
    Rows(Vec<T>),
}

/// An item.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ItemRow {
    /// Which item, in the type of the model's ids.
    item_id: Id,
    /// Its text.
    text: Option<String>,
    /// Its price.
    price: Option<f64>,
    /// When it was launched, such as `2026-11-28` or `2026-11-28T12:00:00Z`.
    launched_at: Option<String>,
}

/// A user, or something that a user has chosen.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct UserRow {
    /// Who, in the type of the model's ids.
    user_id: Id,
    /// An item of the user's history.
    item_id: Option<Id>,
    /// How much it counts.
    weight: Option<f64>,
}

/// What a user says of an item.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct AnswerRow {
    /// Who, in the type of the model's ids.
    user_id: Id,
    /// Of which item: one of `items`, or of the training data.
    item_id: Id,
}

/// Items for users.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct RecommendAnswer {
    /// `name@version` of the model.
    model: String,
    /// A row for each user and item, best first.
    rows: Vec<RecommendedRow>,
}

/// An item for a user.
#[derive(Debug, Serialize, ToSchema)]
struct RecommendedRow {
    /// For whom.
    user_id: Id,
    /// What.
    item_id: Id,
    /// Its place in the user's list, from 1.
    rank: i64,
    /// What the list is ordered by.
    score: f32,
    /// The probability that the user buys the item.
    probability: f32,
    /// Whether the item is new.
    is_new: bool,
    /// The probability that the item is in the user's list: send it with the feedback.
    propensity: f32,
    /// With `explain`: what each part of the model adds to ln(score / (1 - score)); nothing is left over.
    attributions: Option<Vec<FeatureAttribution>>,
    /// With `explain`: the items of the user's history that add most.
    purchases: Option<Vec<PurchaseAttribution>>,
}

/// What a part of the model adds.
#[derive(Debug, Serialize, ToSchema)]
struct FeatureAttribution {
    /// A component of the model, `baseline` or `new_boost`.
    feature: String,
    /// In the logarithm of the odds.
    attribution: f32,
}

/// What an item of the user's history adds.
#[derive(Debug, Serialize, ToSchema)]
struct PurchaseAttribution {
    /// Which item.
    item_id: Id,
    /// In the logarithm of the odds.
    attribution: f32,
}

/// Recommends items.
#[utoipa::path(post, path = "/v1/recommend", request_body = RecommendRequest, responses(
    (status = 200, body = RecommendAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn recommend(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let request: RecommendRequest = body::json(&state.options, request).await?;
    let name = request.model.clone();
    let model = resolve(&state, move |models| models.describe(name.as_deref())).await?.reference();
    let rows = query(request, &model, state.options.max_rows)?.run(&state).await?;
    Ok(json_object([("model", json_bytes(&model)?), ("rows", rows)]))
}

fn query(request: RecommendRequest, model: &str, most: usize) -> Result<Query> {
    let mut query = Query::new("SELECT * FROM recommend(model => $model");
    query.bind_text("model", model)?;
    if let Some(items) = request.items {
        query.text(", items => (SELECT * FROM items)");
        query.table("items", items.table("items", most, item_columns)?);
    }
    if let Some(users) = request.users {
        query.text(", users => (SELECT * FROM users)");
        query.table("users", users.table("users", most, user_columns)?);
    }
    if let Some(liked) = request.liked.filter(Rows::any) {
        query.text(", liked => (SELECT * FROM liked)");
        query.table("liked", liked.table("liked", most, answer_columns)?);
    }
    if let Some(disliked) = request.disliked.filter(Rows::any) {
        query.text(", disliked => (SELECT * FROM disliked)");
        query.table("disliked", disliked.table("disliked", most, answer_columns)?);
    }
    // Each name stands in a text of its own: an option that is not there keeps SQL's default.
    let mut option = |name: &'static str, text: &'static str, value: Option<String>| -> Result<()> {
        if let Some(value) = value {
            query.text(text);
            query.bind(name, value)?;
        }
        Ok(())
    };
    let text = |number: Option<f64>| number.map(|number| number.to_string());
    option("k", ", k => $k", request.k.map(|k| k.to_string()))?;
    option("only_new", ", only_new => $only_new", request.only_new.map(|flag| flag.to_string()))?;
    option("new_boost", ", new_boost => $new_boost", text(request.new_boost))?;
    option("max_exposure", ", max_exposure => $max_exposure", request.max_exposure.map(|most| most.to_string()))?;
    option("min_new_share", ", min_new_share => $min_new_share", text(request.min_new_share))?;
    option("diversity", ", diversity => $diversity", text(request.diversity))?;
    option("explore", ", explore => $explore", request.explore.map(|flag| flag.to_string()))?;
    option("prior_strength", ", prior_strength => $prior_strength", text(request.prior_strength))?;
    option("explain", ", explain => $explain", request.explain.map(|flag| flag.to_string()))?;
    option("seed", ", seed => $seed", request.seed.map(|seed| seed.to_string()))?;
    query.text(") ORDER BY user_id, rank");
    Ok(query)
}

type Columns = Vec<(&'static str, ArrayRef)>;

fn item_columns(rows: &[ItemRow]) -> Result<Columns> {
    let mut columns = vec![
        ("item_id", ids("items", rows.iter().map(|row| Some(&row.item_id)))?),
        ("text", Arc::new(rows.iter().map(|row| row.text.as_deref()).collect::<StringArray>()) as ArrayRef),
    ];
    if rows.iter().any(|row| row.price.is_some()) {
        columns.push(("price", Arc::new(rows.iter().map(|row| row.price).collect::<Float64Array>())));
    }
    if rows.iter().any(|row| row.launched_at.is_some()) {
        let texts: StringArray = rows.iter().map(|row| row.launched_at.as_deref()).collect();
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let times = cast_with_options(&texts, &DataType::Timestamp(TimeUnit::Microsecond, None), &options);
        columns.push(("launched_at", times.map_err(|error| ApiError::field("items.launched_at", error.to_string()))?));
    }
    Ok(columns)
}

fn user_columns(rows: &[UserRow]) -> Result<Columns> {
    let mut columns = vec![("user_id", ids("users", rows.iter().map(|row| Some(&row.user_id)))?)];
    if rows.iter().any(|row| row.item_id.is_some()) {
        columns.push(("item_id", ids("users", rows.iter().map(|row| row.item_id.as_ref()))?));
    }
    if rows.iter().any(|row| row.weight.is_some()) {
        columns.push(("weight", Arc::new(rows.iter().map(|row| row.weight).collect::<Float64Array>())));
    }
    Ok(columns)
}

fn answer_columns(rows: &[AnswerRow]) -> Result<Columns> {
    Ok(vec![
        ("user_id", ids("user_id", rows.iter().map(|row| Some(&row.user_id)))?),
        ("item_id", ids("item_id", rows.iter().map(|row| Some(&row.item_id)))?),
    ])
}

impl<T: ToSchema> Rows<T> {
    /// Whether there are any, as far as the request says: a user may have answered nothing yet.
    fn any(&self) -> bool {
        !matches!(self, Self::Rows(rows) if rows.is_empty())
    }

    fn table(self, field: &str, most: usize, columns: fn(&[T]) -> Result<Columns>) -> Result<Table> {
        match self {
            Self::File(location) => Ok(Table::Location(location)),
            Self::Rows(rows) if rows.is_empty() => {
                Err(ApiError::field(field, "there are no rows: leave it out for all"))
            }
            Self::Rows(rows) => {
                at_most(field, rows.len(), most)?;
                let columns = columns(&rows)?.into_iter().map(|(name, column)| (name, column, true));
                let batch = RecordBatch::try_from_iter_with_nullable(columns);
                Ok(Table::Rows(batch.map_err(|error| ApiError::internal(&error))?))
            }
        }
    }
}

impl<'de, T: ToSchema + Deserialize<'de>> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_list(deserializer, "a list of rows or the name of a file", Self::File, Self::Rows)
    }
}
