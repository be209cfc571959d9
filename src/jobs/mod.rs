//! Jobs: files of statements that are run again and again, by hand or by a scheduler.
//!
//! Takes the file of a job and what becomes of its statements; gives a lock, a record that survives whatever happens to the
//! process, and what a scheduler wants to know. The statements themselves are run by who calls.
//! - [`job`]: which runs are runs of the same job
//! - [`record`]: what is known of a run
//! - [`runs`]: the records of a home: reading, pruning, the last run that succeeded
//! - [`active`]: the run that is under way, and its lock
//! - [`window`]: which rows a run takes of a source that grows
//! - [`retry`]: which failures pass by themselves, and how long to wait for that
//! - [`schedule`]: crontab lines and systemd units

pub mod active;
mod error;
pub mod job;
pub mod record;
pub mod retry;
pub mod runs;
pub mod schedule;
pub mod window;

pub use active::ActiveRun;
pub use error::{Error, Result};
pub use job::Job;
pub use record::{Record, State};
pub use runs::Runs;
pub use window::Window;

#[cfg(test)]
mod tests;
