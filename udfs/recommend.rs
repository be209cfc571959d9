//! `recommend(model => 'name', ...)`: items for users, best first.
//!
//! Takes named literals; gives typed [`RecommendOptions`] or an error that names option, value and range, and the
//! columns of the result. Planned and run by the engine, which hands everything to
//! [`crate::recommender::Recommenders`].

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::common::Result;

use crate::ids::Ids;
use crate::options::setting::{Bound, Default, Kind, Readers, Setting, setting};
use crate::options::{Function, Values};

/// The function's name.
pub const NAME: &str = "recommend";

/// The function.
pub const FUNCTION: Function = Function {
    name: NAME,
    usage: "recommend(model => 'name', items => (SELECT ...), users => (SELECT ...), option => value, ...)",
    description: "The best items for each user. Returns a row per user and item: the rank, the score, the probability that \
                  the user buys the item, whether the item is new, and the propensity, which is the probability that \
                  the item is in the user's list. Items that the user already has are left out. A user the model does \
                  not know gets the items that are best for all users.",
    example: "SELECT * FROM recommend(model => 'shop', items => (SELECT item_id, text FROM 'launches.parquet'), k => 10);",
    sub_queries: &[ITEMS, USERS, LIKED, DISLIKED],
    settings: SETTINGS,
};

/// The sub-query of items.
pub(crate) const ITEMS: (&str, &str) = (
    "items",
    "The items to choose from: item_id, text, and optionally image, price and launched_at; by default the items of the \
     training data. An image (the bytes of a picture) is read by models that were trained with pictures, and then text may be \
     missing",
);

/// The sub-query of users.
pub(crate) const USERS: (&str, &str) = (
    "users",
    "The users: user_id; with item_id and optionally weight, the rows are the users' histories and replace those of the \
     training data; by default all users of the training data",
);

/// The sub-query of what users like.
pub(crate) const LIKED: (&str, &str) = (
    "liked",
    "Items that users said they like: user_id, item_id, of items or of the training data. Items like them rank higher, at once and \
     without training",
);

/// The sub-query of what users do not like.
pub(crate) const DISLIKED: (&str, &str) = (
    "disliked",
    "Items that users said they do not like: user_id, item_id. They are left out, and items like them rank lower",
);

/// The option that names the model.
pub(crate) const MODEL: Setting = setting(
    "model",
    Kind::Text,
    Default::SessionModel,
    Readers::All,
    "The recommender, 'name' or 'name@version'; by default the session's debut.model",
);

/// The names of the columns that sub-queries have.
pub(crate) const COLUMNS: Setting = setting(
    "columns",
    Kind::Columns(&["user_id", "item_id", "text", "image", "weight", "price", "launched_at"]),
    Default::Absent,
    Readers::All,
    "Columns whose names differ from their roles",
);

/// How much more new items count.
pub(crate) const NEW_BOOST: Setting = setting(
    "new_boost",
    Kind::Number(Bound::Including(0.0), Bound::Including(1_000_000.0)),
    Default::Absent,
    Readers::All,
    "Factor on the odds of new items; 1 for none; by default the one that training chose",
);

/// The seed.
pub(crate) const SEED: Setting =
    setting("seed", Kind::Integer(0, u64::MAX), Default::Value("42"), Readers::All, "Random seed");

/// The options, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    MODEL,
    setting("k", Kind::Integer(1, 1_000_000), Default::Value("20"), Readers::All, "Maximum number of items per user"),
    setting("only_new", Kind::Boolean, Default::Value("false"), Readers::All, "Whether to recommend new items only"),
    NEW_BOOST,
    setting(
        "max_exposure",
        Kind::Integer(1, u64::MAX),
        Default::Absent,
        Readers::All,
        "Maximum number of users per item; a note says how many places stay empty if there is no room for all",
    ),
    setting(
        "min_new_share",
        Kind::Number(Bound::Including(0.0), Bound::Including(1.0)),
        Default::Value("0"),
        Readers::All,
        "Minimum share of new items per user, as long as there are enough",
    ),
    setting(
        "diversity",
        Kind::Number(Bound::Including(0.0), Bound::Excluding(1.0)),
        Default::Value("0"),
        Readers::All,
        "Weight of the penalty on items similar to those ranked before them",
    ),
    setting(
        "explore",
        Kind::Boolean,
        Default::Value("false"),
        Readers::All,
        "Whether to sample items by the uncertainty of their probability (Thompson sampling)",
    ),
    setting(
        "prior_strength",
        Kind::Number(Bound::Excluding(0.0), Bound::Including(1e9)),
        Default::Value("100"),
        Readers::On("explore"),
        "Confidence in the predicted probability, as a number of times that an item was shown; higher explores less",
    ),
    setting(
        "explain",
        Kind::Boolean,
        Default::Value("false"),
        Readers::All,
        "Whether to add two columns that say why: attributions, what each part of the model adds to ln(score / (1 - score)), and \
         purchases, the items of the user's history that add most",
    ),
    COLUMNS,
    SEED,
];

/// The options of a call, typed.
#[derive(Debug, Clone)]
pub struct RecommendOptions {
    /// The model, as the call or the session names it.
    pub model: String,
    /// Most items for a user; there may be fewer to choose from.
    pub k: usize,
    /// Whether new items alone are candidates.
    pub only_new: bool,
    /// How much more new items count; `None` for the model's own.
    pub new_boost: Option<f64>,
    /// Most users an item is recommended to.
    pub max_exposure: Option<usize>,
    /// Least share of new items for a user, in [0, 1].
    pub min_new_share: f64,
    /// Weight of likeness against score, in [0, 1).
    pub diversity: f64,
    /// The strength of the prior in Thompson sampling; `None` for no exploration.
    pub explore: Option<f64>,
    /// Whether the result says why.
    pub explain: bool,
    /// The names of columns that are not called by their role.
    pub columns: BTreeMap<String, String>,
    /// Random seed.
    pub seed: u64,
}

impl RecommendOptions {
    /// The options that these values are.
    ///
    /// # Errors
    /// None in practice: every option that is read has a value of its kind.
    pub fn of(values: &Values) -> Result<Self> {
        Ok(Self {
            model: values.text("model")?.to_string(),
            k: values.count("k")?,
            only_new: values.flag("only_new"),
            new_boost: values.number_of("new_boost"),
            max_exposure: values.count_of("max_exposure"),
            min_new_share: values.number("min_new_share")?,
            diversity: values.number("diversity")?,
            explore: values.number_of("prior_strength"),
            explain: values.flag("explain"),
            columns: values.columns("columns"),
            seed: values.integer("seed")?,
        })
    }
}

/// The columns of the result; two more where it says why.
pub fn schema(ids: Ids, explain: bool) -> SchemaRef {
    let mut fields = vec![
        Field::new("user_id", ids.user.data_type(), false),
        Field::new("item_id", ids.item.data_type(), false),
        Field::new("rank", DataType::Int64, false),
        Field::new("score", DataType::Float32, false),
        Field::new("probability", DataType::Float32, false),
        Field::new("is_new", DataType::Boolean, false),
        Field::new("propensity", DataType::Float32, false),
    ];
    if explain {
        let list = |name: &str, of: Fields| {
            Field::new(name, DataType::List(Arc::new(Field::new_list_field(DataType::Struct(of), false))), false)
        };
        fields.push(list("attributions", attribution("feature", DataType::Utf8)));
        fields.push(list("purchases", attribution("item_id", ids.item.data_type())));
    }
    Arc::new(Schema::new(fields))
}

/// What something adds to the logarithm of the odds.
fn attribution(of: &str, kind: DataType) -> Fields {
    vec![Field::new(of, kind, false), Field::new("attribution", DataType::Float32, false)].into()
}
