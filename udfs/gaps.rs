//! `gaps(model => 'name', k => 10)`: products that a shop's customers want and that the shop does not have.
//!
//! Takes named literals; gives typed [`GapsOptions`] and the columns of the result. Planned and run by the engine,
//! which hands everything to [`crate::recommender::Recommenders`].

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::common::Result;

use crate::ids::Ids;
use crate::options::setting::{Default, Kind, Readers, setting};
use crate::options::{Function, Values};
use crate::recommend::MODEL;

/// The function's name.
pub const NAME: &str = "gaps";

/// The function.
pub const FUNCTION: Function = Function {
    name: NAME,
    usage: "gaps(model => 'name', k => 10)",
    description: "What customers want and the catalogue does not have. Looks for pairs of words of the titles that the same users buy, \
                  more often than chance has it, and that no product combines. Returns a row per pair, those of the most expected buyers first: \
                  the words, the buyers that the model expects of a new item with these two words for a text, the users who have \
                  items of both words, the users who would by chance, the item with a history that is nearest to the pair with its text and similarity \
                  (the cosine of their vectors), and purchases, the items of these users that speak for it. A pair that is nearer \
                  to an item than most items are to each other is left out, and a word stands in one row at the most. What a product \
                  of the two words is, and whether it can be, is for people to say.",
    example: "SELECT words, buyers, users, nearest_text FROM gaps(model => 'shop', k => 20);",
    sub_queries: &[],
    settings: &[
        MODEL,
        setting("k", Kind::Integer(1, 1000), Default::Value("10"), Readers::All, "Maximum number of pairs of words"),
    ],
};

/// The options of a call, typed.
#[derive(Debug, Clone)]
pub struct GapsOptions {
    /// The model, as the call or the session names it.
    pub model: String,
    /// Most rows.
    pub k: usize,
}

impl GapsOptions {
    /// The options that these values are.
    ///
    /// # Errors
    /// None in practice: every option that is read has a value of its kind.
    pub fn of(values: &Values) -> Result<Self> {
        Ok(Self { model: values.text("model")?.to_string(), k: values.count("k")? })
    }
}

/// The columns of the result.
pub fn schema(ids: Ids) -> SchemaRef {
    let list = |of: DataType| DataType::List(Arc::new(Field::new_list_field(of, false)));
    let item = |name: &str| Field::new(name, ids.item.data_type(), false);
    let purchases: Fields = vec![item("item_id"), Field::new("users", DataType::Int64, false)].into();
    Arc::new(Schema::new(vec![
        Field::new("rank", DataType::Int64, false),
        Field::new("words", list(DataType::Utf8), false),
        Field::new("buyers", DataType::Float64, false),
        Field::new("users", DataType::Int64, false),
        Field::new("users_by_chance", DataType::Float64, false),
        item("nearest_item_id"),
        Field::new("nearest_text", DataType::Utf8, false),
        Field::new("similarity", DataType::Float32, false),
        Field::new("purchases", list(DataType::Struct(purchases)), false),
    ]))
}
