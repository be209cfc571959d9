//! What can go wrong in the recommender, for people: which function, which value, what to do.

use std::path::PathBuf;

use arrow::error::ArrowError;
use arrow::temporal_conversions::timestamp_us_to_datetime;

/// Results of the recommender.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An id is NULL.
    #[error("{function}: row {} of {input} has no {column}; leave it out with WHERE {column} IS NOT NULL", .row + 1)]
    NullId {
        /// The SQL function.
        function: &'static str,
        /// The sub-query.
        input: &'static str,
        /// The column.
        column: &'static str,
        /// The row, from 0.
        row: usize,
    },
    /// An item stands there twice.
    #[error(
        "{function}: item {item} is twice in items, and an item has one text; take one row of each, for example with \
         SELECT item_id, first_value(text) AS text FROM ... GROUP BY item_id"
    )]
    RepeatedItem {
        /// The SQL function.
        function: &'static str,
        /// Its id.
        item: String,
    },
    /// Pictures cannot be put in the order of the items.
    #[error("{function}: the pictures of items cannot be read: {source}")]
    Images {
        /// The SQL function.
        function: &'static str,
        /// Why not.
        source: ArrowError,
    },
    /// A picture cannot be read.
    #[error(
        "{function}: the picture of item {item} cannot be read: {reason}; give NULL in its place, and the item is ranked by its \
         text, or leave the item out"
    )]
    Picture {
        /// The SQL function.
        function: &'static str,
        /// The item's id.
        item: String,
        /// Why not.
        reason: String,
    },
    /// Interactions have not happened yet.
    #[error(
        "{function}: {rows} interactions are later than now, the last at {}; a wrong date would move every launch window: \
         leave them out with WHERE timestamp <= now()", utc(*.latest)
    )]
    Future {
        /// The SQL function.
        function: &'static str,
        /// How many.
        rows: usize,
        /// The latest, in microseconds since 1970.
        latest: i64,
    },
    /// Nothing is left to work with.
    #[error("{function}: there is no interaction of a known user with a listed item{}", because(.notes))]
    Empty {
        /// The SQL function.
        function: &'static str,
        /// What was left out.
        notes: String,
    },
    /// There is too little to learn from.
    #[error("{function}: {reason}")]
    TooLittle {
        /// The SQL function.
        function: &'static str,
        /// Of what, and what to do.
        reason: String,
    },
    /// What is in use under the name is no recommender.
    #[error(
        "{function}: publish => 'if_better' compares with {reference}, in use, and a recommender cannot be compared with a \
         model of the task {task}; give model another name, or publish => 'always' to replace it"
    )]
    OtherTask {
        /// The SQL function.
        function: &'static str,
        /// The version in use.
        reference: String,
        /// What it does.
        task: String,
    },
    /// A file of a version cannot be written or read.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What was fitted cannot be written down.
    #[error("the recommender cannot be kept: {reason}")]
    NotKept {
        /// Why not.
        reason: String,
    },
    /// A file of a version is of a format that is not read.
    #[error(
        "{} cannot be read by this version of Debut ({reason}); train the model again with \
         finetune(objective => 'recommend', ...)", path.display()
    )]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// What is other.
        reason: String,
    },
    /// A file of a version is not what it should be.
    #[error("{} is damaged ({reason}); train the model again, or remove the version with DROP MODEL", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A point in time as people write it, in UTC.
pub(crate) fn utc(microseconds: i64) -> String {
    timestamp_us_to_datetime(microseconds).map_or_else(|| microseconds.to_string(), |moment| moment.to_string())
}

fn because(notes: &str) -> String {
    if notes.is_empty() { String::new() } else { format!(" ({notes})") }
}
