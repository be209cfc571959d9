//! `POST /v1/embeddings`: texts as vectors, in the shape of OpenAI's endpoint, so that its clients work.

use std::sync::Arc;

use arrow::array::Array;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::embed::vectors;
use crate::server::http::body;
use crate::server::http::error::{ApiError, ErrorAnswer, Result};
use crate::server::http::state::HttpState;
use crate::server::http::values::{Texts, json};

/// Texts to embed. Lists of tokens are not read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct EmbeddingsRequest {
    /// `name` or `name@version`.
    model: String,
    /// A text, or a list of texts.
    input: Texts,
    /// How each vector is written.
    #[serde(default)]
    encoding_format: EncodingFormat,
    /// Keep only this many of each vector's first values, and make its length one again.
    #[schema(minimum = 1)]
    dimensions: Option<usize>,
    /// Read and not used.
    #[expect(dead_code, reason = "clients send it")]
    user: Option<String>,
}

/// How a vector is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum EncodingFormat {
    /// A list of numbers.
    #[default]
    Float,
    /// Little-endian 32-bit floats in base64.
    Base64,
}

/// Vectors.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct EmbeddingsAnswer {
    /// `list`.
    object: &'static str,
    /// A vector for each text, in the order of the texts.
    data: Vec<Embedding>,
    /// `name@version` of the model.
    model: String,
    /// What was read.
    usage: Usage,
}

/// The vector of a text.
#[derive(Debug, Serialize, ToSchema)]
struct Embedding {
    /// `embedding`.
    object: &'static str,
    /// The place of the text in the request.
    index: usize,
    /// The vector, as the request asked for it.
    embedding: Vector,
}

/// A vector.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Vector {
    /// Numbers.
    Numbers(Vec<f32>),
    /// Base64.
    Base64(String),
}

/// How much was read.
#[derive(Debug, Serialize, ToSchema)]
struct Usage {
    /// Tokens that the model read, special tokens included.
    prompt_tokens: u64,
    /// The same.
    total_tokens: u64,
}

/// Embeds texts as OpenAI's endpoint does.
#[utoipa::path(post, path = "/v1/embeddings", request_body = EmbeddingsRequest, responses(
    (status = 200, body = EmbeddingsAnswer),
    (status = "4XX", body = ErrorAnswer),
    (status = "5XX", body = ErrorAnswer),
))]
pub(in super::super) async fn embeddings(State(state): State<Arc<HttpState>>, request: Request) -> Result<Response> {
    let request: EmbeddingsRequest = body::json(&state.options, request).await?;
    let texts = request.input.into_vec();
    if texts.is_empty() || texts.contains(&None) {
        return Err(ApiError::field("input", "it has no text, or null among its texts"));
    }
    let embedded = vectors(&state, Some(request.model), texts, None, request.dimensions).await?;
    let data = (0..embedded.vectors.len()).map(|index| {
        let vector = embedded.vector(index).unwrap_or_default();
        let embedding = match request.encoding_format {
            EncodingFormat::Float => Vector::Numbers(vector),
            EncodingFormat::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                Vector::Base64(STANDARD.encode(bytes))
            }
        };
        Embedding { object: "embedding", index, embedding }
    });
    json(&EmbeddingsAnswer {
        object: "list",
        data: data.collect(),
        model: embedded.model.clone(),
        usage: Usage { prompt_tokens: embedded.tokens, total_tokens: embedded.tokens },
    })
}
