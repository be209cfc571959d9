//! Which numbers the versions of a model have had: takes a name and a fingerprint, gives the number of a new version.
//!
//! A number stands for one content for ever, because files of vectors and trained models name it: it is given again,
//! after DROP MODEL or a crash, to the same content only. The record outlives the model's folder: a file of lines
//! `number fingerprint` under [`Home::versions`](crate::home::Home::versions).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use super::name::{Name, parse_version};
use super::{Error, Registry, Result};
use crate::fetch::files;

/// The fingerprint of a version that cannot be read.
const UNKNOWN: &str = "-";

/// The fingerprints of all versions that there ever were, by number.
type Given = BTreeMap<u64, String>;

impl Registry {
    /// The number for a new version with this fingerprint, written down before it is used.
    pub(super) fn new_number(&self, name: &Name, fingerprint: &str) -> Result<u64> {
        let mut given = self.given(name)?;
        // A folder that is there is damaged: what is whole has been found by its fingerprint.
        let free = |number: u64| !self.snapshot(name, number).exists();
        let before = given.iter().rev().find(|(number, other)| *other == fingerprint && free(**number));
        let number = match (before, given.last_key_value()) {
            (Some((number, _)), _) => *number,
            (None, newest) => newest.map_or(1, |(newest, _)| newest + 1),
        };
        given.insert(number, fingerprint.to_owned());
        self.write_given(name, &given)?;
        Ok(number)
    }

    /// Writes down the numbers of the versions that there are, before some of them go.
    pub(super) fn keep_numbers(&self, name: &Name) -> Result<()> {
        self.write_given(name, &self.given(name)?)
    }

    /// What is written down, with what was there before anything was.
    fn given(&self, name: &Name) -> Result<Given> {
        let path = self.record(name);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            text => text.map_err(Error::io("read", &path))?,
        };
        let mut given = Given::new();
        for line in text.lines() {
            let (number, fingerprint) = line
                .split_once(' ')
                .and_then(|(number, fingerprint)| Some((parse_version(number)?, fingerprint)))
                .ok_or_else(|| {
                    let reason = format!("'{line}' is not a number and a fingerprint; correct the line or remove it");
                    Error::io("read", &path)(io::Error::new(ErrorKind::InvalidData, reason))
                })?;
            given.insert(number, fingerprint.to_owned());
        }
        // Homes of before have the newest number in the model's folder.
        if let Some(last) = self.reference(name, "last") {
            given.entry(last).or_insert_with(|| UNKNOWN.to_owned());
        }
        for version in self.versions(name)? {
            let fingerprint =
                self.read(name, version).map_or_else(|_| UNKNOWN.to_owned(), |model| model.manifest.fingerprint);
            given.entry(version).or_insert(fingerprint);
        }
        Ok(given)
    }

    fn write_given(&self, name: &Name, given: &Given) -> Result<()> {
        let mut text = String::new();
        for (number, fingerprint) in given {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{number} {fingerprint}");
        }
        Ok(files::write(&self.record(name), text.as_bytes())?)
    }

    fn record(&self, name: &Name) -> PathBuf {
        self.home().versions().join(name.folder())
    }
}
