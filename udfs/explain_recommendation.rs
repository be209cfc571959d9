//! `explain_recommendation(model => 'name', users => (SELECT ...), items => (SELECT ...))`: why a user is recommended an item.
//!
//! Takes named literals; gives typed [`ExplainOptions`] and the columns of the result. Planned and run by the engine,
//! which hands everything to [`crate::recommender::Recommenders`].

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;

use crate::ids::Ids;
use crate::options::setting::{Default, Kind, Readers, setting};
use crate::options::{Function, Values};
use crate::recommend::{COLUMNS, DISLIKED, ITEMS, LIKED, MODEL, NEW_BOOST, USERS};

/// The function's name.
pub const NAME: &str = "explain_recommendation";

/// The function.
pub const FUNCTION: Function = Function {
    name: NAME,
    usage: "explain_recommendation(model => 'name', users => (SELECT ...), items => (SELECT ...), option => value, ...)",
    description: "Why each user is recommended each item. Returns rows of three kinds per pair. 'component': what a part of the model \
                  adds to ln(score / (1 - score)); these add up to it. 'purchase': how much of that an item of the user's history \
                  makes, before the user's usual score is taken off. 'word': what a word of an item without a history adds, which \
                  is what is lost when it is left out.",
    example: "SELECT kind, feature, description, attribution FROM explain_recommendation(model => 'shop', users => (SELECT 7 AS user_id), items => (SELECT item_id, text FROM 'launches.parquet' LIMIT 1)) ORDER BY kind, attribution DESC;",
    sub_queries: &[ITEMS, USERS, LIKED, DISLIKED],
    settings: &[
        MODEL,
        setting(
            "k",
            Kind::Integer(1, 1000),
            Default::Value("10"),
            Readers::All,
            "Maximum number of purchases, and of words, per user and item: those that change the score most",
        ),
        NEW_BOOST,
        COLUMNS,
    ],
};

/// The options of a call, typed.
#[derive(Debug, Clone)]
pub struct ExplainOptions {
    /// The model, as the call or the session names it.
    pub model: String,
    /// Most purchases, and most words, of a pair.
    pub k: usize,
    /// How much more new items count; `None` for the model's own.
    pub new_boost: Option<f64>,
    /// The names of columns that are not called by their role.
    pub columns: BTreeMap<String, String>,
}

impl ExplainOptions {
    /// The options that these values are.
    ///
    /// # Errors
    /// None in practice: every option that is read has a value of its kind.
    pub fn of(values: &Values) -> Result<Self> {
        Ok(Self {
            model: values.text("model")?.to_string(),
            k: values.count("k")?,
            new_boost: values.number_of("new_boost"),
            columns: values.columns("columns"),
        })
    }
}

/// The columns of the result.
pub fn schema(ids: Ids) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("user_id", ids.user.data_type(), false),
        Field::new("item_id", ids.item.data_type(), false),
        Field::new("score", DataType::Float32, false),
        Field::new("kind", DataType::Utf8, false),
        Field::new("feature", DataType::Utf8, false),
        Field::new("description", DataType::Utf8, true),
        Field::new("attribution", DataType::Float32, false),
    ]))
}
