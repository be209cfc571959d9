//! The files of the page: HTML, style sheet and scripts, as they are in `browser/`.
//!
//! They are open to everybody, as they say nothing of the shop: where the server has users, the page asks for a token.

use std::sync::Arc;

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::server::http::state::HttpState;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Paths, types and contents.
const FILES: [(&str, &str, &str); 8] = [
    ("/", HTML, include_str!("browser/index.html")),
    ("/page/style.css", CSS, include_str!("browser/style.css")),
    ("/page/main.js", SCRIPT, include_str!("browser/main.js")),
    ("/page/server.js", SCRIPT, include_str!("browser/server.js")),
    ("/page/elements.js", SCRIPT, include_str!("browser/elements.js")),
    ("/page/customer.js", SCRIPT, include_str!("browser/customer.js")),
    ("/page/catalogue.js", SCRIPT, include_str!("browser/catalogue.js")),
    ("/page/launch.js", SCRIPT, include_str!("browser/launch.js")),
];

/// Nothing is loaded from or sent to another server, no other page frames this one, and no script but ours runs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether a path is that of a file of the page.
pub(in super::super) fn is_file(path: &str) -> bool {
    FILES.iter().any(|(file, ..)| *file == path)
}

/// A route for each file.
pub(super) fn routes() -> Router<Arc<HttpState>> {
    FILES.iter().fold(Router::new(), |router, (path, content_type, content)| {
        let headers = [
            (CONTENT_TYPE, *content_type),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            // Another version of the server has other files, which fit each other.
            (CACHE_CONTROL, "no-cache"),
        ];
        router.route(path, get(async move || (headers, *content).into_response()))
    })
}
