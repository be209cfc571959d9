//! `finetune(model => 'name', ...)`: what the table function takes and gives.
//!
//! Takes named literals; gives typed [`FinetuneOptions`] or an error that names option, value and range, the checks of
//! which sub-queries an objective reads (`inputs`), and the columns of the result ([`rows`]). Planned and run by the
//! engine, which hands everything to a [`crate::trainer::Trainer`].
//!
//! # Layout
//! - [`settings`]: every option once, as data
//! - [`options`]: all of them together, typed; `resolve` makes them of a call's values
//! - [`inputs`]: which sub-queries an objective reads; [`rows`]: the result

pub mod inputs;
pub mod options;
mod resolve;
pub mod rows;
pub mod settings;

#[cfg(test)]
mod tests;

use crate::options::Function;
pub use options::{
    ClassWeights, FinetuneOptions, Keep, Method, Objective, Optimizer, Precision, Publish, Schedule, Split,
};

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
    sub_queries: inputs::MEANINGS,
    settings: settings::SETTINGS,
};
