//! Debut: a SQL engine for finding the new products that people will want.
//!
//! # Layout, in the order that a query's data flows
//! - [`cli`]: the command line; thin shells over `engine` and `server`
//! - [`server`]: PostgreSQL's protocol, Arrow Flight SQL and HTTP over the network; users, TLS and limits
//! - [`engine`]: session, statements, catalog, and the plan node that runs models inside a query
//! - [`report`]: training runs and evaluations as pages of HTML
//! - [`recommend`]: components, blend, probabilities, ranking and evaluation: the recommender
//! - [`compress`]: smaller versions of models, measured
//! - [`train`]: interactions, dataset, training graph, optimizer: `finetune`
//! - [`autodiff`]: the gradient of an ONNX graph, as more of the graph
//! - [`inference`]: tokenizer, batcher, session, pooling; the one place that names ONNX Runtime for scoring
//! - [`registry`]: models and versions on disk, import and atomic publish
//! - [`onnx`]: reading and writing ONNX graphs; builders for the architectures we import
//! - [`jobs`]: files of statements that run again and again: lock, record, retries, schedule
//! - [`fetch`]: what is brought from PyPI or Hugging Face, checked and moved into place
//! - [`home`]: the folders that all of this lives in
//! - [`linalg`], [`random`]: matrices and seeded random numbers; `background`, [`cancellation`]: long work beside a query, and
//!   how it stops; `staging`: output that appears whole or not at all; `refresh`: tables on disk that follow a query
//!
//! # Invariants (held by `tests/house/main.rs`)
//! - `debut-udfs` never names ONNX Runtime: SQL functions know models by the traits in `debut_udfs::model` only.
//! - Dependencies point one way: `cli -> server -> engine -> report -> recommend -> train -> inference -> registry -> onnx, fetch ->
//!   home`, `train -> autodiff -> onnx`, `engine -> compress -> train` and `engine -> jobs -> fetch`. Scoring never names training, and nothing below `report` knows of pages.

pub mod autodiff;
mod background;
pub mod cancellation;
pub mod cli;
pub mod compress;
pub mod engine;
pub mod fetch;
pub mod home;
pub mod inference;
pub mod jobs;
pub mod linalg;
pub mod onnx;
pub mod random;
pub mod recommend;
mod refresh;
pub mod registry;
mod report;
pub mod server;
mod staging;
pub mod train;
