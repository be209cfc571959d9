//! `finetune(...)`, `recommend(...)`, `audience(...)`, `evaluate(...)` and `experiment_report(...)` inside a query, in the order
//! of the files.
//!
//! 1. [`relation`]: SQL's `function(name => value, items => (SELECT ...), ...)`, its [`arguments`] read, becomes
//! 2. [`call`]: what is asked for, checked against the model and the columns of the sub-queries; in
//! 3. [`node`]: the logical node, whose inputs are the plans of the sub-queries;
//! 4. [`guard`]: an analyzer rule that refuses statements which would train twice, or not to the end;
//! 5. [`planner`]: from the logical node to the physical one;
//! 6. [`exec`]: the physical node. It [`gather`]s its inputs and hands them to one of the [`workers`]; its rows are the
//!    worker's.
//!
//! Planning never trains or recommends, so `EXPLAIN` is safe. Dropping the stream of the result cancels the work.

pub mod arguments;
pub mod call;
pub mod exec;
pub mod gather;
pub mod guard;
pub mod node;
pub mod planner;
pub mod relation;
pub mod workers;

#[cfg(test)]
mod tests;
