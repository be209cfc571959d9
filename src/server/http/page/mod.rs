//! The page at `/`: what people see of a recommendation. Takes a file of SQL that says what the shop's items and interactions
//! are; gives a page for browsers, and the JSON that it shows.
//!
//! ```text
//! /  /page/...                files: those in browser/, the same for everybody
//! /v1/page                    about: the model, and whether there is feedback
//! /v1/page/items              items: the catalogue, searched by words
//! /v1/page/users  /history    users: customers by the beginning of their id, and what one of them has
//! /v1/page/recommend          recommend: one customer's list, after what the customer has said and taken
//! /v1/page/explain            explain: why an item is in it
//! /v1/page/audience  /words   audience: who buys an item, what they have, and what its words do
//! ```
//! The browser asks for these paths of this server and for nothing else; `/v1/feedback` keeps what a customer did. Ids are texts
//! on the page, because a number of JavaScript has not all digits of one of 64 bits; `page_file` knows their types.

pub(super) mod about;
pub(super) mod audience;
mod customer;
pub(super) mod explain;
mod files;
pub(super) mod items;
pub(super) mod recommend;
mod shown;
pub(super) mod users;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

pub(super) use files::is_file;

use super::state::HttpState;

/// The routes of the page.
pub(super) fn routes() -> Router<Arc<HttpState>> {
    files::routes()
        .route("/v1/page", get(about::about))
        .route("/v1/page/items", post(items::items))
        .route("/v1/page/users", post(users::users))
        .route("/v1/page/history", post(users::history))
        .route("/v1/page/recommend", post(recommend::recommend))
        .route("/v1/page/explain", post(explain::explain))
        .route("/v1/page/audience", post(audience::audience))
        .route("/v1/page/words", post(audience::words))
}
