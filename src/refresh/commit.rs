//! The end of a refresh: the next version, whole and on the disk, and then the link to it.
//!
//! Takes a table whose parts have all rows that are wanted; gives what was done. Whatever fails leaves the version in use as it is.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use super::compare::lock;
use super::folder::link_part;
use super::ledger::{Counts, Ledger, Place};
use super::manifest::{Manifest, PartInfo};
use super::part;
use super::table::{MANIFEST, STATE, Table};
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
            self.write_version(&ledger, &kept)?;
            self.folder.publish()?;
        }
        self.folder.clear_staging();
        self.folder.remove_old(self.request.keep);
        let Some(version) = self.folder.current() else { return Err(Error::Internal("no version is in use")) };
        let reason = recipe_changed.or(self.request.whole);
        Ok(Refreshed { counts, version, time: self.begun.elapsed(), reason })
    }

    /// Writes everything that the next version has, under its number, which no link names yet.
    fn write_version(&self, ledger: &Ledger, kept: &[bool]) -> Result<()> {
        let version = self.folder.next();
        let (about, folder) = (self.folder.manifest(version), self.folder.parts(version));
        for folder in [&about, &folder] {
            fs::create_dir(folder).map_err(Error::file("make the folder", folder))?;
        }
        let mut manifest = Manifest { recipe: self.request.recipe.clone(), parts: Vec::new() };
        let mut numbers = vec![None; self.parts.len()];
        for ((part, number), _) in self.parts.iter().zip(&mut numbers).zip(kept).filter(|(_, kept)| **kept) {
            let name = part.path.file_name().unwrap_or_default();
            link_part(&part.path, &folder, name)?;
            *number = u32::try_from(manifest.parts.len()).ok();
            manifest.parts.push(PartInfo { name: name.to_string_lossy().into_owned(), rows: part.rows });
        }
        let place = |place| match place {
            Place::Part(part) => numbers.get(part as usize).copied().flatten(),
            Place::Filtered | Place::Absent => None,
        };
        let state = ledger.state().map(|(key, digest, at)| (key, digest, place(at)));
        part::write_state(about.join(STATE), state)?;
        manifest.write(&about.join(MANIFEST))?;
        for folder in [folder.as_path(), &about, parent(&folder), parent(&about)] {
            sync_folder(folder).map_err(Error::file("write", folder))?;
        }
        Ok(())
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
