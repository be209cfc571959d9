//! Debut's SQL functions for any DataFusion session.
//!
//! Takes a [`model::ModelProvider`]; gives the scalar, aggregate and table functions of Debut's SQL surface:
//! [`functions::register_all`].
//!
//! # Layout
//! - [`model`]: the contract with whatever runs models; [`input`]: what they read; [`models`]: how functions hold them;
//!   [`config`]: `debut.*` settings
//! - [`embed`], [`score`], [`classify`], [`predict`], [`quantize`], [`distance`], [`hamming`], [`profile`], [`metrics`], [`vector_search`], [`hybrid_search`]: one SQL
//!   function (or family) each
//! - [`finetune`]: the options of the table function that trains; [`trainer`]: the contract with whatever trains
//! - [`compress`]: a smaller version of a model, with the contract with whatever makes one
//! - [`recommend`], [`explain_recommendation`], [`title_effect`], [`forecast_launch`], [`gaps`], [`audience`], [`evaluate`]: those of the table functions about recommenders; [`recommender`]: the
//!   contract with whatever recommends
//! - [`refresh`]: a table on disk that follows a query
//! - [`read_file`]: the content of files; [`frames`]: the images of films
//! - [`assign`], [`experiment_report`]: experiments with users; [`variants`]: what both know of them
//! - [`psi`]: drift of a distribution
//! - [`surge`]: sudden growth of counts; `distributions`: its p-values, and those of experiments
//! - [`options`]: what these have in common, calls with named arguments; [`ids`]: the types of ids; [`progress`]: how far they
//!   are
//! - `bits`, `call`, `filter`, `lists`, [`inference`], [`distinct`], [`text`], [`vectors`]: what the functions and the engine's inference node share
//!
//! # Invariant
//! Nothing in this crate names ONNX Runtime. Models are known by the traits in [`model`] only.

pub mod answer;
pub mod assign;
pub mod audience;
mod bits;
mod call;
pub mod classify;
pub mod compress;
pub mod config;
pub mod distance;
pub mod distinct;
mod distributions;
pub mod embed;
pub mod evaluate;
pub mod experiment_report;
pub mod explain_recommendation;
mod filter;
pub mod finetune;
pub mod forecast_launch;
pub mod frames;
pub mod functions;
pub mod gaps;
pub mod hamming;
pub mod hybrid_search;
pub mod ids;
pub mod inference;
pub mod input;
mod lists;
pub mod metrics;
pub mod model;
pub mod models;
pub mod options;
pub mod predict;
pub mod profile;
pub mod progress;
pub mod psi;
pub mod quantize;
pub mod read_file;
pub mod recommend;
pub mod recommender;
pub mod refresh;
pub mod score;
pub mod surge;
pub mod text;
pub mod title_effect;
pub mod trainer;
pub mod variants;
pub mod vector_search;
pub mod vectors;
