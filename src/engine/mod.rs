//! SQL in, rows out: the session and what it adds to DataFusion.
//!
//! # The life of a query
//! An [`Engine`] holds what the sessions of a process share, and opens each for what its [`Access`] allows.
//! [`Session::run`] is the whole way on one screen: a [`statements::Statement`] is planned, its models' calls are lifted
//! into nodes ([`infer`]), object stores are registered ([`stores`]), and DataFusion runs it, with the locations of files as
//! tables (`url_tables`), Delta tables (`delta`), tables in memory whose rows are counted (`memory_table`), and a `COPY` whose
//! output appears whole or not at all (`copy`); what it cannot read gets the name of its file ([`files`]), and `describe` says
//! for people what went wrong. `finetune(...)`, `recommend(...)` and their like are nodes too ([`calls`]), and so is
//! `refresh(...)`, which skips rows below the models of its source (`refresh`); [`planner`] makes such nodes physical,
//! `read_file` is the one that reads the files of a column, `explain` keeps what EXPLAIN prints of them short, and [`interrupt`]
//! makes plans stop when nobody waits for them.
//! Statements about models are table functions in another spelling ([`manage`]), because servers with a fixed grammar
//! reach only functions; [`statement_text`] is a statement for records, [`repeatable`] says whether it can be run again; the
//! tables of the schema `debut` ([`catalog`]) say what there is.

pub mod access;
pub mod calls;
pub mod catalog;
mod copy;
mod delta;
pub(crate) mod describe;
#[expect(clippy::module_inception, reason = "the file of the type that the module is named after")]
pub mod engine;
mod explain;
pub mod files;
pub mod infer;
pub mod interrupt;
pub mod manage;
mod memory_table;
pub mod parameters;
pub mod planner;
mod read_file;
mod refresh;
pub mod repeatable;
pub mod session;
pub mod statement_text;
pub mod statements;
pub mod stores;
mod url_tables;

pub use access::Access;
pub use calls::workers::Workers;
pub use engine::{Engine, EngineOptions, SERVED_SPILL_LIMIT};
pub use parameters::Parameters;
pub use session::Session;
pub use statements::Statement;
