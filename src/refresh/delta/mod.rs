//! A Delta table: a folder of Parquet files, and a log that says which of them each version has.
//!
//! Takes the parts of a version; gives an entry of the log that adds and removes files, which is the one step that makes it the
//! version in use. Versions have the numbers of the log. Each entry of ours has a transaction ([`TRANSACTION`]) with its own number,
//! by which a refresh that was killed is told from one that ended; the files in the log are compared with those of our last
//! version, so that nothing that somebody else wrote is lost or taken for ours.
//!
//! What is in use is removed by nobody: `VACUUM`, which knows when a file went out of use but not by whom it is still wanted, is left
//! to others, and [`Log::retain`] removes the files of ours that no version that is kept has.
//!
//! [`types`]: what Delta holds; [`store`]: files of the log, on the disk before anybody sees them.

mod error;
mod store;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arrow::datatypes::Schema;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TableReference, TransactionError};
use deltalake_core::kernel::{Action, Add, LogicalFileView, MetadataExt, StructType, Transaction};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError, ObjectStore, TableProperty};
use futures::TryStreamExt;
use tokio::runtime::Handle;
use url::Url;

pub(super) use self::error::Error;
pub(crate) use self::types::restored;
use super::manifest::{self, Manifest, PartInfo};
use super::versions::{Next, Versions};
use super::{Result, part};
use crate::staging::{parent, sync_folder};

/// The application of our transactions.
const TRANSACTION: &str = "debut.refresh";
/// Where a table is made, before it takes its place as a whole.
const FIRST: &str = "first";
/// The log of a table is put together after so many entries, as Delta's own writer does.
const CHECKPOINT: &str = "10";

type FileError = super::Error;

/// The versions of such a table.
pub(super) struct Log {
    target: PathBuf,
    root: PathBuf,
    runtime: Handle,
    /// The table, as its log was when this was opened; `None` if there is none yet.
    table: Option<DeltaTable>,
    /// The last version that we made.
    current: Option<u64>,
}

impl Log {
    /// The versions of the table at `target`.
    ///
    /// # Errors
    /// Somebody else made it or wrote into it, or the log cannot be read.
    pub(super) fn open(target: &Path, root: &Path) -> Result<Self> {
        let runtime = Handle::try_current().map_err(|_| FileError::Internal("a Delta table needs a runtime"))?;
        let mut log = Self { target: target.to_owned(), root: root.to_owned(), runtime, table: None, current: None };
        check(target, root)?;
        if target.exists() {
            let table = log.runtime.block_on(load(target)).map_err(log.failed("read"))?;
            let (transaction, files) = log.runtime.block_on(last(&table)).map_err(log.failed("read"))?;
            let current = transaction.and_then(|version| u64::try_from(version).ok());
            let Some(current) = current else { return Err(FileError::Foreign(target.to_owned())) };
            let made = Manifest::read(&manifest::folder(root, current).join(manifest::FILE))?;
            if let Some(what) = difference(&made.parts, &files) {
                return Err(log.changed(current, what));
            }
            log.current = Some(current);
            log.table = Some(table);
        }
        Ok(log)
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(DeltaTableError) -> super::Error {
        let target = self.target.clone();
        move |source| Error::Log { action, target, source: Box::new(source) }.into()
    }

    fn changed(&self, version: u64, what: String) -> super::Error {
        Error::Changed { target: self.target.clone(), root: self.root.clone(), version, what }.into()
    }

    /// Makes the table beside its place, with its first version, and puts it there.
    fn create(&self, next: &Next<'_>, columns: StructType) -> Result<()> {
        let folder = self.root.join(FIRST);
        fs::create_dir(&folder).map_err(FileError::file("make the folder", &folder))?;
        let added = adds(&folder, next)?;
        let work = async {
            CreateBuilder::new()
                .with_log_store(log_store(&folder)?)
                .with_save_mode(SaveMode::ErrorIfExists)
                .with_columns(columns.fields().cloned())
                .with_configuration_property(TableProperty::CheckpointInterval, Some(CHECKPOINT))
                .with_actions(added)
                .with_commit_properties(commit(0))
                .await
        };
        self.runtime.block_on(work).map_err(self.failed("make"))?;
        let log = folder.join("_delta_log");
        for folder in [log.as_path(), &folder, parent(&folder)] {
            sync_folder(folder).map_err(FileError::file("write", folder))?;
        }
        fs::rename(&folder, &self.target).map_err(FileError::file("make the folder", &self.target))?;
        sync_folder(parent(&self.target)).map_err(FileError::file("write", &self.target))
    }

    /// Adds an entry to the log.
    fn add(&self, table: &DeltaTable, next: &Next<'_>, columns: &StructType) -> Result<()> {
        let version = self.next();
        let mut actions = adds(&self.target, next)?;
        let kept: BTreeSet<&str> = next.manifest.parts.iter().map(|part| part.name.as_str()).collect();
        let work = async {
            let snapshot = table.snapshot()?;
            let files = files(table).await?;
            let gone = files.iter().filter(|file| !kept.contains(file.path().as_ref()));
            actions.extend(gone.map(|file| Action::Remove(file.remove_action(true))));
            if snapshot.schema().as_ref() != columns {
                let protocol = types::protocol(snapshot.protocol(), columns)?;
                actions.extend(protocol.map(Action::Protocol));
                actions.push(Action::Metadata(snapshot.metadata().clone().with_schema(columns)?));
            }
            let operation = DeltaOperation::Write { mode: SaveMode::Overwrite, partition_by: None, predicate: None };
            let committed = CommitBuilder::from(commit(version))
                .with_actions(actions)
                .build(Some(snapshot as &dyn TableReference), table.log_store(), operation)
                .into_prepared_commit_future()
                .await?
                .await?;
            // From here on it is the version in use. A reader needs no checkpoint.
            if let Err(error) = committed.await {
                tracing::warn!("refresh: the log of '{}' could not be put together: {error}", self.target.display());
            }
            Ok(())
        };
        self.runtime.block_on(work).map_err(|error| match error {
            DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction { source: TransactionError::MaxCommitAttempts(_) } => {
                self.changed(version - 1, "its log grew while it was refreshed".to_owned())
            }
            error => self.failed("write into")(error),
        })
    }
}

impl Versions for Log {
    fn current(&self) -> Option<u64> {
        self.current
    }

    fn next(&self) -> u64 {
        // After others' entries that leave the files as they are, too, such as those of VACUUM.
        self.table.as_ref().and_then(DeltaTable::version).map_or(0, |version| version + 1)
    }

    fn part(&self, _version: u64, name: &str) -> PathBuf {
        self.target.join(name)
    }

    fn stored(&self, columns: &Schema) -> Result<Schema> {
        types::stored(columns)
    }

    fn publish(&mut self, next: &Next<'_>) -> Result<()> {
        let columns = types::columns(next.schema)?;
        let version = self.next();
        match &self.table {
            None => self.create(next, columns)?,
            Some(table) => {
                let is_same = next.old.is_some_and(|old| next.manifest.recipe.reason(&old.recipe).is_none());
                let found = table.snapshot().map_err(self.failed("read"))?.schema();
                if is_same && found.as_ref() != &columns {
                    return Err(self.changed(version - 1, "its columns are others".to_owned()));
                }
                self.add(table, next, &columns)?;
            }
        }
        self.current = Some(version);
        Ok(())
    }

    fn remove_leftovers(&self) -> Result<()> {
        let first = self.root.join(FIRST);
        match fs::remove_dir_all(&first) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(FileError::file("remove", first)(error)),
            _ => {}
        }
        self.remove(|name| version_of(name).is_none_or(|version| Some(version) <= self.current))
    }

    fn retain(&self, kept: &[u64]) -> Result<()> {
        let mut names = BTreeSet::new();
        for version in kept {
            let manifest = Manifest::read(&manifest::folder(&self.root, *version).join(manifest::FILE))?;
            names.extend(manifest.parts.into_iter().map(|part| part.name));
        }
        self.remove(|name| version_of(name).is_none() || names.contains(name))
    }
}

impl Log {
    /// Removes files in the table's folder but for those that `is_kept`.
    fn remove(&self, is_kept: impl Fn(&str) -> bool) -> Result<()> {
        let entries = match fs::read_dir(&self.target) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(FileError::file("read", &self.target))?,
        };
        for entry in entries {
            let path = entry.map_err(FileError::file("read", &self.target))?.path();
            if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| !is_kept(name)) {
                fs::remove_file(&path).map_err(FileError::file("remove", path))?;
            }
        }
        Ok(())
    }
}

/// The version for which a part was written, by its name; `None` if the file is none of ours.
fn version_of(name: &str) -> Option<u64> {
    let (version, number) = name.strip_prefix("part-")?.strip_suffix(".parquet")?.split_once('-')?;
    number.parse::<u32>().ok()?;
    version.parse().ok()
}

/// Refuses a target that cannot be such a table.
///
/// # Errors
/// It is something else.
pub(super) fn check(target: &Path, root: &Path) -> Result<()> {
    let found = match fs::symlink_metadata(target) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.map_err(FileError::file("read", target))?,
    };
    let kept = root.file_name().unwrap_or_default();
    if found.is_symlink() && fs::read_link(target).is_ok_and(|link| link.starts_with(kept)) {
        let found = "a link to a folder of Parquet files";
        return Err(FileError::OtherFormat { target: target.to_owned(), found, asked: "delta" });
    }
    if found.is_dir() && target.join("_delta_log").is_dir() && root.is_dir() {
        return Ok(());
    }
    Err(FileError::Foreign(target.to_owned()))
}

/// The log of the table in `folder`, which is read and written below that folder alone.
fn log_store(folder: &Path) -> Result<LogStoreRef, DeltaTableError> {
    let folder = fs::canonicalize(folder)?;
    let Ok(url) = Url::from_directory_path(&folder) else {
        return Err(DeltaTableError::InvalidTableLocation(folder.display().to_string()));
    };
    let options = StorageConfig::default();
    let root: Arc<dyn ObjectStore> = Arc::new(store::SyncedStore::new(&folder)?);
    let below = Arc::from(options.decorate_store(Arc::clone(&root), &url)?);
    Ok(default_logstore(below, root, &url, &options))
}

async fn load(folder: &Path) -> Result<DeltaTable, DeltaTableError> {
    let mut table = DeltaTable::new(log_store(folder)?);
    table.load().await?;
    Ok(table)
}

/// The number of our last transaction, and the files that the table has.
async fn last(table: &DeltaTable) -> Result<(Option<i64>, Vec<LogicalFileView>), DeltaTableError> {
    let log = table.log_store();
    let transaction = table.snapshot()?.transaction_version(log.as_ref(), TRANSACTION).await?;
    Ok((transaction, files(table).await?))
}

async fn files(table: &DeltaTable) -> Result<Vec<LogicalFileView>, DeltaTableError> {
    let log = table.log_store();
    table.snapshot()?.snapshot().file_views(log.as_ref(), None).try_collect().await
}

/// How the files of a table differ from those that we gave it.
fn difference(ours: &[PartInfo], files: &[LogicalFileView]) -> Option<String> {
    let ours: BTreeSet<&str> = ours.iter().map(|part| part.name.as_str()).collect();
    let found: BTreeMap<String, bool> =
        files.iter().map(|file| (file.path().into_owned(), file.deletion_vector_descriptor().is_some())).collect();
    if let Some((name, _)) = found.iter().find(|(name, _)| !ours.contains(name.as_str())) {
        return Some(format!("it has the file '{name}', which refresh did not write"));
    }
    if let Some((name, _)) = found.iter().find(|(_, has_deleted)| **has_deleted) {
        return Some(format!("rows of the file '{name}' are deleted"));
    }
    let missing = ours.iter().find(|name| !found.contains_key(**name));
    missing.map(|name| format!("the file '{name}' is no longer in it"))
}

/// What each entry of ours has beside files: our transaction. An entry that others made meanwhile is an error.
fn commit(version: u64) -> CommitProperties {
    let number = i64::try_from(version).unwrap_or(i64::MAX);
    let writer = ("clientVersion".to_owned(), concat!("debut.", env!("CARGO_PKG_VERSION")).into());
    CommitProperties::default()
        .with_metadata([writer])
        .with_application_transaction(Transaction::new_with_last_update(TRANSACTION, number, Some(now())))
        .with_max_retries(0)
}

/// Puts the parts that are new into the folder of the table, and says what the log is to know of them.
fn adds(folder: &Path, next: &Next<'_>) -> Result<Vec<Action>> {
    let old: BTreeSet<&str> = next.old.iter().flat_map(|old| &old.parts).map(|part| part.name.as_str()).collect();
    let mut adds = Vec::new();
    for (part, path) in next.manifest.parts.iter().zip(next.parts) {
        if old.contains(part.name.as_str()) {
            continue;
        }
        part::link(path, folder)?;
        let size = fs::metadata(path).map_err(FileError::file("read", path))?.len();
        adds.push(Action::Add(Add {
            path: part.name.clone(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            modification_time: now(),
            data_change: true,
            stats: Some(format!("{{\"numRecords\":{}}}", part.rows)),
            ..Add::default()
        }));
    }
    sync_folder(folder).map_err(FileError::file("write", folder))?;
    Ok(adds)
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
