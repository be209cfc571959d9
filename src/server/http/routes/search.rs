//! `POST /v1/search`: the rows of a table that are nearest to a query, as SQL's `vector_search` gives them.

use std::sync::Arc;

use arrow::array::{FixedSizeListArray, Float32Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::server::http::body;
use crate::server::http::error::{ApiError, ErrorAnswer, Result};
use crate::server::http::sessions::{Query, Table};
use crate::server::http::state::HttpState;
use crate::server::http::values::{json_object, text_or_list};

/// Most dimensions of a vector in a request.
const MOST_DIMENSIONS: usize = 65_536;

/// What to look for, and where.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct SearchRequest {
    /// A file or folder that is served.
    table: String,
    /// A text, which is embedded with the model of the column; or a vector of that model.
    query: SearchQuery,
    /// Most rows.
    #[schema(minimum = 1)]
    k: u32,
    /// The column to search: vectors, or text, which the search embeds. By default the only column of vectors.
    column: Option<String>,
    /// Which rows are near; needs `column`.
    metric: Option<SearchMetric>,
}

/// A text or a vector.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(in super::super) enum SearchQuery {
    /// A text.
    Text(String),
    /// A vector.
    Vector(Vec<f32>),
}

/// Which rows are near.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SearchMetric {
    /// The cosine of the angle.
    Cosine,
    /// The inner product.
    InnerProduct,
    /// The Euclidean distance, negated.
    L2,
}

/// Rows.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct SearchAnswer {
    /// The columns of the table, and `score`: larger is nearer.
    rows: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// Searches a table.
#[utoipa::path(post, path = "/v1/search", request_body = SearchRequest, responses(
    (status = 200, body = SearchAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn search(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let request: SearchRequest = body::json(&state.options, request).await?;
    let mut query = Query::new("SELECT * FROM vector_search($table, ");
    query.bind_text("table", &request.table)?;
    match request.query {
        SearchQuery::Text(text) => {
            query.text("$query");
            query.bind_text("query", &text)?;
        }
        SearchQuery::Vector(vector) => {
            query.text("(SELECT vector FROM query)");
            query.table("query", Table::Rows(one_vector(vector)?));
        }
    }
    query.text(", $k");
    query.bind("k", request.k)?;
    match (request.column, request.metric) {
        (Some(column), metric) => {
            query.text(", $column");
            query.bind_text("column", &column)?;
            if let Some(metric) = metric {
                query.text(match metric {
                    SearchMetric::Cosine => ", 'cosine'",
                    SearchMetric::InnerProduct => ", 'inner_product'",
                    SearchMetric::L2 => ", 'l2'",
                });
            }
        }
        (None, Some(_)) => return Err(ApiError::field("metric", "name the column as well")),
        (None, None) => {}
    }
    query.text(") ORDER BY score DESC");
    Ok(json_object([("rows", query.run(&state).await?)]))
}

fn one_vector(vector: Vec<f32>) -> Result<RecordBatch> {
    let broken = |error: arrow::error::ArrowError| ApiError::internal(&error);
    if vector.is_empty() || vector.len() > MOST_DIMENSIONS || vector.iter().any(|value| !value.is_finite()) {
        return Err(ApiError::field("query", format!("a vector has 1 to {MOST_DIMENSIONS} finite numbers")));
    }
    let item = Arc::new(Field::new_list_field(DataType::Float32, true));
    // At most MOST_DIMENSIONS.
    let width = vector.len() as i32;
    let values = Arc::new(Float32Array::from(vector));
    let vectors = FixedSizeListArray::try_new(item, width, values, None).map_err(broken)?;
    let schema = Schema::new(vec![Field::new("vector", arrow::array::Array::data_type(&vectors).clone(), true)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(vectors)]).map_err(broken)
}

impl<'de> Deserialize<'de> for SearchQuery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_list(deserializer, "a text or a vector", Self::Text, Self::Vector)
    }
}
