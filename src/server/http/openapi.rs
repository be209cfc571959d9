//! `GET /openapi.json`: every route as a document, made from the types that the routes read and write.

use axum::response::Response;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::error::Result;
use super::page::{about, audience, explain, items, recommend as page_recommend, users};
use super::routes::{embed, embeddings, feedback, health, predict, recommend, score, search};
use super::values;

#[derive(OpenApi)]
#[openapi(
    info(title = "Debut", description = "Models and recommenders over HTTP.", license(name = "Apache-2.0")),
    paths(
        embed::embed,
        embeddings::embeddings,
        score::score,
        predict::classify,
        predict::predict,
        recommend::recommend,
        search::search,
        feedback::feedback,
        about::about,
        items::items,
        users::users,
        users::history,
        page_recommend::recommend,
        explain::explain,
        audience::audience,
        audience::words,
        health::health,
        health::ready,
        health::metrics,
    ),
    security(("token" = [])),
    modifiers(&Token)
)]
struct Document;

/// How a client says who it is.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Sends the document.
pub(super) async fn openapi() -> Result<Response> {
    values::json(&document())
}
