//! `finetune(model => 'name', ...)`: what the table function takes and gives.
//!
//! Takes named literals; gives typed [`FinetuneOptions`] or an error that names option, value and range, the checks of
//! which sub-queries an objective reads ([`Inputs`]), and the columns of the result ([`rows`]). Planned and run by the
//! engine, which hands everything to a [`crate::trainer::Trainer`].
//!
//! # Layout
//! - [`settings`]: every option once, as data; [`value`]: one option's value, read from SQL
//! - [`options`]: all of them together, typed; `resolve` fills in defaults and refuses what is not read
//! - [`inputs`]: the sub-queries; [`rows`]: the result

pub mod inputs;
pub mod options;
mod resolve;
pub mod rows;
pub mod settings;
pub mod value;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use datafusion::logical_expr::{Documentation, DocumentationBuilder};
use datafusion_doc::DocSection;

pub use inputs::Inputs;
pub use options::{
    ClassWeights, FinetuneOptions, Keep, Method, Objective, Optimizer, Precision, Publish, Schedule, Split,
};

/// The function's name.
pub const NAME: &str = "finetune";

/// How it is called.
pub const USAGE: &str =
    "finetune(model => 'name', interactions => (SELECT ...), items => (SELECT ...), option => value, ...)";

/// The function's documentation; each option is an argument.
pub fn documentation() -> &'static Documentation {
    static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
        let section = DocSection { include: true, label: "Model Functions", description: None };
        let mut builder = Documentation::builder(
            section,
            "Trains a model on the rows of sub-queries and publishes the result as a version: a row per epoch, with its \
             losses, the validation metric and, in the last one, the version. `CALL finetune(...)` is the same as \
             `SELECT * FROM finetune(...)`. `EXPLAIN` checks a call and trains nothing; ending the query cancels the \
             training. A statement trains once, and to the end: a LIMIT that would cut epochs off is refused.",
            USAGE,
        )
        .with_sql_example(
            "```sql\nCALL finetune(model => 'shop', interactions => (SELECT user_id, item_id FROM 'interactions.parquet'),\n              \
             items => (SELECT item_id, text FROM 'products.parquet'));\n```",
        );
        for (name, meaning) in inputs::MEANINGS {
            builder = builder.with_argument(name, format!("{meaning}. A sub-query in parentheses."));
        }
        let describe = |builder: DocumentationBuilder, setting: &settings::Setting| {
            builder.with_argument(setting.name, setting.describe())
        };
        settings::SETTINGS.iter().fold(builder, describe).build()
    });
    &DOCUMENTATION
}
