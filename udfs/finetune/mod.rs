//! `finetune(model => 'name', ...)`: what the table function takes and gives.
//!
//! Takes named literals; gives typed [`FinetuneOptions`] or an error that names option, value and range, and the columns of
//! the result ([`rows`]). Planned and run by the engine, which hands everything to a [`crate::trainer::Trainer`].
//!
//! # Layout
//! - [`settings`]: every option once, as data
//! - [`objective`]: what is learnt; [`examples`]: what it is learnt from, and by which sub-queries; [`method`]: what of the
//!   model is trained
//! - [`options`]: all of them together, typed; `resolve` makes them of a call's values
//! - [`rows`]: the result

pub mod examples;
pub mod method;
pub mod objective;
pub mod options;
mod resolve;
pub mod rows;
pub mod settings;

#[cfg(test)]
mod tests;

use crate::options::Function;
pub use examples::ExampleForm;
pub use method::Method;
pub use objective::{ClassWeights, Objective, Student};
pub use options::{Augment, FinetuneOptions, Keep, Optimizer, Precision, Publish, Schedule, Since, Split};

/// The function's name.
pub const NAME: &str = "finetune";

/// The function.
pub const FUNCTION: Function = Function {
    name: NAME,
    usage: "finetune(model => 'name', interactions => (SELECT ...), items => (SELECT ...), option => value, ...)",
    description: "Trains a model on the rows of sub-queries and publishes it as a new version. Returns a row per epoch with \
                  the losses and the validation metric; the last row names the version. `CALL finetune(...)` is short for \
                  `SELECT * FROM finetune(...)`. `EXPLAIN` checks a call without training. Cancelling the query cancels \
                  the training. A LIMIT that would stop the training early is an error.",
    example: "CALL finetune(model => 'shop', interactions => (SELECT user_id, item_id FROM 'interactions.parquet'),\n              \
              items => (SELECT item_id, text FROM 'products.parquet'));",
    sub_queries: examples::MEANINGS,
    settings: settings::SETTINGS,
};
