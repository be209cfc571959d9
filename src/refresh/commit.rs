//! The end of a refresh: the next version, whole and on the disk, and then in use.
//!
//! Takes a table whose parts have all rows that are wanted; gives what was done. Whatever fails leaves the version in use as it is.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::compare::lock;
use super::ledger::{Counts, Ledger, Place};
use super::manifest::{self, Manifest, PartInfo};
use super::part;
use super::table::{STATE, Table};
use super::versions::Next;
use super::{Error, Result};
use crate::staging::{parent, sync_folder};

/// What was done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refreshed {
    pub(crate) counts: Counts,
    /// The version in use.
    pub(crate) version: u64,
    pub(crate) time: Duration,
    /// Why everything was computed.
    pub(crate) reason: Option<String>,
}

impl Table {
    /// Makes the rows that were known and those that were added the version in use.
    ///
    /// # Errors
    /// The disk does not take it; the version in use is still the old one.
    pub(crate) fn commit(mut self) -> Result<Refreshed> {
        self.finish_part()?;
        let ledger = Arc::clone(&self.ledger);
        let mut ledger = lock(&ledger);
        let counts = ledger.counts();
        let recipe_changed = match &self.old {
            None => Some("the table is new".to_owned()),
            Some(old) => self.request.recipe.reason(&old.recipe),
        };
        if recipe_changed.is_some() || !ledger.is_as_before() {
            self.compact(&mut ledger)?;
            let mut kept: Vec<bool> = self.live(&ledger).into_iter().map(|rows| rows > 0).collect();
            if counts.rows() == 0 {
                // A table without rows has one part, which says what its columns are.
                let (number, writer) = self.create()?;
                self.finish(number, writer)?;
                kept.push(true);
            }
            let (manifest, parts) = self.write_version(&ledger, &kept)?;
            let (old, schema) = (self.old.as_ref(), &self.storage.stored);
            self.folder.versions.publish(&Next { manifest: &manifest, parts: &parts, old, schema })?;
        }
        self.folder.clear_staging();
        self.folder.remove_old(self.request.keep);
        let Some(version) = self.folder.versions.current() else { return Err(Error::Internal("no version is in use")) };
        let reason = recipe_changed.or(self.request.whole);
        Ok(Refreshed { counts, version, time: self.begun.elapsed(), reason })
    }

    /// Writes what the next version is, under its number, which is not in use yet. Gives its manifest, and where its parts are.
    fn write_version(&self, ledger: &Ledger, kept: &[bool]) -> Result<(Manifest, Vec<PathBuf>)> {
        let about = self.folder.manifest(self.folder.versions.next());
        fs::create_dir(&about).map_err(Error::file("make the folder", &about))?;
        let mut manifest = Manifest { recipe: self.request.recipe.clone(), parts: Vec::new() };
        let (mut numbers, mut paths) = (vec![None; self.parts.len()], Vec::new());
        for ((part, number), _) in self.parts.iter().zip(&mut numbers).zip(kept).filter(|(_, kept)| **kept) {
            let name = part.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            *number = u32::try_from(manifest.parts.len()).ok();
            manifest.parts.push(PartInfo { name, rows: part.rows });
            paths.push(part.path.clone());
        }
        let place = |place| match place {
            Place::Part(part) => numbers.get(part as usize).copied().flatten(),
            Place::Filtered | Place::Absent => None,
        };
        let state = ledger.state().map(|(key, digest, at)| (key, digest, place(at)));
        part::write_state(about.join(STATE), state)?;
        manifest.write(&about.join(manifest::FILE))?;
        for folder in [about.as_path(), parent(&about)] {
            sync_folder(folder).map_err(Error::file("write", folder))?;
        }
        Ok((manifest, paths))
    }

    /// How many rows of each part the version that is made has.
    pub(super) fn live(&self, ledger: &Ledger) -> Vec<u64> {
        let mut live = vec![0; self.parts.len()];
        for (.., place) in ledger.state() {
            if let Place::Part(part) = place
                && let Some(rows) = live.get_mut(part as usize)
            {
                *rows += 1;
            }
        }
        live
    }
}
