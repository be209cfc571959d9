//! `FROM 'file.parquet'` without a CREATE EXTERNAL TABLE.
//!
//! Takes a session's state; gives its context, in which the location of a file or folder is a table. DataFusion's own
//! `enable_url_table` takes every name for a location: there, a folder `data` hides `CREATE TABLE data`.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{DynamicFileCatalog, TableProvider, UrlTableFactory};
use datafusion::common::Result;
use datafusion::datasource::dynamic_file::DynamicListTableFactory;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionContext;

use super::files::is_location;

/// DataFusion's tables of files, for names that are locations.
#[derive(Debug, Default)]
struct LocationTables(DynamicListTableFactory);

#[async_trait]
impl UrlTableFactory for LocationTables {
    async fn try_new(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if is_location(name) { self.0.try_new(name).await } else { Ok(None) }
    }
}

/// A context of this state that finds tables by their location.
pub(super) fn enable(state: SessionState) -> SessionContext {
    let tables = Arc::new(LocationTables::default());
    let catalogs = DynamicFileCatalog::new(Arc::clone(state.catalog_list()), Arc::clone(&tables) as _);
    let state = SessionStateBuilder::new_from_existing(state).with_catalog_list(Arc::new(catalogs)).build();
    let context = SessionContext::new_with_state(state);
    tables.0.session_store().with_state(context.state_weak_ref());
    context
}
