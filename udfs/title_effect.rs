//! `title_effect(model => 'name', items => (SELECT ...))`: what each word of a title does to the item's audience.
//!
//! Takes named literals; gives typed [`TitleOptions`] and the columns of the result. Planned and run by the engine,
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
pub const NAME: &str = "title_effect";

/// The function.
pub const FUNCTION: Function = Function {
    name: NAME,
    usage: "title_effect(model => 'name', items => (SELECT ...), users => (SELECT ...), option => value, ...)",
    description: "What each word of an item's text does to its audience. Returns a row per item for the text as it is (change 'none'), a \
                  row per word for the text without it ('remove'), and rows for the text with a word of similar items at its end \
                  ('add'): the changed text, the buyers that the model expects of it, and the effect, which is the difference to \
                  the text as it is. Each item is taken for new, whatever its history. Whether a word that would help is true of \
                  the item is for people to say.",
    example: "SELECT change, word, round(effect, 1) AS effect FROM title_effect(model => 'shop', items => (SELECT 0 AS item_id, 'steel mug' AS text)) ORDER BY effect DESC;",
    sub_queries: &[ITEMS, USERS],
    settings: &[
        MODEL,
        setting(
            "k",
            Kind::Integer(0, 1000),
            Default::Value("10"),
            Readers::All,
            "Maximum number of words of similar items that are tried, those of the most similar items first",
        ),
        COLUMNS,
    ],
};

/// The options of a call, typed.
#[derive(Debug, Clone)]
pub struct TitleOptions {
    /// The model, as the call or the session names it.
    pub model: String,
    /// Most words that are tried behind a text.
    pub k: usize,
    /// The names of columns that are not called by their role.
    pub columns: BTreeMap<String, String>,
}

impl TitleOptions {
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
        Field::new("change", DataType::Utf8, false),
        Field::new("word", DataType::Utf8, true),
        Field::new("text", DataType::Utf8, false),
        Field::new("buyers", DataType::Float64, false),
        Field::new("effect", DataType::Float64, false),
    ]))
}
