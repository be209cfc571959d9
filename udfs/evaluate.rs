//! `evaluate(model => 'name', interactions => (SELECT ...), ...)`: how good a recommender is.
//!
//! Takes named literals; gives typed [`EvaluateOptions`] and the columns of the result. Planned and run by the engine,
//! which hands everything to [`crate::recommender::Recommenders`].

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::common::{Result, plan_err};

use crate::forecast_launch::WEEKS;
use crate::model::ModelInfo;
use crate::options::setting::{Bound, Default, Kind, Readers, setting};
use crate::options::{Function, Values};
use crate::recommend::{ITEMS, MODEL, SEED};

/// The function's name.
pub const NAME: &str = "evaluate";

/// The function.
pub const FUNCTION: Function = Function {
    name: NAME,
    usage: "evaluate(model => 'name', interactions => (SELECT ...), items => (SELECT ...), option => value, ...)",
    description: "Measures a recommender on interactions that followed its training data. Returns a row per method, \
                  candidate set, segment and metric, with a 95% bootstrap interval over users. The model is compared with \
                  random, popularity, activity and nearest neighbours by text, and with another model if `against` names \
                  one. Rows whose metric begins with `forecast_` or `revenue_`, and `launch_buyers`, are about `forecast_launch`: the share of \
                  launches within its intervals and its mean absolute errors, beside that of `similar_items`; their intervals are over \
                  launches, which `items` counts, and their `week` is the number of weeks forecast.",
    example: "SELECT method, value, ci_low, ci_high FROM evaluate(model => 'shop', interactions => (SELECT * FROM \
              'autumn.parquet'),\n         items => (SELECT item_id, text FROM 'products.parquet'))\nWHERE metric = \
              'recall' AND candidates = 'new' AND segment = 'new';",
    sub_queries: &[
        (
            "interactions",
            "Who bought what and when: user_id, item_id, timestamp, and optionally weight and quantity; also propensity and label, if \
             you know the probability with which each item was shown and whether it was bought",
        ),
        ITEMS,
    ],
    settings: &[
        MODEL,
        setting(
            "against",
            Kind::Text,
            Default::Absent,
            Readers::All,
            "Another recommender with the same types of ids, to compare with user by user, on interactions that follow the \
             training data of both",
        ),
        setting(
            "k",
            Kind::Integers(1, 1_000_000),
            Default::Value("20"),
            Readers::All,
            "Lengths of the lists to measure",
        ),
        setting(
            "since",
            Kind::Timestamp,
            Default::Absent,
            Readers::All,
            "Evaluate on interactions from this time on; by default on all that follow the training data: of both models, \
             with against, and then it may not be earlier",
        ),
        setting(
            "components",
            Kind::Boolean,
            Default::Value("false"),
            Readers::All,
            "Whether to measure each component of the model as well",
        ),
        setting(
            "boosts",
            Kind::Numbers(Bound::Including(0.0), Bound::Including(1_000_000.0)),
            Default::Value("1,1.5,2,3,4,6"),
            Readers::All,
            "Boosts of new items to try when the whole catalogue is ranked",
        ),
        WEEKS,
        setting(
            "resamples",
            Kind::Integer(0, 100_000),
            Default::Value("1000"),
            Readers::All,
            "Number of bootstrap resamples of the users for the intervals; 0 for none",
        ),
        setting(
            "clip",
            Kind::Number(Bound::Including(1.0), Bound::Including(1_000_000.0)),
            Default::Value("20"),
            Readers::All,
            "Maximum inverse propensity weight of a row",
        ),
        setting(
            "columns",
            Kind::Columns(&[
                "user_id",
                "item_id",
                "text",
                "image",
                "weight",
                "quantity",
                "timestamp",
                "price",
                "launched_at",
                "propensity",
                "label",
            ]),
            Default::Absent,
            Readers::All,
            "Columns whose names differ from their roles",
        ),
        SEED,
    ],
};

/// The options of a call, typed.
#[derive(Debug, Clone)]
pub struct EvaluateOptions {
    /// The model, as the call or the session names it.
    pub model: String,
    /// The model that it is compared with, as the call names it; planning has found that its ids are alike.
    pub against: Option<String>,
    /// Lengths of lists, ascending, each once.
    pub k: Vec<usize>,
    /// The first moment that is evaluated, in microseconds since 1970.
    pub since: Option<i64>,
    /// Whether each part of the model is measured alone too.
    pub components: bool,
    /// Boosts of new items, in the call's order.
    pub boosts: Vec<f64>,
    /// Weeks after a launch that are forecast.
    pub weeks: usize,
    /// Bootstrap resamples; 0 for no intervals.
    pub resamples: usize,
    /// Largest inverse propensity.
    pub clip: f64,
    /// The names of columns that are not called by their role.
    pub columns: BTreeMap<String, String>,
    /// Random seed.
    pub seed: u64,
}

impl EvaluateOptions {
    /// The options that these values are.
    ///
    /// # Errors
    /// None in practice: every option that is read has a value of its kind.
    pub fn of(values: &Values) -> Result<Self> {
        let mut k = values.counts("k");
        k.sort_unstable();
        k.dedup();
        Ok(Self {
            model: values.text("model")?.to_string(),
            against: values.text_of("against").map(str::to_string),
            k,
            since: values.timestamp_of("since")?,
            components: values.flag("components"),
            boosts: values.numbers("boosts"),
            weeks: values.count("weeks")?,
            resamples: values.count("resamples")?,
            clip: values.number("clip")?,
            columns: values.columns("columns"),
            seed: values.integer("seed")?,
        })
    }
}

/// The first moment on which two models can be compared: the one that is given, else the later of those at which what they
/// were trained on ends. `None` where neither is known.
///
/// # Errors
/// One of the models was trained on interactions at the given moment or later, and would be judged on them.
pub fn since(given: Option<i64>, models: [&ModelInfo; 2]) -> Result<Option<i64>> {
    let Some(earliest) = models.iter().filter_map(|model| model.trained_until).max() else { return Ok(given) };
    match given {
        Some(since) if since < earliest => {
            let trained = models.iter().filter_map(|model| {
                let last = moment(model.trained_until? - 1);
                Some(format!("'{}' was trained on interactions up to {last}", model.reference()))
            });
            plan_err!(
                "{NAME}: since is {}, and no model is judged on what it was trained on: {}; leave since out, or give '{}' or \
                 later",
                moment(since),
                trained.collect::<Vec<_>>().join(", "),
                moment(earliest)
            )
        }
        given => Ok(given.or(Some(earliest))),
    }
}

/// A moment as people write it.
fn moment(microseconds: i64) -> String {
    timestamp_us_to_datetime(microseconds).map_or_else(|| microseconds.to_string(), |moment| moment.to_string())
}

/// The columns of the result.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            Field::new("method", DataType::Utf8, false),
            Field::new("candidates", DataType::Utf8, false),
            Field::new("segment", DataType::Utf8, false),
            Field::new("metric", DataType::Utf8, false),
            Field::new("k", DataType::Int64, true),
            Field::new("value", DataType::Float64, true),
            Field::new("ci_low", DataType::Float64, true),
            Field::new("ci_high", DataType::Float64, true),
            Field::new("users", DataType::Int64, false),
            Field::new("items", DataType::Int64, false),
            Field::new("boost", DataType::Float64, true),
            Field::new("week", DataType::Int64, true),
            Field::new("evaluation", DataType::Utf8, false),
        ]))
    });
    Arc::clone(&SCHEMA)
}
