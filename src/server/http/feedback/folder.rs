//! The folder of a log: takes batches and merged files; gives files that are on the disk under their names.
//!
//! See the module's description for what lies where. Only the writer's thread changes the folder, under its lock.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;

use super::FeedbackError;
use crate::fetch::lock::FileLock;
use crate::staging::sync_folder;

/// How long a generation stays after its successor is in use: longer than a query takes to open what it listed.
pub(super) const RETIRED: Duration = Duration::from_secs(3600);

const LINK: &str = "events";
const GENERATIONS: &str = ".generations";
/// Files that are being written: readers take the first file of a folder for what all of them are.
const UNFINISHED: &str = ".unfinished";

/// The folder, locked for this process.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    generation: u64,
    /// The files of the generation by number, with their sizes.
    files: BTreeMap<u64, u64>,
    /// Generations that are not in use any more, and since when.
    retired: Vec<(PathBuf, Instant)>,
    _lock: FileLock,
}

impl Folder {
    /// Opens the folder, and clears away what a killed server left unfinished.
    ///
    /// # Errors
    /// It cannot be written, or another process has it.
    pub(super) fn open(path: &Path) -> Result<Self, FeedbackError> {
        let failed = |source| FeedbackError::File { action: "open", path: path.to_owned(), source };
        let generations = path.join(GENERATIONS);
        fs::create_dir_all(&generations).map_err(failed)?;
        fs::create_dir_all(path.join(UNFINISHED)).map_err(failed)?;
        let lock = File::create(path.join(".lock")).map_err(failed)?;
        let lock = FileLock::try_new(lock).map_err(failed)?.ok_or_else(|| FeedbackError::Locked(path.to_owned()))?;
        let mut folder =
            Self { path: path.to_owned(), generation: 0, files: BTreeMap::new(), retired: Vec::new(), _lock: lock };
        folder.recover().map_err(failed)?;
        Ok(folder)
    }

    fn recover(&mut self) -> io::Result<()> {
        let used = match fs::read_link(self.path.join(LINK)) {
            Ok(target) => target.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut newest = used.unwrap_or(0);
        for entry in fs::read_dir(self.path.join(GENERATIONS))? {
            let path = entry?.path();
            let number = path.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok());
            match number {
                Some(number) if Some(number) == used => {}
                // Never in use, or not any more: a reader may still have it.
                Some(number) => {
                    newest = newest.max(number);
                    let age = fs::metadata(&path)?.modified()?;
                    let age = SystemTime::now().duration_since(age).unwrap_or_default();
                    let since = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
                    self.retired.push((path, since));
                }
                None => {}
            }
        }
        match used {
            Some(generation) => self.generation = generation,
            None => {
                self.generation = newest + 1;
                fs::create_dir_all(self.current())?;
                self.use_generation(self.generation)?;
            }
        }
        for entry in fs::read_dir(self.current())? {
            let entry = entry?;
            let name = entry.file_name();
            if let Some(number) = name.to_str().and_then(number_of) {
                self.files.insert(number, entry.metadata()?.len());
            }
        }
        for entry in fs::read_dir(self.path.join(UNFINISHED))? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// The folder of the generation in use.
    pub(super) fn current(&self) -> PathBuf {
        self.of_generation(self.generation)
    }

    fn of_generation(&self, generation: u64) -> PathBuf {
        self.path.join(GENERATIONS).join(format!("{generation:010}"))
    }

    /// The files in use: number and size, oldest first.
    pub(super) fn files(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        self.files.iter().map(|(number, size)| (*number, *size))
    }

    /// The path of a file in use.
    pub(super) fn file(&self, number: u64) -> PathBuf {
        self.current().join(name_of(number))
    }

    /// Where a file is written before it gets its name.
    pub(super) fn unfinished(&self, name: &str) -> PathBuf {
        self.path.join(UNFINISHED).join(name)
    }

    /// The number of the next file.
    pub(super) fn next_number(&self) -> u64 {
        self.files.last_key_value().map_or(1, |(number, _)| number + 1)
    }

    /// Writes rows to a file of their own. When this returns they are on the disk, and readers see them.
    ///
    /// # Errors
    /// They could not be written; readers do not see them.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<(), FeedbackError> {
        let number = self.next_number();
        let path = self.file(number);
        let failed = |source| FeedbackError::File { action: "write", path: path.clone(), source };
        let beside = self.unfinished(&name_of(number));
        let mut unfinished = Unfinished::create(&beside, rows.schema()).map_err(failed)?;
        unfinished.write(rows).map_err(failed)?;
        let size = unfinished.finish().map_err(failed)?;
        let published = fs::rename(&beside, &path).and_then(|()| sync_folder(&self.current()));
        if let Err(error) = published {
            // What may be lost must not be seen: it is sent again.
            let _ = fs::remove_file(&path);
            return Err(failed(error));
        }
        self.files.insert(number, size);
        Ok(())
    }

    /// Puts a finished file in the place of those it was merged from, in a new generation.
    ///
    /// # Errors
    /// It cannot be done; the generation in use stays as it is.
    pub(super) fn replace(&mut self, merged: &Path, replaced: &[u64]) -> Result<(), FeedbackError> {
        let next = (self.generation + 1..).find(|number| !self.of_generation(*number).exists()).unwrap_or(u64::MAX);
        let folder = self.of_generation(next);
        let failed = |source| FeedbackError::File { action: "merge", path: folder.clone(), source };
        // It takes the place of the first: files stay in the order of their events.
        let Some(first) = replaced.first().copied() else { return Ok(()) };
        let kept: Vec<u64> = self.files.keys().copied().filter(|number| !replaced.contains(number)).collect();
        let build = || -> io::Result<u64> {
            fs::create_dir(&folder)?;
            for number in &kept {
                fs::hard_link(self.file(*number), folder.join(name_of(*number)))?;
            }
            let target = folder.join(name_of(first));
            fs::rename(merged, &target)?;
            sync_folder(&folder)?;
            sync_folder(&self.path.join(GENERATIONS))?;
            self.use_generation(next)?;
            Ok(fs::metadata(target)?.len())
        };
        let size = match build() {
            Ok(size) => size,
            Err(error) => {
                let _ = fs::remove_dir_all(&folder);
                return Err(failed(error));
            }
        };
        self.retired.push((self.current(), Instant::now()));
        self.generation = next;
        self.files.retain(|number, _| !replaced.contains(number));
        self.files.insert(first, size);
        Ok(())
    }

    /// Removes generations that no reader has any more.
    pub(super) fn remove_retired(&mut self) {
        self.retired.retain(|(path, since)| {
            if since.elapsed() < RETIRED {
                return true;
            }
            if let Err(error) = fs::remove_dir_all(path) {
                tracing::warn!(%error, path = %path.display(), "an old generation of feedback could not be removed");
            }
            false
        });
    }

    /// Points the link at a generation, at one stroke.
    fn use_generation(&self, generation: u64) -> io::Result<()> {
        let beside = self.path.join(format!(".{LINK}"));
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        link(&Path::new(GENERATIONS).join(format!("{generation:010}")), &beside)?;
        fs::rename(&beside, self.path.join(LINK))?;
        sync_folder(&self.path)
    }
}

/// A Parquet file that is not under its name yet; it goes away unless it is finished.
pub(super) struct Unfinished {
    path: PathBuf,
    writer: Option<ArrowWriter<File>>,
}

impl Unfinished {
    /// Begins a file at `path`.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn create(path: &Path, schema: SchemaRef) -> io::Result<Self> {
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let writer = ArrowWriter::try_new(File::create(path)?, schema, Some(properties)).map_err(io::Error::other)?;
        Ok(Self { path: path.to_owned(), writer: Some(writer) })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// They cannot be written.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), |writer| writer.write(rows)).map_err(io::Error::other)
    }

    /// Ends the file; its content is on the disk. Gives its size.
    ///
    /// # Errors
    /// It cannot be written to the end.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        let Some(writer) = self.writer.take() else { return Ok(0) };
        let ended = writer.into_inner().map_err(io::Error::other).and_then(|mut file| {
            file.flush()?;
            file.sync_all()?;
            Ok(file.metadata()?.len())
        });
        if ended.is_err() {
            let _ = fs::remove_file(&self.path);
        }
        ended
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.writer.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A reader of a file of feedback.
///
/// # Errors
/// It is not there, or no Parquet file.
pub(super) fn reader(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, FeedbackError> {
    let file = File::open(path);
    let file = file.map_err(|source| FeedbackError::File { action: "read", path: path.to_owned(), source })?;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|error| FeedbackError::Damaged { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "feedback needs symbolic links, as Unix has them"))
}

fn name_of(number: u64) -> String {
    format!("events-{number:012}.parquet")
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("events-")?.strip_suffix(".parquet")?.parse().ok()
}
