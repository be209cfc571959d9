//! A customer as the page knows one: who, and what was said and taken on the page. Gives the arguments of SQL's calls.

use arrow::record_batch::RecordBatch;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::server::http::error::{ApiError, Result};
use crate::server::http::page_file::Page;
use crate::server::http::sessions::{Query, Table};
use crate::server::http::values::{at_most, ids};

/// A customer, and what was said on the page.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PageCustomer {
    /// Who, as a text. Who has no interactions gets the list of the average user.
    user_id: String,
    /// Items that the customer likes: items like them rank higher.
    #[serde(default)]
    liked: Vec<String>,
    /// Items that the customer does not like: they are left out, and items like them rank lower.
    #[serde(default)]
    disliked: Vec<String>,
    /// Items that the customer has taken: they are left out, and items like them rank higher.
    #[serde(default)]
    taken: Vec<String>,
}

impl PageCustomer {
    /// Adds the arguments `users`, `liked` and `disliked`: the history is what the shop has now, not what training had.
    ///
    /// # Errors
    /// An id is no integer and the shop's are, or there are more than `most` answers of a kind.
    pub(super) fn arguments(&self, page: &Page, query: &mut Query, most: usize) -> Result<()> {
        query.text(", users => (SELECT user_id, item_id FROM interactions WHERE user_id = $user");
        query.bind_id("user", &page.user(&self.user_id)?)?;
        // The row without an item is there for who has no history.
        query.text(" UNION ALL SELECT user_id, CAST(item_id AS ");
        query.text(page.ids.item.sql());
        query.text(") FROM taken)");
        let taken = self.rows(page, "taken", self.taken.iter().map(Some).chain([None]), most)?;
        query.table("taken", Table::Rows(taken));
        if !self.liked.is_empty() || !self.taken.is_empty() {
            query.text(", liked => (SELECT * FROM liked)");
            let liked = self.rows(page, "liked", self.liked.iter().chain(&self.taken).map(Some), most)?;
            query.table("liked", Table::Rows(liked));
        }
        if !self.disliked.is_empty() {
            query.text(", disliked => (SELECT * FROM disliked)");
            let disliked = self.rows(page, "disliked", self.disliked.iter().map(Some), most)?;
            query.table("disliked", Table::Rows(disliked));
        }
        Ok(())
    }

    /// Rows of `user_id` and `item_id`.
    fn rows<'a>(
        &self,
        page: &Page,
        field: &'static str,
        items: impl Iterator<Item = Option<&'a String>>,
        most: usize,
    ) -> Result<RecordBatch> {
        let user = page.user(&self.user_id)?;
        let items =
            items.map(|item| item.map(|item| page.item(field, item)).transpose()).collect::<Result<Vec<_>>>()?;
        at_most(field, items.len(), most)?;
        let columns = [
            ("user_id", ids("user_id", std::iter::repeat_n(Some(&user), items.len()))?, true),
            ("item_id", ids(field, items.iter().map(Option::as_ref))?, true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| ApiError::internal(&error))
    }
}
