//! Models and versions on disk.

pub mod manifest;
