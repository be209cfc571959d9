//! The page's part of a query: which columns of items are shown, and which a recommender reads.

use std::sync::Arc;

use axum::http::StatusCode;

use crate::server::http::error::{ApiError, Result};
use crate::server::http::page_file::Page;
use crate::server::http::routes::inference::resolve;
use crate::server::http::sessions::Query;
use crate::server::http::state::HttpState;

impl Page {
    /// Adds the columns of an item, from a table `items`, as the page shows them.
    pub(super) fn shown(&self, query: &mut Query) {
        query.text("CAST(items.item_id AS VARCHAR) AS item_id, items.text");
        query.text(if self.optional.contains("price") { ", items.price" } else { ", NULL AS price" });
        query.text(match self.optional.contains("launched_at") {
            true => ", CAST(CAST(items.launched_at AS DATE) AS VARCHAR) AS launched_at",
            false => ", NULL AS launched_at",
        });
    }

    /// Adds the columns of an item that a recommender reads.
    pub(super) fn read(&self, query: &mut Query) {
        query.text("item_id, text");
        if self.optional.contains("price") {
            query.text(", price");
        }
        if self.optional.contains("launched_at") {
            query.text(", launched_at");
        }
    }

    /// Adds the argument `items`: one item.
    ///
    /// # Errors
    /// The id is no integer, and the shop's are.
    pub(super) fn one_item(&self, query: &mut Query, item: &str) -> Result<()> {
        query.text(", items => (SELECT ");
        self.read(query);
        query.text(" FROM items WHERE item_id = $item)");
        query.bind_id("item", &self.item("item_id", item)?)?;
        Ok(())
    }

    /// Whether items have a date of their launch.
    pub(super) fn has_launches(&self) -> bool {
        self.optional.contains("launched_at")
    }

    /// The version of the recommender in use.
    ///
    /// # Errors
    /// There is none of this name.
    pub(super) async fn model_in_use(&self, state: &HttpState) -> Result<String> {
        let model = self.model.clone();
        Ok(resolve(state, move |models| models.describe(Some(&model))).await?.reference())
    }
}

/// The page of a server that has one.
///
/// # Errors
/// 404 where it has none.
pub(super) fn page(state: &HttpState) -> Result<&Arc<Page>> {
    state.page.as_ref().ok_or_else(|| {
        let message = "this server has no page: start it with --page FILE, a file of SQL that makes the views items (item_id, text \
                       and perhaps price, launched_at) and interactions (user_id, item_id and perhaps timestamp)";
        ApiError::new(StatusCode::NOT_FOUND, "no_page", message)
    })
}
