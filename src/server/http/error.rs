//! What goes wrong, as a client is told: a status, and `{"error": {message, type, param, code}}` as OpenAI's API has it.
//!
//! Takes errors of every part; gives responses. A mistake of the client names the field and the cure; what is ours is
//! logged, and the client learns that it was not its fault.

use std::error::Error;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use datafusion::common::DataFusionError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::describe::describe;
use crate::{recommend, registry};

/// Results of requests.
pub(super) type Result<T, E = ApiError> = std::result::Result<T, E>;

/// What a client is told.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    param: Option<String>,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// An error with a status, a code for programs, and a message for people.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), param: None, retry_after: None }
    }

    /// A mistake in a field of the body.
    pub(super) fn field(param: impl Into<String>, message: impl Into<String>) -> Self {
        let param = param.into();
        let message = format!("{param}: {}", message.into());
        Self { param: Some(param), ..Self::new(StatusCode::BAD_REQUEST, "invalid_value", message) }
    }

    /// The request may be made again after this time.
    #[must_use]
    pub(super) fn retry_after(self, time: Duration) -> Self {
        Self { retry_after: Some(time), ..self }
    }

    /// Something of ours broke: it is logged, and the client learns no more.
    pub(super) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "an internal error of Debut, of which the server's stderr says more; please report it",
        )
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// The body of an error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorAnswer {
    error: ErrorBody,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorBody {
    /// For people.
    message: String,
    /// The class: `invalid_request_error`, `authentication_error`, `rate_limit_error` or `server_error`.
    r#type: &'static str,
    /// The field that is wrong, if one is.
    #[schema(required)]
    param: Option<String>,
    /// For programs, such as `model_not_found`.
    code: &'static str,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let class = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let body = ErrorBody { message: self.message, r#type: class, param: self.param, code: self.code };
        // A struct of texts has no value that JSON cannot hold.
        let json = serde_json::to_vec(&ErrorAnswer { error: body }).unwrap_or_default();
        let mut response = (self.status, [(CONTENT_TYPE, "application/json")], json).into_response();
        if let Some(time) = self.retry_after {
            let seconds = time.as_secs_f64().ceil().max(1.0) as u64;
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<DataFusionError> for ApiError {
    fn from(error: DataFusionError) -> Self {
        let message = describe(&error);
        if let Some(registry::Error::Unknown { .. }) = find(&error) {
            let error = Self::new(StatusCode::NOT_FOUND, "model_not_found", message);
            return Self { param: Some("model".into()), ..error };
        }
        if let Some(registry::Error::Name { .. }) = find(&error) {
            return Self::field("model", message);
        }
        // What the recommender says of the rows is a mistake in the rows.
        if find::<recommend::Error>(&error).is_some_and(is_about_rows) {
            return Self::new(StatusCode::BAD_REQUEST, "invalid_request", message);
        }
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "out_of_memory", message).retry_after(Duration::from_secs(1))
            }
            DataFusionError::Internal(_) | DataFusionError::ExecutionJoin(_) | DataFusionError::External(_) => {
                Self::internal(&message)
            }
            _ => Self::new(StatusCode::BAD_REQUEST, "invalid_request", message),
        }
    }
}

fn is_about_rows(error: &recommend::Error) -> bool {
    use recommend::Error as E;
    matches!(
        error,
        E::NullId { .. } | E::RepeatedItem { .. } | E::Future { .. } | E::Empty { .. } | E::TooLittle { .. }
    )
}

/// The error of this type among the causes.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An error in a box of DataFusion's is its source only by what stands behind it.
        if let Some(DataFusionError::External(inner)) = error.downcast_ref() {
            return find(inner.as_ref());
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::common::{exec_datafusion_err, internal_datafusion_err};

    use super::*;

    fn external(error: impl Error + Send + Sync + 'static) -> DataFusionError {
        DataFusionError::External(Box::new(error))
    }

    #[test]
    fn mistakes_of_the_client_and_ours_are_told_apart() {
        let unknown =
            || registry::Error::Unknown { reference: "smal".into(), known: vec!["small".into()], closest: None };
        let repeated = recommend::Error::RepeatedItem { function: "recommend", item: "a".into() };
        let damaged = recommend::Error::Damaged { path: "/srv/home/model".into(), reason: "short".into() };
        for (error, status, part) in [
            (external(unknown()), 404, "small"),
            (DataFusionError::Shared(Arc::new(external(unknown()).context("in the queue"))), 404, "small"),
            (external(repeated), 400, "item a is twice"),
            (exec_datafusion_err!("a text is wrong"), 400, "a text is wrong"),
            (DataFusionError::ResourcesExhausted("no memory".into()), 503, "no memory"),
            (external(damaged), 500, "please report"),
            (internal_datafusion_err!("at /srv/home"), 500, "please report"),
        ] {
            let told = ApiError::from(error);
            assert_eq!(told.status(), status, "{told:?}");
            assert!(told.message().contains(part) && !told.message().contains("/srv"), "{told:?}");
        }
    }
}
