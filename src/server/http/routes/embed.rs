//! `POST /v1/embed`: texts as vectors, as SQL's `embed` gives them.

use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeListArray, StringArray};
use arrow::datatypes::Float32Type;
use axum::extract::{Request, State};
use axum::response::Response;
use datafusion::common::ScalarValue;
use debut_udfs::embed::Embed;
use debut_udfs::inference::Inference;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::inference::{infer, resolve};
use crate::server::http::body;
use crate::server::http::error::{ApiError, ErrorAnswer, Result};
use crate::server::http::state::HttpState;
use crate::server::http::values::{Texts, at_most, json};

/// Texts to embed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct EmbedRequest {
    /// `name` or `name@version`; by default the server's.
    model: Option<String>,
    /// A text, or a list of texts. A text longer than the model's limit is cut off; `null` gives `null`.
    input: Texts,
    /// How the texts are meant: `document` (the default), `query`, another prompt of the model, or the empty text for none.
    prompt: Option<String>,
    /// Keep only this many of each vector's first values, and make its length one again.
    #[schema(minimum = 1)]
    dimensions: Option<usize>,
}

/// Vectors.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct EmbedAnswer {
    /// `name@version` of the model.
    model: String,
    /// The width of the vectors.
    dimensions: usize,
    /// A vector of length one for each text, in the order of the texts.
    vectors: Vec<Option<Vec<f32>>>,
    /// Tokens that the model read, special tokens included.
    tokens: u64,
}

/// Embeds texts.
#[utoipa::path(post, path = "/v1/embed", request_body = EmbedRequest, responses(
    (status = 200, body = EmbedAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn embed(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let EmbedRequest { model, input, prompt, dimensions } = body::json(&state.options, request).await?;
    let embedded = vectors(&state, model, input.into_vec(), prompt, dimensions).await?;
    let vectors = (0..embedded.vectors.len()).map(|row| embedded.vector(row)).collect();
    json(&EmbedAnswer { model: embedded.model, dimensions: embedded.dimensions, vectors, tokens: embedded.tokens })
}

/// Vectors, and what is known of them.
#[derive(Debug)]
pub(super) struct Embedded {
    pub(super) model: String,
    pub(super) dimensions: usize,
    pub(super) vectors: FixedSizeListArray,
    pub(super) tokens: u64,
}

impl Embedded {
    /// The vector of a row, at the width that was asked for.
    pub(super) fn vector(&self, row: usize) -> Option<Vec<f32>> {
        if self.vectors.is_null(row) {
            return None;
        }
        let value = self.vectors.value(row);
        Some(shorten(value.as_primitive::<Float32Type>().values(), self.dimensions))
    }
}

/// Embeds texts, at the model's width or less.
pub(super) async fn vectors(
    state: &HttpState,
    model: Option<String>,
    texts: Vec<Option<String>>,
    prompt: Option<String>,
    dimensions: Option<usize>,
) -> Result<Embedded> {
    at_most("input", texts.len(), state.options.max_rows)?;
    let inference = resolve(state, move |models| {
        let model = model.unwrap_or_else(|| models.config().model.clone());
        let literals = [ScalarValue::from(model), ScalarValue::from(prompt.unwrap_or_else(|| "document".into()))];
        Embed::new(models).inference(&[None, Some(&literals[0]), Some(&literals[1])])
    })
    .await?;
    let dimensions = width_of(&inference, dimensions)?;
    let column = infer(state, &inference, &[Arc::new(StringArray::from(texts))]).await?;
    let vectors = column.values.as_fixed_size_list().clone();
    Ok(Embedded { model: inference.model.reference(), dimensions, vectors, tokens: column.tokens })
}

fn width_of(inference: &Inference, wanted: Option<usize>) -> Result<usize> {
    let width = inference.width();
    match wanted {
        Some(wanted) if wanted == 0 || wanted > width => {
            let model = inference.model.reference();
            Err(ApiError::field(
                "dimensions",
                format!("vectors of '{model}' have 1 to {width} dimensions, not {wanted}"),
            ))
        }
        wanted => Ok(wanted.unwrap_or(width)),
    }
}

/// The first values of a vector, as a vector of length one; all of them as they are.
fn shorten(vector: &[f32], dimensions: usize) -> Vec<f32> {
    let mut short = vector[..dimensions.min(vector.len())].to_vec();
    if short.len() < vector.len() {
        let length = short.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
        if length > 0.0 {
            short.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn a_shorter_vector_has_length_one() {
        assert_eq!(shorten(&[0.6, 0.0, 0.8], 2), [1.0, 0.0]);
        assert_eq!(shorten(&[0.6, 0.8], 2), [0.6, 0.8]);
        assert_eq!(shorten(&[0.0, 1.0], 1), [0.0]);
    }
}
