//! `refresh(source => (SELECT ...), target => 'folder/', key => 'id')`: a table on disk that follows a query.
//!
//! Takes named literals; gives typed [`RefreshOptions`] and the columns of the result. Planned and run by the engine.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Result, plan_err};

use crate::options::setting::{Default, Kind, Readers, setting};
use crate::options::{Function, Values};

/// The function's name.
pub const NAME: &str = "refresh";

/// The function.
pub const FUNCTION: Function = Function {
    name: NAME,
    usage: "refresh(source => (SELECT ...), target => 'folder/', key => 'column', option => value, ...)",
    description: "Makes a folder of Parquet files hold the rows of a query, doing only what changed since the last time. \
                  Models run on rows that are new or whose inputs changed; rows that are gone are removed; a new version of \
                  a model, or another query, makes everything anew. The target is a symbolic link to the version in use, \
                  which is replaced in one step; with format => 'delta' it is a Delta table, whose log gets an entry. Models run on changed rows only where the query above the lowest call of a \
                  model is made of expressions and filters; with joins, aggregates, windows or limits above it, or without \
                  such a call, as in SELECT * FROM recommend(...), everything is computed, and only what changed is \
                  written. Returns one row: added, changed, unchanged, removed, rows, version, seconds, and the reason if \
                  everything was computed.",
    example: "SELECT * FROM refresh(source => (SELECT product_id, title, embed(title) AS vector FROM 'products.parquet'),\n     \
              \u{20}               target => 'vectors/', key => 'product_id');",
    sub_queries: &[("source", "The rows that the target is to have")],
    settings: &[
        setting(
            "target",
            Kind::Text,
            Default::Required,
            Readers::All,
            "The folder that holds the rows, on a local disk. It is not there before the first time, and nobody else writes \
             into it",
        ),
        setting(
            "key",
            Kind::Text,
            Default::Required,
            Readers::All,
            "The column of the source that names a row. Its values are unique and not NULL, also in rows that a filter on the \
             result of a model takes away",
        ),
        setting(
            "keep",
            Kind::Text,
            Default::Value("1 hour"),
            Readers::All,
            "How long versions that are no longer in use stay, for queries that still read them; a later refresh deletes \
             them. An interval such as '30 minutes'",
        ),
        setting(
            "format",
            Kind::OneOf(&["parquet", "delta"]),
            Default::Value("parquet"),
            Readers::All,
            "What the target is: a link to a folder of Parquet files, or a Delta table, for which Debut is built with the \
             feature `delta`",
        ),
    ],
};

/// What a table on disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// A link to a folder of Parquet files.
    Parquet,
    /// A Delta table: a folder of Parquet files with a log.
    Delta,
}

/// The options of a call, typed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefreshOptions {
    /// The folder, as the call names it.
    pub target: String,
    /// The column that names a row.
    pub key: String,
    /// How long versions that are no longer in use stay.
    pub keep: Duration,
    /// What the folder is.
    pub format: Format,
}

impl RefreshOptions {
    /// The options that these values are.
    ///
    /// # Errors
    /// `keep` is no interval.
    pub fn of(values: &Values) -> Result<Self> {
        let keep = values.text("keep")?;
        let seconds = parse_interval_month_day_nano(keep).ok().and_then(|interval| {
            let days = i64::from(interval.months) * 30 + i64::from(interval.days);
            u64::try_from(days.checked_mul(86_400)?.checked_add(interval.nanoseconds / 1_000_000_000)?).ok()
        });
        let Some(seconds) = seconds else {
            return plan_err!("{NAME}: keep is an interval from zero on, such as '1 hour' or '2 days', not '{keep}'");
        };
        Ok(Self {
            target: values.text("target")?.to_owned(),
            key: values.text("key")?.to_owned(),
            keep: Duration::from_secs(seconds),
            format: if values.text("format")? == "delta" { Format::Delta } else { Format::Parquet },
        })
    }
}

/// The columns of the result.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let count = |name: &str| Field::new(name, DataType::Int64, false);
        Arc::new(Schema::new(vec![
            count("added"),
            count("changed"),
            count("unchanged"),
            count("removed"),
            count("rows"),
            count("version"),
            Field::new("seconds", DataType::Float64, false),
            Field::new("reason", DataType::Utf8, true),
        ]))
    });
    Arc::clone(&SCHEMA)
}
