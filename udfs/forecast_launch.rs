//! `forecast_launch(model => 'name', items => (SELECT ...))`: what products that do not exist yet sell in their first weeks.
//!
//! Takes named literals; gives typed [`ForecastOptions`] and the columns of the result. Planned and run by the engine,
//! which hands everything to [`crate::recommender::Recommenders`].

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::common::Result;

use crate::ids::Ids;
use crate::options::setting::{Default, Kind, Readers, Setting, setting};
use crate::options::{Function, Values};
use crate::recommend::{COLUMNS, ITEMS, MODEL};

/// The function's name.
pub const NAME: &str = "forecast_launch";

/// How many weeks are forecast: an option of `evaluate` too, which measures what was forecast.
pub(crate) const WEEKS: Setting = setting(
    "weeks",
    Kind::Integer(1, 26),
    Default::Value("4"),
    Readers::All,
    "Weeks after its launch that an item is forecast for",
);

/// The function.
pub const FUNCTION: Function = Function {
    name: NAME,
    usage: "forecast_launch(model => 'name', items => (SELECT ...), option => value, ...)",
    description: "What new items sell in their first weeks, learned from the launches of the training data. Returns a row per item: \
                  the buyers and the revenue to be expected, each with an interval that holds nine of ten launches, the buyers that \
                  similar items have in as many weeks, and the buyers that similar items lose to the launch (negative where past \
                  launches brought them buyers) with a 90% interval and the items that they are taken from. Revenue is units times \
                  price, the units being learned from the column quantity of the training's interactions; it is NULL without a price. \
                  Each item is taken for new, whatever its history. `evaluate` measures how many launches the intervals hold.",
    example: "SELECT item_id, buyers, buyers_low, buyers_high FROM forecast_launch(model => 'shop', items => (SELECT item_id, text, price \
              FROM 'launches.parquet'), weeks => 8);",
    sub_queries: &[ITEMS],
    settings: &[MODEL, WEEKS, COLUMNS],
};

/// The options of a call, typed.
#[derive(Debug, Clone)]
pub struct ForecastOptions {
    /// The model, as the call or the session names it.
    pub model: String,
    /// Weeks after a launch.
    pub weeks: usize,
    /// The names of columns that are not called by their role.
    pub columns: BTreeMap<String, String>,
}

impl ForecastOptions {
    /// The options that these values are.
    ///
    /// # Errors
    /// None in practice: every option that is read has a value of its kind.
    pub fn of(values: &Values) -> Result<Self> {
        let (model, columns) = (values.text("model")?.to_string(), values.columns("columns"));
        Ok(Self { model, weeks: values.count("weeks")?, columns })
    }
}

/// The columns of the result.
pub fn schema(ids: Ids) -> SchemaRef {
    let number = |name: &str, nullable| Field::new(name, DataType::Float64, nullable);
    let taken: Fields = vec![Field::new("item_id", ids.item.data_type(), false), number("buyers", false)].into();
    let taken = DataType::List(Arc::new(Field::new_list_field(DataType::Struct(taken), false)));
    Arc::new(Schema::new(vec![
        Field::new("item_id", ids.item.data_type(), false),
        Field::new("weeks", DataType::Int64, false),
        number("buyers", false),
        number("buyers_low", false),
        number("buyers_high", false),
        number("revenue", true),
        number("revenue_low", true),
        number("revenue_high", true),
        number("similar_buyers", false),
        number("taken", true),
        number("taken_low", true),
        number("taken_high", true),
        Field::new("taken_from", taken, false),
    ]))
}
