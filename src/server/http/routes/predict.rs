//! `POST /v1/classify` and `POST /v1/predict`: what a trained head says of a text, as SQL's functions give it.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::Float32Type;
use axum::extract::{Request, State};
use axum::response::Response;
use datafusion::common::ScalarValue;
use debut_udfs::models::Models;
use debut_udfs::predict::Predict;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::inference::{Column, infer, resolve};
use crate::server::http::body;
use crate::server::http::error::{ErrorAnswer, Result};
use crate::server::http::state::HttpState;
use crate::server::http::values::{Texts, at_most, json};

/// Texts to look at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct TextsRequest {
    /// `name` or `name@version`; by default the server's.
    model: Option<String>,
    /// A text, or a list of texts; `null` gives `null`.
    input: Texts,
}

/// Labels.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct ClassifyAnswer {
    /// `name@version` of the model.
    model: String,
    /// The most probable label of each text, in the order of the texts.
    labels: Vec<Option<Label>>,
}

/// A label.
#[derive(Debug, Serialize, ToSchema)]
struct Label {
    /// Its name.
    label: String,
    /// Its probability, the softmax over all labels of the model.
    probability: f32,
}

/// Numbers.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct PredictAnswer {
    /// `name@version` of the model.
    model: String,
    /// The number of each text, in the order of the texts.
    values: Vec<Option<f32>>,
}

/// Labels texts.
#[utoipa::path(post, path = "/v1/classify", request_body = TextsRequest, responses(
    (status = 200, body = ClassifyAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn classify(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let (model, column) = run(&state, request, Predict::label).await?;
    let labels = column.values.as_struct();
    let (names, probabilities) = (labels.column(0).as_string::<i32>(), labels.column(1).as_primitive::<Float32Type>());
    let label = |row: usize| {
        labels
            .is_valid(row)
            .then(|| Label { label: names.value(row).to_owned(), probability: probabilities.value(row) })
    };
    json(&ClassifyAnswer { model, labels: (0..labels.len()).map(label).collect() })
}

/// Predicts numbers.
#[utoipa::path(post, path = "/v1/predict", request_body = TextsRequest, responses(
    (status = 200, body = PredictAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn predict(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let (model, column) = run(&state, request, Predict::number).await?;
    json(&PredictAnswer { model, values: column.values.as_primitive::<Float32Type>().iter().collect() })
}

async fn run(state: &HttpState, request: Request, function: fn(Models) -> Predict) -> Result<(String, Column)> {
    let TextsRequest { model, input } = body::json(&state.options, request).await?;
    let texts = input.into_vec();
    at_most("input", texts.len(), state.options.max_rows)?;
    let inference = resolve(state, move |models| {
        let model = ScalarValue::from(model.unwrap_or_else(|| models.config().model.clone()));
        function(models).inference(&[None, Some(&model)])
    })
    .await?;
    let column = infer(state, &inference, &[Arc::new(StringArray::from(texts))]).await?;
    Ok((inference.model.reference(), column))
}
