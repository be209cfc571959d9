//! Who asks: takes the headers of a request; gives a user, or why not.

use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::error::ApiError;
use crate::engine::describe::chain;
use crate::server::users::Users;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name, for the log.
    pub name: String,
}

/// Knows the users of the server.
pub trait Authenticate: Send + Sync {
    /// The user of a request.
    ///
    /// # Errors
    /// There is no token, or it is nobody's: [`denied`].
    fn authenticate<'a>(&'a self, headers: &'a HeaderMap) -> BoxFuture<'a, Result<User, ApiError>>;
}

impl<F: Fn(&HeaderMap) -> Result<User, ApiError> + Send + Sync> Authenticate for F {
    fn authenticate<'a>(&'a self, headers: &'a HeaderMap) -> BoxFuture<'a, Result<User, ApiError>> {
        ready(self(headers)).boxed()
    }
}

/// The users of a file; without one only this machine connects, and anybody may ask.
pub(super) struct Tokens(pub(super) Option<Users>);

impl Authenticate for Tokens {
    fn authenticate<'a>(&'a self, headers: &'a HeaderMap) -> BoxFuture<'a, Result<User, ApiError>> {
        async {
            let Some(users) = &self.0 else { return Ok(User { name: String::new() }) };
            let token = bearer(headers).ok_or_else(denied)?;
            let known = users.known().await.map_err(|error| ApiError::internal(&chain(&error)))?;
            known.of_token(token).map(|name| User { name: name.to_owned() }).ok_or_else(denied)
        }
        .boxed()
    }
}

/// The token of `Authorization: Bearer TOKEN`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// What is told to who has no token, or a wrong one: the same.
pub fn denied() -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_token", "send a valid token: Authorization: Bearer TOKEN")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_its_header() {
        let read = |value: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(read("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(read("bearer  abc ").as_deref(), Some("abc"));
        for other in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
