//! Every option of `finetune` once, as data: name, values, default, who reads it, what it means.
//!
//! Read by `options`, which makes them typed, by the documentation, and by error messages.

use std::fmt::{self, Display};

/// An option.
#[derive(Debug)]
pub struct Setting {
    /// Its name in SQL.
    pub name: &'static str,
    /// The values it takes.
    pub kind: Kind,
    /// Its value where a call does not give one.
    pub default: Default,
    /// Which calls read it; elsewhere it is an error.
    pub readers: Readers,
    /// What it means, for the documentation.
    pub meaning: &'static str,
}

impl Setting {
    /// What it means, takes, is by default, and who reads it: for documentation.
    pub fn describe(&self) -> String {
        let mut text = format!("{}: {}.", self.meaning, self.kind);
        match self.default {
            Default::Required => text += " It has to be given.",
            Default::Absent => {}
            Default::Value(value) => text += &format!(" Default {value}."),
            Default::ByMethod(values) => {
                let values: Vec<_> = values.iter().map(|(method, value)| format!("{value} for {method}")).collect();
                text += &format!(" Default {}.", values.join(", "));
            }
        }
        if let Some(readers) = self.readers.describe() {
            text += &format!(" Only with {readers}.");
        }
        text
    }
}

/// The values that an option takes.
#[derive(Debug)]
pub enum Kind {
    /// Any text but the empty one.
    Text,
    /// One of these names.
    OneOf(&'static [&'static str]),
    /// An integer in this range, both ends included.
    Integer(u64, u64),
    /// A finite number in this range.
    Number(Bound, Bound),
    /// `true` or `false`.
    Boolean,
    /// Names, separated by commas, or a list of texts.
    Names,
    /// `role=column` pairs, separated by commas, with these roles.
    Columns(&'static [&'static str]),
    /// A timestamp, a date, or an integer where times are integers.
    Moment,
}

/// An end of a range.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// The range has this end.
    Including(f64),
    /// The range goes up to this end.
    Excluding(f64),
}

/// What an option is where a call does not give it.
#[derive(Debug, Clone, Copy)]
pub enum Default {
    /// It has to be given.
    Required,
    /// It is left out.
    Absent,
    /// This value, as SQL would write it without quotes.
    Value(&'static str),
    /// A value for each method.
    ByMethod(&'static [(&'static str, &'static str)]),
}

/// Which calls read an option.
#[derive(Debug, Clone, Copy)]
pub enum Readers {
    /// All.
    All,
    /// Those in which another option has one of these values.
    Where(&'static str, &'static [&'static str]),
    /// Those in which another option is given.
    Given(&'static str),
}

impl Readers {
    /// The condition in words, if there is one.
    pub fn describe(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Where(option, values) => Some(format!("{option} => {}", alternatives(values))),
            Self::Given(option) => Some(format!("{option} => ...")),
        }
    }
}

/// `'a', 'b' or 'c'`.
pub fn alternatives(values: &[&str]) -> String {
    let quoted: Vec<_> = values.iter().map(|value| format!("'{value}'")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("a text"),
            Self::OneOf(values) => f.write_str(&alternatives(values)),
            Self::Integer(least, u64::MAX) => write!(f, "an integer from {least}"),
            Self::Integer(least, most) => write!(f, "an integer from {least} to {most}"),
            Self::Number(least, most) => {
                match least {
                    Bound::Including(least) => write!(f, "a number from {least}")?,
                    Bound::Excluding(least) => write!(f, "a number above {least}")?,
                }
                match most {
                    Bound::Including(most) => write!(f, " to {most}"),
                    Bound::Excluding(most) => write!(f, " and below {most}"),
                }
            }
            Self::Boolean => f.write_str("true or false"),
            Self::Names => f.write_str("names such as 'query, value'"),
            Self::Columns(_) => f.write_str("pairs such as 'text=title, label=article_type'"),
            Self::Moment => f.write_str("a timestamp such as '2026-01-31' (or an integer, where times are integers)"),
        }
    }
}

/// The columns that inputs have, whose names in a sub-query may be others.
pub const ROLES: &[&str] =
    &["user_id", "item_id", "text", "positive", "negative", "other", "label", "weight", "timestamp"];

const METHODS: &[&str] = &["head", "bitfit", "lora", "adapter", "prefix", "adalora", "top_layers", "full"];
const OBJECTIVES: &[&str] = &["bce", "contrastive", "bpr", "classification", "regression", "similarity"];
const LOW_RANK: Readers = Readers::Where("method", &["lora", "adalora"]);

const RATES: Default = Default::ByMethod(&[
    ("head", "0.001"),
    ("bitfit", "0.001"),
    ("lora", "0.0005"),
    ("adapter", "0.0005"),
    ("prefix", "0.001"),
    ("adalora", "0.0005"),
    ("top_layers", "0.00005"),
    ("full", "0.00002"),
]);

/// The options, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    setting("model", Kind::Text, Default::Required, Readers::All, "The name that the result is published under"),
    setting(
        "base",
        Kind::Text,
        Default::Absent,
        Readers::All,
        "The model to start from, 'name' or 'name@version'; without it the session's debut.model",
    ),
    setting("objective", Kind::OneOf(OBJECTIVES), Default::Value("contrastive"), Readers::All, "What is learnt"),
    setting("method", Kind::OneOf(METHODS), Default::Value("lora"), Readers::All, "What of the model is trained"),
    setting("rank", Kind::Integer(1, 1024), Default::Value("8"), LOW_RANK, "Rank of the low-rank matrices"),
    setting(
        "alpha",
        Kind::Number(Bound::Excluding(0.0), Bound::Including(10_000.0)),
        Default::Value("16"),
        LOW_RANK,
        "The low-rank product is multiplied by alpha / rank",
    ),
    setting(
        "targets",
        Kind::Names,
        Default::Absent,
        LOW_RANK,
        "The layers that get low-rank matrices, by the ends of their names, or 'all'; without it those of queries and values",
    ),
    setting(
        "layers",
        Kind::Integer(1, 1000),
        Default::Value("2"),
        Readers::Where("method", &["top_layers"]),
        "How many of the last layers are trained",
    ),
    setting(
        "width",
        Kind::Integer(1, 8192),
        Default::Value("64"),
        Readers::Where("method", &["adapter"]),
        "Width of the adapters",
    ),
    setting(
        "length",
        Kind::Integer(1, 256),
        Default::Value("16"),
        Readers::Where("method", &["prefix"]),
        "Length of the prefix in tokens",
    ),
    setting(
        "dropout",
        Kind::Number(Bound::Including(0.0), Bound::Excluding(1.0)),
        Default::Value("0"),
        Readers::All,
        "Share of values that are dropped while training, of what lora reads or else of the pooled embeddings",
    ),
    setting("epochs", Kind::Integer(1, 10_000), Default::Value("3"), Readers::All, "Passes over the training examples"),
    setting("max_steps", Kind::Integer(1, u64::MAX), Default::Absent, Readers::All, "Most steps of the optimizer"),
    setting("batch_size", Kind::Integer(1, 65_536), Default::Value("64"), Readers::All, "Examples in a batch"),
    setting(
        "accumulate",
        Kind::Integer(1, 4096),
        Default::Value("1"),
        Readers::All,
        "Batches whose gradients are summed for one step",
    ),
    setting(
        "learning_rate",
        Kind::Number(Bound::Excluding(0.0), Bound::Including(100.0)),
        RATES,
        Readers::All,
        "The highest learning rate of the schedule",
    ),
    setting("optimizer", Kind::OneOf(&["adamw", "sgd"]), Default::Value("adamw"), Readers::All, "The optimizer"),
    setting(
        "momentum",
        Kind::Number(Bound::Including(0.0), Bound::Excluding(1.0)),
        Default::Value("0.9"),
        Readers::Where("optimizer", &["sgd"]),
        "Momentum",
    ),
    setting(
        "weight_decay",
        Kind::Number(Bound::Including(0.0), Bound::Including(10.0)),
        Default::Value("0.01"),
        Readers::All,
        "Decoupled weight decay of matrices",
    ),
    setting(
        "schedule",
        Kind::OneOf(&["constant", "linear", "cosine"]),
        Default::Value("linear"),
        Readers::All,
        "How the learning rate goes on after the warm-up",
    ),
    setting(
        "warmup",
        Kind::Number(Bound::Including(0.0), Bound::Excluding(1.0)),
        Default::Value("0.1"),
        Readers::All,
        "Share of the steps over which the learning rate rises",
    ),
    setting(
        "clip",
        Kind::Number(Bound::Including(0.0), Bound::Including(1_000_000.0)),
        Default::Value("1"),
        Readers::All,
        "Largest norm of the whole gradient; 0 for no clipping",
    ),
    setting(
        "patience",
        Kind::Integer(1, 10_000),
        Default::Absent,
        Readers::All,
        "Epochs without a better metric after which training stops; without it training never stops early",
    ),
    setting(
        "max_tokens",
        Kind::Integer(8, 65_536),
        Default::Absent,
        Readers::All,
        "Longest training text in tokens; without it what the base model reads",
    ),
    setting(
        "temperature",
        Kind::Number(Bound::Including(0.001), Bound::Including(10.0)),
        Default::Value("0.05"),
        Readers::Where("objective", &["contrastive"]),
        "Cosines are divided by it before the softmax",
    ),
    setting(
        "negatives",
        Kind::Integer(1, 1000),
        Default::Value("4"),
        Readers::Where("objective", &["bce", "bpr"]),
        "Items drawn for each that a user chose, where there are no labels",
    ),
    setting(
        "class_weights",
        Kind::OneOf(&["none", "balanced"]),
        Default::Value("none"),
        Readers::Where("objective", &["classification"]),
        "Whether rare labels count as much as common ones",
    ),
    setting(
        "split",
        Kind::OneOf(&["random", "time", "last"]),
        Default::Value("random"),
        Readers::All,
        "Which examples validate: any, the latest by timestamp, or each user's last interaction",
    ),
    setting(
        "validation",
        Kind::Number(Bound::Including(0.0), Bound::Including(0.9)),
        Default::Value("0.1"),
        Readers::All,
        "Share of the examples that validate",
    ),
    setting(
        "since",
        Kind::Moment,
        Default::Absent,
        Readers::All,
        "Train on what is new: on examples whose timestamp is this or later",
    ),
    setting(
        "replay",
        Kind::Number(Bound::Including(0.0), Bound::Including(1.0)),
        Default::Value("0.2"),
        Readers::Given("since"),
        "Share of the older examples that are trained on again",
    ),
    setting(
        "columns",
        Kind::Columns(ROLES),
        Default::Absent,
        Readers::All,
        "The names of the inputs' columns where they are others",
    ),
    setting("seed", Kind::Integer(0, u64::MAX), Default::Value("42"), Readers::All, "Seed of everything that is drawn"),
    setting(
        "publish",
        Kind::OneOf(&["if_better", "always", "never"]),
        Default::Value("if_better"),
        Readers::All,
        "Whether the result becomes the version in use: if its metric beats the one in use, always, or never",
    ),
    setting(
        "keep",
        Kind::OneOf(&["merged", "delta"]),
        Default::Value("merged"),
        Readers::All,
        "What a version holds: a whole model, or the low-rank matrices on top of the base",
    ),
    setting(
        "resume",
        Kind::Boolean,
        Default::Value("true"),
        Readers::All,
        "Whether an unfinished run of the same options and data is gone on with",
    ),
    setting(
        "precision",
        Kind::OneOf(&["full", "mixed"]),
        Default::Value("full"),
        Readers::All,
        "What the forward and backward pass compute in",
    ),
];

const fn setting(name: &'static str, kind: Kind, default: Default, readers: Readers, meaning: &'static str) -> Setting {
    Setting { name, kind, default, readers, meaning }
}
