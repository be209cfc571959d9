//! How pictures are made ready for a model: takes the content of a `preprocessor_config.json`, gives the [`Steps`].
//!
//! Read at the import, which refuses what cannot be done, and by `inference::image`, which does it.
//!
//! # Layout
//! - [`config`]: the file
//! - [`steps`]: what it asks for, in the terms of Pillow

mod config;
mod steps;

pub(crate) use steps::{Filter, Size, Steps};
