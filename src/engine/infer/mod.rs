//! Running models inside a query: the plan node and the rules that put it there.
//!
//! A call such as `embed(title)` is planned by its SQL function, which alone would run it once per Arrow batch. Here it
//! becomes a node of the plan instead, in the order of the files:
//! 1. [`lift`]: an optimizer rule takes calls out of projections, filters, sorts, joins, aggregates and windows, one
//!    expression at a time by `lifter`; a result that the plan has already is found by `reuse`;
//! 2. [`node`]: the logical node `Infer`, one call and one new column each;
//! 3. [`late`]: an optimizer rule sorts and limits rows below the nodes that a Sort with a limit does not need, and drops
//!    unread ones;
//! 4. [`planner`]: from the logical node to the physical one;
//! 5. [`exec`]: the physical node `InferExec`, and [`pipeline`], its stream; `model_source` loads its model;
//! 6. [`memo`]: each distinct text once; `shared`: once for several nodes of a plan.

pub mod exec;
pub mod late;
pub mod lift;
mod lifter;
pub mod memo;
mod model_source;
pub mod node;
pub mod pipeline;
pub mod planner;
mod reuse;
mod shared;
