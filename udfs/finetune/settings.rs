//! Every option of `finetune` once, as data.

use super::{method, objective};
use crate::options::setting::{Bound, Default, Kind, Readers, Setting, setting};

/// The columns that inputs have, whose names in a sub-query may be others.
pub const ROLES: &[&str] = &[
    "user_id",
    "item_id",
    "text",
    "image",
    "positive",
    "negative",
    "other",
    "label",
    "weight",
    "quantity",
    "timestamp",
    "price",
    "launched_at",
];

const LOW_RANK: Readers = Readers::Where("method", &["lora", "adalora"]);

/// A recommender and a student have trainings of their own, of which these say nothing.
const OF_ENCODERS: Readers = Readers::Except("objective", &["recommend", "distill"]);
const NOT_RECOMMEND: Readers = Readers::Except("objective", &["recommend"]);
const NOT_DISTILL: Readers = Readers::Except("objective", &["distill"]);
const NOT_STATIC: Readers = Readers::Except("student", &["static"]);
const DISTILL: Readers = Readers::Where("objective", &["distill"]);
const RECOMMEND: Readers = Readers::Where("objective", &["recommend"]);

const RATES: Default = Default::By {
    cases: &[
        ("objective", "recommend", "0.00015"),
        ("student", "static", "0.003"),
        ("student", "layers", "0.0002"),
        ("method", "head", "0.0025"),
        ("method", "bitfit", "0.001"),
        ("method", "lora", "0.0005"),
        ("method", "adapter", "0.0005"),
        ("method", "prefix", "0.001"),
        ("method", "adalora", "0.0005"),
        ("method", "top_layers", "0.00005"),
        ("method", "full", "0.00002"),
    ],
    otherwise: None,
};

/// A default that some objectives have another of.
const fn unless(otherwise: &'static str, cases: &'static [(&str, &str, &'static str)]) -> Default {
    Default::By { cases, otherwise: Some(otherwise) }
}

/// The options, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    setting("model", Kind::Text, Default::Required, Readers::All, "The name to publish the result under"),
    setting(
        "since",
        Kind::Moment,
        Default::Absent,
        Readers::All,
        "Train on what came from this time on, and on a share of what is older; 'last' goes on from the version in use, with \
         what is later than its training data. A recommender takes 'last' alone and all interactions: its factors, neighbours \
         and counts are fitted anew to all of them, its encoder goes on from the version in use, whose weights, boost and \
         past launches it keeps. The same objective, method and factors are required",
    ),
    setting(
        "base",
        Kind::Text,
        Default::SessionModel,
        Readers::Except("since", &["last"]),
        "The model to start from, 'name' or 'name@version'; by default the session's debut.model",
    ),
    setting("objective", Kind::OneOf(objective::NAMES), Default::Value("contrastive"), Readers::All, "What to learn"),
    setting(
        "student",
        Kind::OneOf(objective::STUDENTS),
        Default::Value("static"),
        DISTILL,
        "The kind of model that learns to give the base's vectors: a sum of vectors, one for each token and for each pair of \
         neighbouring tokens that two texts have (static), or the base's first, middle and last layer (layers)",
    ),
    setting(
        "method",
        Kind::OneOf(method::NAMES),
        unless("lora", &[("objective", "recommend", "full")]),
        NOT_DISTILL,
        "Which parameters to train",
    ),
    setting("rank", Kind::Integer(1, 1024), Default::Value("8"), LOW_RANK, "Rank of the low-rank matrices"),
    setting(
        "alpha",
        Kind::Number(Bound::Excluding(0.0), Bound::Including(10_000.0)),
        Default::Value("16"),
        LOW_RANK,
        "Scale of the low-rank product, which is multiplied by alpha / rank",
    ),
    setting(
        "targets",
        Kind::Names,
        Default::Absent,
        LOW_RANK,
        "The layers to give low-rank matrices, by the ends of their names, or 'all'; by default those of queries and values",
    ),
    setting(
        "layers",
        Kind::Integer(1, 1000),
        Default::Value("2"),
        Readers::Where("method", &["top_layers"]),
        "Number of last layers to train",
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
        OF_ENCODERS,
        "Dropout rate, of the inputs of low-rank matrices or else of the pooled embeddings",
    ),
    setting(
        "epochs",
        Kind::Integer(1, 10_000),
        unless("3", &[("objective", "recommend", "16"), ("objective", "distill", "10"), ("method", "head", "30")]),
        Readers::All,
        "Passes over the training examples; the best one by the validation metric is published, of method => head without \
         patience the last",
    ),
    setting(
        "max_steps",
        Kind::Integer(1, u64::MAX),
        Default::Absent,
        NOT_RECOMMEND,
        "Maximum number of optimizer steps",
    ),
    setting(
        "batch_size",
        Kind::Integer(1, 65_536),
        unless("64", &[("objective", "recommend", "256"), ("student", "static", "128"), ("student", "layers", "32")]),
        Readers::All,
        "Examples per batch",
    ),
    setting(
        "accumulate",
        Kind::Integer(1, 4096),
        Default::Value("1"),
        OF_ENCODERS,
        "Batches per optimizer step, whose gradients are summed",
    ),
    setting(
        "learning_rate",
        Kind::Number(Bound::Excluding(0.0), Bound::Including(100.0)),
        RATES,
        Readers::All,
        "Peak learning rate",
    ),
    setting("optimizer", Kind::OneOf(&["adamw", "sgd"]), Default::Value("adamw"), OF_ENCODERS, "The optimizer"),
    setting(
        "momentum",
        Kind::Number(Bound::Including(0.0), Bound::Excluding(1.0)),
        Default::Value("0.9"),
        Readers::Where("optimizer", &["sgd"]),
        "Momentum of SGD",
    ),
    setting(
        "weight_decay",
        Kind::Number(Bound::Including(0.0), Bound::Including(10.0)),
        Default::Value("0.01"),
        NOT_STATIC,
        "Decoupled weight decay of weight matrices",
    ),
    setting(
        "schedule",
        Kind::OneOf(&["constant", "linear", "cosine"]),
        Default::Value("linear"),
        OF_ENCODERS,
        "Learning rate schedule after the warm-up",
    ),
    setting(
        "warmup",
        Kind::Number(Bound::Including(0.0), Bound::Excluding(1.0)),
        Default::Value("0.1"),
        NOT_STATIC,
        "Share of the steps for the warm-up of the learning rate",
    ),
    setting(
        "clip",
        Kind::Number(Bound::Including(0.0), Bound::Including(1_000_000.0)),
        Default::Value("1"),
        NOT_STATIC,
        "Maximum norm of the gradient; 0 disables clipping",
    ),
    setting(
        "patience",
        Kind::Integer(1, 10_000),
        Default::Absent,
        NOT_RECOMMEND,
        "Epochs without a better validation metric before training stops; by default it never stops early",
    ),
    setting(
        "max_tokens",
        Kind::Integer(8, 65_536),
        Default::Absent,
        Readers::All,
        "Maximum length of a training text in tokens; by default the limit of the base model",
    ),
    setting(
        "augment",
        Kind::OneOf(&["none", "flip", "crop", "full"]),
        Default::Absent,
        OF_ENCODERS,
        "How pictures that are trained on are changed, each time another way, before they are resized: half of them mirrored \
         (flip), a part of 50 to 100% of the area cut out too (crop), brightness, contrast and saturation times 0.8 to 1.2 too \
         (full); by default flip. Not for texts, nor with method => head; validation pictures stay as they are",
    ),
    setting(
        "temperature",
        Kind::Number(Bound::Including(0.001), Bound::Including(10.0)),
        Default::Absent,
        Readers::Where("objective", &["contrastive"]),
        "Temperature of the softmax over cosines of texts, by default 0.05; not for texts with pictures, of which the base's own \
         scale is trained",
    ),
    setting(
        "negatives",
        Kind::Integer(1, 1000),
        Default::Value("4"),
        Readers::Where("objective", &["bce", "bpr"]),
        "Negative items sampled per positive one, where there are no labels",
    ),
    setting(
        "class_weights",
        Kind::OneOf(&["none", "balanced"]),
        Default::Value("none"),
        Readers::Where("objective", &["classification"]),
        "Weights of the labels in the loss; balanced ones give every label the same total, and then versions are compared by macro F1 \
         instead of accuracy",
    ),
    setting(
        "factors",
        Kind::Integer(2, 1024),
        Default::Value("64"),
        RECOMMEND,
        "Number of latent factors of users and items",
    ),
    setting(
        "window",
        Kind::Integer(1, 3660),
        Default::Value("84"),
        RECOMMEND,
        "Length of a launch window in days: items launched in the same window are held out together, and an item is new for as long",
    ),
    setting(
        "neighbours",
        Kind::Integer(1, 10_000),
        Default::Value("50"),
        RECOMMEND,
        "Number of known items with the most similar texts, from which a new item's buyers are predicted; the same of pictures",
    ),
    setting(
        "image_base",
        Kind::Text,
        Default::Absent,
        Readers::Where("objective", &["recommend", "classification", "regression"]),
        "The model of pictures where examples or items have a column image beside the texts; by default the session's \
         debut.image_model, and with since => 'last' that of the version in use. A classifier or a regression then reads a text \
         and a picture at once, by base and by this model, which are both trained as method says. A recommender compares \
         pictures by its vectors and keeps a copy; there it is not trained",
    ),
    setting(
        "split",
        Kind::OneOf(&["random", "time", "last"]),
        unless("random", &[("objective", "recommend", "time"), ("since", "last", "time")]),
        Readers::All,
        "Which examples to validate on (random ones, the latest, or each user's last; for a recommender random items, or \
         those of the last launch windows)",
    ),
    setting(
        "validation",
        Kind::Number(Bound::Including(0.0), Bound::Including(0.9)),
        Default::Value("0.1"),
        NOT_RECOMMEND,
        "Share of the examples to validate on",
    ),
    setting(
        "replay",
        Kind::Number(Bound::Including(0.0), Bound::Excluding(1.0)),
        Default::Value("0.2"),
        Readers::GivenExcept("since", "objective", &["recommend"]),
        "Share of the rows that are older than since, so that what they taught is not forgotten; drawn with the seed, and at \
         most all of them",
    ),
    setting(
        "columns",
        Kind::Columns(ROLES),
        Default::Absent,
        Readers::All,
        "Columns whose names differ from their roles",
    ),
    setting("seed", Kind::Integer(0, u64::MAX), Default::Value("42"), Readers::All, "Random seed"),
    setting(
        "publish",
        Kind::OneOf(&["if_better", "always", "never"]),
        Default::Value("if_better"),
        Readers::All,
        "When the result becomes the current version (if its metric beats that of the current version, always, or never; a \
         recommender is compared on launches that neither version was trained on, and without any it is published with a \
         note that says so; with since => 'last' both are compared on the newest data, and the result has to be better by \
         more than chance: the 95% bootstrap interval of the difference is above 0)",
    ),
    setting(
        "keep",
        Kind::OneOf(&["merged", "delta"]),
        Default::Value("merged"),
        OF_ENCODERS,
        "What a version stores (the whole model, or only the low-rank matrices, which need the base)",
    ),
    setting(
        "resume",
        Kind::Boolean,
        Default::Value("true"),
        Readers::All,
        "Whether to resume an unfinished run with the same options and data at its first unfinished epoch; the result is that \
         of a run that was not interrupted",
    ),
    setting(
        "precision",
        Kind::OneOf(&["full", "mixed"]),
        Default::Value("full"),
        OF_ENCODERS,
        "Precision of the forward and backward pass",
    ),
];
