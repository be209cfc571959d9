//! What a session may do: everything, as on the command line, or what a server allows its clients.
//!
//! Takes the folders that are served and whether they may be written; gives answers, or an error that says what is allowed.
//! A served session is held at several places, so that no single mistake opens the machine:
//! - [`folders`]: a location in SQL becomes a file in a served folder, or an error;
//! - [`store`]: the one object store of such a session looks at every path again, symbolic links followed;
//! - [`statements`]: what a plan does, from top to bottom; asked when a statement is planned and again before it is run;
//! - [`settings`]: what `SET` may change.
//!
//! # What SQL can reach besides
//! - The registry, through `CREATE MODEL`, `DROP MODEL`, `finetune` and `evaluate`: refused where nothing may be written.
//!   `CREATE MODEL` reads a folder without the object store; it must be a served one, and no address of the network.
//! - The network: `embed` and its like fetch the default model and the runtime if they are not there yet, once, and unless
//!   the engine is offline. Neither where from nor what is SQL's to say.
//! - Files: `COPY`, `INSERT` and `refresh` write below the served folders, where anything may be written at all. The log of a Delta
//!   table may name any file; its files are read through the store, too.
//! - `read_file` reads there: a path is looked at as that of a table is, and the object store looks again.
//! - Memory: a table in it is counted as queries are ([`memory_table`](super::memory_table)).
//! - The disk: what queries spill, up to [`SERVED_SPILL_LIMIT`](super::SERVED_SPILL_LIMIT) in all.
//! - The cache of vectors, which all sessions share: `SET debut.cache` turns it on and off for the session, and where it is and how
//!   large are the process's. `cache_hits` in EXPLAIN ANALYZE say whether somebody has had the very same text embedded before.
//! - The environment: no function reads it. Variables of object stores are for stores that served sessions have not.
//! - Names of paths: `EXPLAIN` shows those of the files it reads, the schema `debut` those of Debut's home (`folder`, `file`,
//!   `source`, `problem`) and of jobs (`job`, `statement`, which has no values of secret options), and `SHOW ALL` the temporary folder. None of them can be read by its name.

mod folders;
mod settings;
mod statements;
mod store;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::catalog::TableProviderFactory;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, plan_err};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::datasource::listing_table_factory::ListingTableFactory;
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry, ObjectStoreUrl};
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::prelude::SessionConfig;

use folders::{Folders, path_of};
use store::ServedStore;

/// What a session may do.
#[derive(Debug, Clone)]
pub struct Access(Option<Arc<Served>>);

/// What a client of a server may do.
#[derive(Debug)]
struct Served {
    folders: Arc<Folders>,
    writable: bool,
    stores: Arc<DefaultObjectStoreRegistry>,
}

impl Access {
    /// Whatever the process may: for the command line.
    pub fn everything() -> Self {
        Self(None)
    }

    /// Files below `folders` and nothing else. If `writable`, statements may also write there, and make and drop models.
    ///
    /// A relative name in SQL is one below the folder if there is one. Of several, it begins with the last part of the
    /// folder's path: `shop/items.parquet` is `items.parquet` in `/srv/shop`.
    ///
    /// # Errors
    /// A folder is not there, or its path has one of the characters of patterns (`*`, `?`, `[`).
    pub fn served(folders: &[PathBuf], writable: bool) -> Result<Self> {
        let folders = Arc::new(Folders::open(folders)?);
        let stores = Arc::new(DefaultObjectStoreRegistry::new());
        let store = Arc::new(ServedStore::new(Arc::clone(&folders), writable));
        stores.register_store(ObjectStoreUrl::local_filesystem().as_ref(), store);
        Ok(Self(Some(Arc::new(Served { folders, writable, stores }))))
    }

    /// The access of the session with this configuration.
    pub(super) fn of(config: &SessionConfig) -> Self {
        config.get_extension::<Self>().map_or(Self::everything(), |access| access.as_ref().clone())
    }

    /// Whether the session is a client's of a server.
    pub(super) fn is_served(&self) -> bool {
        self.0.is_some()
    }

    /// The object stores of the session; `None` for those of the process.
    pub(super) fn stores(&self) -> Option<Arc<dyn ObjectStoreRegistry>> {
        self.0.as_ref().map(|served| Arc::clone(&served.stores) as _)
    }

    /// Leaves only tables whose files pass through the object store: DataFusion opens those of unbounded tables by itself.
    pub(super) fn restrict_formats(&self, factories: &mut HashMap<String, Arc<dyn TableProviderFactory>>) {
        if self.0.is_some() {
            factories.values_mut().for_each(|factory| *factory = Arc::new(ListingTableFactory::new()));
        }
    }

    /// The location of a file or folder that is read, with which DataFusion finds it wherever the process runs.
    ///
    /// # Errors
    /// It is not served, or not there: the message is the same.
    pub(super) fn read<'a>(&self, location: &'a str) -> Result<Cow<'a, str>> {
        match &self.0 {
            Some(served) => served.folders.existing(location).map(Cow::Owned),
            None => Ok(Cow::Borrowed(location)),
        }
    }

    /// The path of a local folder that may be made or replaced. A symbolic link of that name is the caller's business; those above it
    /// are followed.
    ///
    /// # Errors
    /// It is not local, or below no folder that is served.
    pub(super) fn folder_to_write(&self, location: &str) -> Result<PathBuf> {
        let name = location.trim_end_matches('/');
        if name.contains("://") {
            return plan_err!("'{location}' is no folder on a local disk");
        }
        let (above, last) = name.rsplit_once('/').unwrap_or(("", name));
        if matches!(last, "" | "." | "..") || last.contains(['*', '?', '[']) {
            return plan_err!("'{location}' names no folder that could be written; write folder/name");
        }
        match &self.0 {
            None => Ok(PathBuf::from(name)),
            Some(served) => {
                let above = if name.starts_with('/') && above.is_empty() { "/" } else { above };
                let above = served.folders.within(above).map_err(|_| served.folders.refused(location))?;
                Ok(path_of(&ListingTableUrl::parse(above)?).join(last))
            }
        }
    }

    /// Whether a table's missing name is that of a folder, which `./name` would read.
    pub(super) fn is_folder(&self, name: &str) -> bool {
        match &self.0 {
            Some(served) => served.folders.existing_path(name).is_ok_and(|path| path.is_dir()),
            None => Path::new(name).is_dir(),
        }
    }

    /// The plan with the locations that its statement names as [`Self::read`] gives them.
    ///
    /// # Errors
    /// One is not served.
    pub(super) fn resolve(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let Some(served) = &self.0 else { return Ok(plan) };
        let resolved = plan.transform_down(|mut node| {
            match &mut node {
                LogicalPlan::Ddl(DdlStatement::CreateExternalTable(table)) => {
                    // What may be written may be filled later.
                    for location in &mut table.locations {
                        *location = match served.writable {
                            true => served.folders.within(location)?,
                            false => served.folders.existing(location)?,
                        };
                    }
                }
                LogicalPlan::Copy(copy) => copy.output_url = served.folders.within(&copy.output_url)?,
                _ => return Ok(Transformed::no(node)),
            }
            Ok(Transformed::yes(node))
        })?;
        Ok(resolved.data)
    }

    /// Refuses a plan that does what the session may not.
    ///
    /// # Errors
    /// It does; the message says what.
    pub(super) fn check(&self, plan: &LogicalPlan) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |served| statements::check(plan, served))
    }

    /// Refuses what makes, changes or drops models.
    ///
    /// # Errors
    /// The session may only read; the message names `what`.
    pub(super) fn require_writes(&self, what: &str) -> Result<()> {
        match &self.0 {
            Some(served) if !served.writable => statements::refuse(what),
            _ => Ok(()),
        }
    }

    /// The folder or file that a model is made of.
    ///
    /// # Errors
    /// It is not served, or a symbolic link in it leads out of what is.
    pub(super) fn model_source(&self, source: &str) -> Result<String> {
        let Some(served) = &self.0 else { return Ok(source.to_owned()) };
        let path = served.folders.existing_path(source)?;
        match path.to_str().filter(|_| served.folders.is_closed(&path)) {
            Some(path) => Ok(path.to_owned()),
            None => plan_err!("'{source}' is a model whose files are not all in what is served"),
        }
    }
}
