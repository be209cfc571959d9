//! `audience(model => 'name', items => (SELECT ...), ...)`: users for items, the most likely first.
//!
//! Takes named literals; gives typed [`AudienceOptions`] and the columns of the result. Planned and run by the engine,
//! which hands everything to [`crate::recommender::Recommenders`].

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;

use crate::ids::Ids;
use crate::options::setting::{Default, Kind, Readers, setting};
use crate::options::{Function, Values};
use crate::recommend::{COLUMNS, ITEMS, MODEL, USERS};

/// The function's name.
pub const NAME: &str = "audience";

/// The function.
pub const FUNCTION: Function = Function {
    name: NAME,
    usage: "audience(model => 'name', items => (SELECT ...), users => (SELECT ...), option => value, ...)",
    description: "The most likely buyers of each item. Returns a row per item and user: the rank, the score and the \
                  probability that the user buys the item. Users who already have the item are left out.",
    example: "SELECT * FROM audience(model => 'shop', items => (SELECT item_id, text FROM 'launches.parquet'), k => 500);",
    sub_queries: &[ITEMS, USERS],
    settings: &[
        MODEL,
        setting(
            "k",
            Kind::Integer(1, 1_000_000_000),
            Default::Value("100"),
            Readers::All,
            "Maximum number of users per item",
        ),
        COLUMNS,
    ],
};

/// The options of a call, typed.
#[derive(Debug, Clone)]
pub struct AudienceOptions {
    /// The model, as the call or the session names it.
    pub model: String,
    /// Most users for an item; there may be fewer.
    pub k: usize,
    /// The names of columns that are not called by their role.
    pub columns: BTreeMap<String, String>,
}

impl AudienceOptions {
    /// The options that these values are.
    ///
    /// # Errors
    /// None in practice: every option that is read has a value of its kind.
    pub fn of(values: &Values) -> Result<Self> {
        Ok(Self { model: values.text("model")?.to_string(), k: values.count("k")?, columns: values.columns("columns") })
    }
}

/// The columns of the result.
pub fn schema(ids: Ids) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("item_id", ids.item.data_type(), false),
        Field::new("user_id", ids.user.data_type(), false),
        Field::new("rank", DataType::Int64, false),
        Field::new("score", DataType::Float32, false),
        Field::new("probability", DataType::Float32, false),
    ]))
}
