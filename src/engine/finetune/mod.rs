//! `finetune(...)` inside a query: from SQL to a training, in the order of the files.
//!
//! 1. [`relation`]: SQL's `finetune(name => value, items => (SELECT ...), ...)` becomes
//! 2. [`node`]: the logical node `Finetune`, whose inputs are the plans of the sub-queries;
//! 3. [`guard`]: an analyzer rule that refuses statements which would train twice, or not to the end;
//! 4. [`planner`]: from the logical node to the physical one;
//! 5. [`exec`]: the physical node `FinetuneExec`. It [`gather`]s its inputs and hands them to the
//!    [`Trainer`](debut_udfs::trainer::Trainer); its rows are the trainer's epochs.
//!
//! Planning never trains, so `EXPLAIN` is safe. Dropping the stream of the result cancels the training.

pub mod exec;
pub mod gather;
pub mod guard;
pub mod node;
pub mod planner;
pub mod relation;

#[cfg(test)]
mod tests;
