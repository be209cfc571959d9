//! `read_file(path)`: files as a column.
//!
//! A call is taken out of a plan's expressions as those of models are ([`infer::lift`](super::infer::lift)), and becomes a node:
//! - `exec`: the physical node `ReadFileExec`, and its stream: batches in, the same rows with one more column out
//! - `reader`: one path, read as the session may

mod exec;
mod reader;

pub(super) use exec::ReadFileExec;
pub(super) use reader::Reader;
