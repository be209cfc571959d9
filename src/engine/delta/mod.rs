//! Delta tables in SQL: `CREATE EXTERNAL TABLE ... STORED AS DELTATABLE`, and a folder that is one in FROM.
//!
//! Takes a location that the session may read; gives a table, or, where Debut is built without the feature `delta`, an error that
//! says how it is built with it.

#[cfg(feature = "delta")]
mod table;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory};
use datafusion::common::{Result, plan_err};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::logical_expr::CreateExternalTable;

/// The name of the format.
const FORMAT: &str = "DELTATABLE";

/// Adds the format to those of a session.
pub(super) fn register(factories: &mut HashMap<String, Arc<dyn TableProviderFactory>>) {
    factories.insert(FORMAT.to_owned(), Arc::new(Factory));
}

/// Refuses `what` in a program that has no Delta tables.
///
/// # Errors
/// It has none.
pub(super) fn require(what: &str) -> Result<()> {
    if cfg!(feature = "delta") {
        return Ok(());
    }
    plan_err!(
        "{what}: this debut is built without Delta tables; build it with them: cargo build --release --features delta"
    )
}

/// Whether the location of a folder is that of a Delta table.
pub(super) fn is_table(location: &str) -> bool {
    Path::new(location).join("_delta_log").is_dir()
}

/// The table at a location, which the session may read.
///
/// # Errors
/// Debut is built without Delta tables, or there is no such table.
pub(super) async fn open(session: &dyn Session, location: &str) -> Result<Arc<dyn TableProvider>> {
    require(&format!("'{location}' is a Delta table"))?;
    let url = ListingTableUrl::parse(location)?;
    if url.scheme() != "file" || url.get_glob().is_some() {
        return plan_err!("'{location}': a Delta table is read from a folder on a local disk");
    }
    of_folder(session, Path::new("/").join(url.prefix().as_ref())).await
}

#[cfg(feature = "delta")]
async fn of_folder(session: &dyn Session, folder: PathBuf) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(table::DeltaSource::open(session, folder).await?))
}

#[cfg(not(feature = "delta"))]
async fn of_folder(_session: &dyn Session, folder: PathBuf) -> Result<Arc<dyn TableProvider>> {
    // It was required before.
    datafusion::common::internal_err!("'{}': there are no Delta tables", folder.display())
}

/// Makes tables of statements.
#[derive(Debug)]
struct Factory;

#[async_trait]
impl TableProviderFactory for Factory {
    async fn create(&self, session: &dyn Session, table: &CreateExternalTable) -> Result<Arc<dyn TableProvider>> {
        require(&format!("STORED AS {FORMAT}"))?;
        let [location] = table.locations.as_slice() else {
            return plan_err!("{}: a Delta table has one location", table.name);
        };
        if !table.schema.fields().is_empty() || !table.table_partition_cols.is_empty() || !table.options.is_empty() {
            return plan_err!("{}: a Delta table takes neither columns nor options: its log has them", table.name);
        }
        open(session, location).await
    }
}
