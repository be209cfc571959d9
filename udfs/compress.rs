//! `compress(model => 'name', examples => (SELECT ...), ...)`: a smaller version of a model of texts, and what it costs and gains.
//!
//! Takes named literals; gives typed [`CompressOptions`] and the columns of the result. Planned and run by the engine, which hands
//! everything to a [`Compressor`]: the contract with whatever rewrites models.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::LogicalPlan;
use futures::stream::BoxStream;

use crate::config::DebutConfig;
use crate::options::setting::{Default, Kind, Readers, setting};
use crate::options::{Function, Inputs, Values};
use crate::progress::Progress;
use crate::recommend::SEED;
use crate::recommender::columns::{self, Layout, Role};
use crate::trainer::Table;

/// The function's name.
pub const NAME: &str = "compress";

/// The function.
pub const FUNCTION: Function = Function {
    name: NAME,
    usage: "compress(model => 'name', examples => (SELECT text ...), to => 'fp16', dimensions => n, option => value, ...)",
    description: "Makes a smaller version of a model of texts and measures what that costs and gains. Half of the different examples \
                  fit what has to be fitted; the others are held out. Returns a row for the base and one for each step, \
                  with the bytes of the version's files, rows per second on this machine, the share of the ten nearest \
                  examples of a held-out one that both models agree on, and the mean cosine of the vectors.",
    example: "CALL compress(model => 'small', base => 'all-minilm-l6-v2', to => 'fp16', dimensions => 128,\n              \
              examples => (SELECT title AS text FROM 'products.parquet'));",
    sub_queries: &[("examples", "Texts as the model will read them, without labels: text")],
    settings: &[
        setting("model", Kind::Text, Default::Required, Readers::All, "The name to publish the result under"),
        setting(
            "base",
            Kind::Text,
            Default::SessionModel,
            Readers::All,
            "The model to compress, 'name' or 'name@version'; by default the session's debut.model",
        ),
        setting(
            "dimensions",
            Kind::Integer(1, 65_536),
            Default::Absent,
            Readers::All,
            "Width of the new vectors: the first numbers of the base's, or their products with as many principal directions of \
             the examples' vectors, whichever keeps more of the nearest examples",
        ),
        setting(
            "to",
            Kind::OneOf(Format::NAMES),
            Default::Absent,
            Readers::All,
            "How weights are stored. With fp16 the files are half as large, and a CPU computes in f32 as before. With int8 products \
             are computed in eight bits, a scale for each row, but for those that cost too much of the overlap; it is published if \
             it is at least 1.1 times as fast on this machine",
        ),
        setting(
            "publish",
            Kind::OneOf(&["if_better", "always", "never"]),
            Default::Value("if_better"),
            Readers::All,
            "Whether to publish the result: 'if_better' unless nothing is gained by it, and 'never' only measures",
        ),
        setting(
            "columns",
            Kind::Columns(&["text"]),
            Default::Absent,
            Readers::All,
            "The column of the texts, if it is not called text",
        ),
        SEED,
    ],
};

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Half floats.
    Fp16,
    /// Bytes, by which products are computed too.
    Int8,
}

impl Format {
    const NAMES: &'static [&'static str] = &["fp16", "int8"];
}

impl Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        })
    }
}

/// When the result is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// Where something is gained.
    IfBetter,
    /// Whatever is found.
    Always,
    /// Not.
    Never,
}

/// The options of a call, typed.
#[derive(Debug, Clone)]
pub struct CompressOptions {
    /// The name of the result.
    pub model: String,
    /// What is compressed, as the call or the session names it.
    pub base: String,
    /// Width of the vectors, where it is to change.
    pub dimensions: Option<usize>,
    /// How weights are stored, where that is to change.
    pub to: Option<Format>,
    /// When the result is published.
    pub publish: Publish,
    /// The names of columns that are not called by their role.
    pub columns: BTreeMap<String, String>,
    /// Random seed of the halves.
    pub seed: u64,
}

impl CompressOptions {
    /// The options that these values are.
    ///
    /// # Errors
    /// Neither `to` nor `dimensions` is given.
    pub fn of(values: &Values) -> Result<Self> {
        let options = Self {
            model: values.text("model")?.to_string(),
            base: values.text("base")?.to_string(),
            dimensions: values.count_of("dimensions"),
            to: values.text_of("to").map(|name| if name == "int8" { Format::Int8 } else { Format::Fp16 }),
            publish: match values.text("publish")? {
                "always" => Publish::Always,
                "never" => Publish::Never,
                _ => Publish::IfBetter,
            },
            columns: values.columns("columns"),
            seed: values.integer("seed")?,
        };
        if options.dimensions.is_none() && options.to.is_none() {
            return plan_err!(
                "{NAME} needs to => 'fp16' or 'int8', or dimensions => a width, or both: {}",
                FUNCTION.usage
            );
        }
        Ok(options)
    }

    /// The sub-query of a call with its one column, `text`, as `Utf8View`.
    ///
    /// # Errors
    /// There is no such sub-query, or it has no such column, or that is no text.
    pub fn read(&self, inputs: &Inputs<LogicalPlan>) -> Result<Inputs<LogicalPlan>> {
        if inputs.examples.is_none() {
            return plan_err!("{NAME} needs examples => (SELECT text ...): {}", FUNCTION.usage);
        }
        let layout = Layout { input: "examples", required: &[Role::Text], optional: &[] };
        columns::read(NAME, inputs, &[layout], &self.columns, None)
    }
}

/// Makes models smaller.
pub trait Compressor: Debug + Send + Sync {
    /// Checks what can be known before any row is read: that the base is there and can be compressed like this. Called while
    /// a query is planned, `EXPLAIN` too, so it leaves nothing behind.
    ///
    /// # Errors
    /// The call cannot succeed; the message says what to change.
    fn validate(&self, options: &CompressOptions, config: &DebutConfig) -> Result<()>;

    /// Starts the work, on threads of its own, and returns at once. The stream gives a row for the base and one for each step;
    /// the last says what was published. Dropping it cancels the work, and then nothing is published.
    ///
    /// # Errors
    /// The work cannot begin. What goes wrong later is the last item of the stream.
    fn compress(&self, request: CompressRequest, config: &DebutConfig) -> Result<BoxStream<'static, Result<Variant>>>;
}

/// What to compress, and for which texts.
#[derive(Debug, Clone)]
pub struct CompressRequest {
    /// The call's options.
    pub options: CompressOptions,
    /// The texts, as [`CompressOptions::read`] hands them over.
    pub examples: Table,
    /// Where the work says how far it is.
    pub progress: Arc<Progress>,
}

/// One row of the result.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Variant {
    /// `base`, or what was done to it so far.
    pub variant: String,
    /// Width of the vectors.
    pub dimension: u64,
    /// Size of the version's files.
    pub bytes: u64,
    /// Held-out texts a second through the model on this machine, tokenizer included.
    pub rows_per_second: f64,
    /// The mean share of the ten nearest examples of a held-out one by the base that are the variant's too.
    pub overlap: Option<f64>,
    /// The mean cosine of the held-out texts' vectors to the base's; `None` where the widths differ.
    pub cosine: Option<f64>,
    /// The version, `name@version`, if there is one.
    pub version: Option<String>,
    /// What a person should know.
    pub message: Option<String>,
}

/// The columns of the result.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            Field::new("variant", DataType::Utf8, false),
            Field::new("dimension", DataType::UInt64, false),
            Field::new("bytes", DataType::UInt64, false),
            Field::new("rows_per_second", DataType::Float64, false),
            Field::new("overlap", DataType::Float64, true),
            Field::new("cosine", DataType::Float64, true),
            Field::new("version", DataType::Utf8, true),
            Field::new("message", DataType::Utf8, true),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// A variant as a batch of one row, because rows are shown as they come.
///
/// # Errors
/// None in practice: the columns are built together.
pub fn batch(row: Variant) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![row.variant])),
        Arc::new(UInt64Array::from(vec![row.dimension])),
        Arc::new(UInt64Array::from(vec![row.bytes])),
        Arc::new(Float64Array::from(vec![row.rows_per_second])),
        Arc::new(Float64Array::from(vec![row.overlap])),
        Arc::new(Float64Array::from(vec![row.cosine])),
        Arc::new(StringArray::from(vec![row.version])),
        Arc::new(StringArray::from(vec![row.message])),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}
