//! `refresh(source => (SELECT ...), target => 'folder/', key => 'id')` inside a query, in the order of the files.
//!
//! 1. [`node`]: the logical node that the call becomes, with the plan of the source as its input;
//! 2. [`split`](mod@split): once plans are optimized, the place below the models of the source where rows are compared, and the
//!    recipe of what is done to them above it ([`recipe`]); there the node `Changed` is put;
//! 3. [`planner`]: from the logical nodes to the physical ones, which have a [`run`] in common;
//! 4. [`changed`]: the physical node that lets the rows through that are new or changed;
//! 5. [`exec`]: the physical node on top, which writes what came through into the table, and commits.
//!
//! [`guard`] refuses an INSERT into such a table. The table itself is the business of [`crate::refresh`].

mod changed;
mod exec;
mod guard;
mod node;
mod planner;
mod recipe;
mod run;
mod split;

pub(super) use guard::refuse_inserts;
pub(super) use node::RefreshNode;
pub(super) use split::split;
