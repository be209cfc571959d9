//! The body of a request as a value: takes a request; gives what its JSON says, or what is wrong with it by field.
//!
//! The body is read before anything is done with it, under limits of its size, of the size of all bodies, and of time.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::bodies::Share;
use super::error::{ApiError, Result};
use super::options::HttpOptions;

/// Reads the body as JSON.
///
/// # Errors
/// 415 for another type than JSON, 413 for a body that is too long, 429 for one too many, 408 for one that comes too slowly,
/// 400 for one that is not what the route reads.
pub(super) async fn json<T: DeserializeOwned>(options: &HttpOptions, request: Request) -> Result<T> {
    let (parts, body) = request.into_parts();
    check_type(&parts.headers)?;
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > options.max_body as u64) {
        return Err(too_long(options.max_body));
    }
    let share = parts.extensions.get::<Arc<Share>>().ok_or_else(|| ApiError::internal(&"a request without a share"))?;
    parse(&read(body, share, options).await?)
}

fn check_type(headers: &HeaderMap) -> Result<()> {
    let unsupported = |message| ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message);
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(unsupported("send the body as it is, without a Content-Encoding"));
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    Err(unsupported("send JSON: Content-Type: application/json"))
}

async fn read(body: Body, share: &Share, options: &HttpOptions) -> Result<Vec<u8>> {
    let (limit, timeout) = (options.max_body, options.read_timeout);
    let read = async {
        let mut body = Limited::new(body, limit);
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
                Some(_) => too_long(limit),
                None => {
                    let message = format!("the body did not come: {error}");
                    ApiError::new(StatusCode::BAD_REQUEST, "incomplete_body", message)
                }
            })?;
            // What is not data are trailers, which nobody reads.
            if let Ok(data) = frame.into_data() {
                share.add(data.len())?;
                bytes.extend_from_slice(&data);
            }
        }
        Ok(bytes)
    };
    tokio::time::timeout(timeout, read).await.unwrap_or_else(|_| {
        let message = format!("the body did not come within {} s", timeout.as_secs_f64());
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "slow_body", message))
    })
}

fn too_long(limit: usize) -> ApiError {
    let message = format!("the body is longer than {limit} bytes: send several requests");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    // Serde would read an array as the fields in their order.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|first| *first == b'[') {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_body",
            "the body is a list, not an object of fields",
        ));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let malformed = |error: &dyn std::fmt::Display| {
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", format!("the body is not JSON: {error}"))
    };
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if !error.is_data() {
            return malformed(&error);
        }
        // The field is told by the path, and by serde where it is unknown or missing.
        match path.as_str() {
            "." => ApiError::new(StatusCode::BAD_REQUEST, "invalid_body", error.to_string()),
            path => ApiError::field(path, error.to_string()),
        }
    })?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read to be refused")]
    struct Example {
        k: u32,
        rows: Option<Vec<f64>>,
    }

    #[test]
    fn a_mistake_is_named_by_its_field() {
        let message = |body: &str| parse::<Example>(body.as_bytes()).unwrap_err().message().to_owned();
        assert!(message(r#"{"k": 1, "size": 2}"#).contains("unknown field `size`"));
        assert!(message(r#"{"k": 1, "rows": [1, "a"]}"#).starts_with("rows[1]: invalid type: string"));
        assert!(message(r#"{"k": -1}"#).starts_with("k: "));
        assert!(message("{}").contains("missing field `k`"));
        for malformed in ["", "{", r#"{"k": NaN}"#, r#"{"k": 1} x"#, r#"{"k": 1e999}"#, "\u{0}"] {
            assert!(message(malformed).contains("not JSON"), "{malformed}: {}", message(malformed));
        }
        assert!(message(&format!("{{\"rows\": {}", "[".repeat(100_000))).starts_with("rows[0]: invalid type"));
        assert!(message(&format!("{{\"k\": {}", "[".repeat(100_000))).starts_with("k: invalid type"));
        assert!(message(" [1, []]").contains("not an object"));
    }
}
