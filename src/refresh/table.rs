//! A refresh, from its start until all rows are there.
//!
//! Takes the rows that had to be computed, in batches; gives the next version of the table, in which they are beside the rows that
//! were known. Until [`Table::commit`](super::commit) has ended nobody sees any of it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema};
use debut_udfs::refresh::Format;

use super::compare::{Comparison, SharedLedger, lock};
use super::digest::Keys;
use super::folder::Folder;
use super::ledger::Ledger;
use super::manifest::{self, Manifest, PartInfo, Recipe};
use super::part::{self, PartWriter};
use super::storage::Storage;
use super::{Error, Result};
use crate::staging::parent;

/// Rows of a part; a kill loses no more.
pub(super) const PART_ROWS: usize = 16_384;
/// A part ends after this time, however few rows it has: a kill loses no more work.
const PART_TIME: Duration = Duration::from_secs(30);

pub(super) const STATE: &str = "state.parquet";
/// What the file of keys and digests of a staged part ends with.
const STAGED: &str = "state";

/// What is to be refreshed.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The table.
    pub(crate) target: PathBuf,
    /// What the table is.
    pub(crate) format: Format,
    /// What makes its rows.
    pub(crate) recipe: Recipe,
    /// Why all rows of the source are computed, and compared only then; `None` if they are compared before.
    pub(crate) whole: Option<String>,
    /// How long versions that are not in use stay.
    pub(crate) keep: Duration,
}

/// A part, whether or not the version that is made has it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) rows: u64,
}

/// A part that is being written.
struct Unfinished {
    number: u32,
    writer: PartWriter,
    /// Keys and digests of its rows.
    state: Vec<(u128, u128)>,
    begun: Instant,
}

/// A table while it is refreshed.
pub(crate) struct Table {
    pub(super) request: Request,
    pub(super) folder: Folder,
    pub(super) begun: Instant,
    pub(super) old: Option<Manifest>,
    pub(super) storage: Storage,
    /// Where the key is among the columns.
    pub(super) key: usize,
    pub(super) keys: Keys,
    /// Compares rows of the table, if those of the source are not.
    comparison: Option<Comparison>,
    pub(super) ledger: SharedLedger,
    /// Those of the version in use, those that a killed refresh left, and new ones: the ledger has their numbers.
    pub(super) parts: Vec<Part>,
    unfinished: Option<Unfinished>,
    names: u32,
}

impl Table {
    /// Locks the table and reads what is known of it into the ledger.
    ///
    /// # Errors
    /// Somebody else refreshes it, the target is something else, or its files cannot be read.
    pub(crate) fn open(request: Request, columns: &Schema, ledger: SharedLedger) -> Result<Self> {
        let begun = Instant::now();
        let above = parent(&request.target);
        fs::create_dir_all(above).map_err(Error::file("make the folder", above))?;
        let folder = Folder::open(&request.target, request.format)?;
        // Whether a column may be NULL is a property of a plan, and changes while the table stays.
        let fields = columns.fields().iter().map(|field| Field::clone(field).with_nullable(true));
        let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), columns.metadata().clone());
        let name = request.recipe.key();
        let key = schema.index_of(name)?;
        let key_type = schema.field(key).data_type();
        let types: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
        let comparison = match &request.whole {
            None => None,
            Some(_) => {
                let meaning = request.recipe.meaning();
                Some(Comparison::new(&meaning, &types, (name, key_type), Arc::clone(&ledger))?)
            }
        };
        let keys = Keys::new(name, key_type)?;
        let stored = folder.versions.stored(&schema)?;
        let mut table = Self {
            old: None,
            parts: Vec::new(),
            unfinished: None,
            names: 0,
            storage: Storage::new(schema, stored),
            request,
            folder,
            begun,
            key,
            keys,
            comparison,
            ledger,
        };
        let mut known = Ledger::default();
        table.read_current(&mut known)?;
        table.read_staged(&mut known)?;
        *lock(&table.ledger) = known;
        Ok(table)
    }

    fn read_current(&mut self, known: &mut Ledger) -> Result<()> {
        let Some(version) = self.folder.versions.current() else { return Ok(()) };
        let about = self.folder.manifest(version);
        let manifest = Manifest::read(&about.join(manifest::FILE))?;
        let path = |part: &PartInfo| self.folder.versions.part(version, &part.name);
        let part = |part: &PartInfo| Part { path: path(part), rows: part.rows };
        self.parts = manifest.parts.iter().map(part).collect();
        part::read_state(&about.join(STATE), |key, digest, part| known.add_old(key, digest, part))?;
        self.old = Some(manifest);
        Ok(())
    }

    /// Takes the parts that a killed refresh completed, and removes the others.
    fn read_staged(&mut self, known: &mut Ledger) -> Result<()> {
        let folder = self.folder.staging();
        let mut paths = Vec::new();
        for entry in fs::read_dir(&folder).map_err(Error::file("read", &folder))? {
            paths.push(entry.map_err(Error::file("read", &folder))?.path());
        }
        paths.sort();
        let mut complete = Vec::new();
        for state in paths.iter().filter(|path| path.extension().is_some_and(|end| end == STAGED)) {
            let path = state.with_extension("parquet");
            let mut rows = Vec::new();
            let read = part::read_state(state, |key, digest, _| rows.push((key, digest)));
            // What cannot be read is computed again.
            if read.is_err() || !part::count(&path).is_ok_and(|count| count == rows.len() as u64) {
                continue;
            }
            let number = self.number()?;
            rows.iter().for_each(|(key, digest)| known.add_staged(*key, *digest, number));
            self.parts.push(Part { path: path.clone(), rows: rows.len() as u64 });
            complete.extend([state.clone(), path]);
        }
        for path in paths {
            let name = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.rsplit('-').next());
            if let Some(number) = name.and_then(|number| number.parse::<u32>().ok()) {
                self.names = self.names.max(number + 1);
            }
            if !complete.contains(&path) {
                fs::remove_file(&path).map_err(Error::file("remove", path))?;
            }
        }
        Ok(())
    }

    /// Adds rows of the source.
    ///
    /// # Errors
    /// A key is NULL or there twice, or the rows cannot be written.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut batch = RecordBatch::try_new(Arc::clone(&self.storage.columns), batch.columns().to_vec())?;
        if let Some(comparison) = &self.comparison {
            batch = filter_record_batch(&batch, &comparison.fresh(batch.column(self.key), batch.columns())?)?;
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let mut part = match self.unfinished.take() {
            Some(part) => part,
            None => {
                let (number, writer) = self.create()?;
                Unfinished { number, writer, state: Vec::new(), begun: Instant::now() }
            }
        };
        part.writer.write(&self.storage.store(&batch)?)?;
        let mut ledger = lock(&self.ledger);
        for key in self.keys.of(batch.column(self.key))? {
            let digest = ledger.put(key, part.number).ok_or(Error::Internal("a row has a key that was never read"))?;
            part.state.push((key, digest));
        }
        drop(ledger);
        let is_full = part.writer.rows >= PART_ROWS || part.begun.elapsed() >= PART_TIME;
        self.unfinished = Some(part);
        if is_full { self.finish_part() } else { Ok(()) }
    }

    /// Ends the part that is being written, so that the next refresh can use it if this one is killed.
    pub(super) fn finish_part(&mut self) -> Result<()> {
        let Some(part) = self.unfinished.take() else { return Ok(()) };
        let path = self.finish(part.number, part.writer)?;
        // The state says that the part is complete.
        part::write_state(path.with_extension(STAGED), part.state.iter().map(|(key, digest)| (*key, *digest, None)))
    }

    /// A new part, and its number.
    pub(super) fn create(&mut self) -> Result<(u32, PartWriter)> {
        let name = format!("part-{}-{:05}.parquet", self.folder.versions.next(), self.names);
        self.names += 1;
        let path = self.folder.staging().join(name);
        let number = self.number()?;
        let writer = PartWriter::create(path.clone(), &self.storage.stored)?;
        self.parts.push(Part { path, rows: 0 });
        Ok((number, writer))
    }

    /// Ends a new part.
    pub(super) fn finish(&mut self, number: u32, writer: PartWriter) -> Result<PathBuf> {
        let rows = writer.rows as u64;
        let path = writer.finish()?;
        let part = self.parts.get_mut(number as usize).ok_or(Error::Internal("a part without a number"))?;
        part.rows = rows;
        Ok(path)
    }

    fn number(&self) -> Result<u32> {
        // The last numbers say that a row is in no part.
        let number = u32::try_from(self.parts.len()).ok().filter(|number| *number < u32::MAX - 2);
        number.ok_or(Error::Internal("too many parts"))
    }

    /// Bytes that are held in memory, but for the rows that are being written.
    pub(crate) fn memory(&self) -> usize {
        let unfinished = self.unfinished.as_ref().map_or(0, |part| part.state.capacity() * size_of::<(u128, u128)>());
        lock(&self.ledger).memory() + unfinished
    }
}
