//! How a version of a table becomes the one in use, and where its parts are: all that differs between kinds of tables.
//!
//! A folder of Parquet files is a symbolic link that is replaced ([`link`](super::link)); a Delta table is a folder with a log, to
//! which an entry is added (`delta`, which is compiled with the feature of that name).

use std::path::PathBuf;

use arrow::datatypes::Schema;

use super::Result;
use super::manifest::Manifest;

/// The version that is to be the one in use.
#[cfg_attr(not(feature = "delta"), expect(dead_code, reason = "a link needs the places of the parts alone"))]
pub(super) struct Next<'a> {
    /// Its parts, and what made it.
    pub(super) manifest: &'a Manifest,
    /// Where its parts are now, in the order of the manifest.
    pub(super) parts: &'a [PathBuf],
    /// The version in use.
    pub(super) old: Option<&'a Manifest>,
    /// The columns of its parts, as they are written.
    pub(super) schema: &'a Schema,
}

/// The versions of a table, for the refresh that has its lock.
pub(super) trait Versions: Send {
    /// The version in use.
    fn current(&self) -> Option<u64>;

    /// The version that is made.
    fn next(&self) -> u64;

    /// Where a part of a version is.
    fn part(&self, version: u64, name: &str) -> PathBuf;

    /// The columns as parts are written.
    ///
    /// # Errors
    /// The table cannot hold one of them.
    fn stored(&self, columns: &Schema) -> Result<Schema>;

    /// Makes the next version the one in use, in one step, when all that it has is on the disk.
    ///
    /// # Errors
    /// The version in use is still the old one.
    fn publish(&mut self, next: &Next<'_>) -> Result<()>;

    /// Removes what refreshes left that were killed before their end.
    ///
    /// # Errors
    /// Those of the file system.
    fn remove_leftovers(&self) -> Result<()>;

    /// Removes the parts that none of these versions has.
    ///
    /// # Errors
    /// Those of the file system.
    fn retain(&self, kept: &[u64]) -> Result<()>;
}
