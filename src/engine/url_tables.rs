//! `FROM 'file.parquet'` without a CREATE EXTERNAL TABLE.
//!
//! Takes a session's state and its access; gives its context, in whose catalogs the location of a file or folder is a table, if
//! the session may read it. DataFusion's own `enable_url_table` takes every name for a location, so that a folder `data` hides `CREATE TABLE data`, and its catalogs
//! cannot drop a schema.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, DynamicFileSchemaProvider, SchemaProvider, TableProvider, UrlTableFactory,
};
use datafusion::common::{Result, internal_err};
use datafusion::datasource::dynamic_file::DynamicListTableFactory;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionContext;

use super::access::Access;
use super::delta;
use super::files::is_location;
use crate::staging::is_kept;

/// A context of this state that finds tables by their location.
pub(super) fn enable(mut state: SessionState, access: &Access) -> SessionContext {
    let tables = Arc::new(LocationTables { access: access.clone(), files: DynamicListTableFactory::default() });
    let catalogs = Catalogs { inner: Arc::clone(state.catalog_list()), tables: Arc::clone(&tables) };
    state.register_catalog_list(Arc::new(catalogs));
    let context = SessionContext::new_with_state(state);
    tables.files.session_store().with_state(context.state_weak_ref());
    context
}

/// DataFusion's tables of files, for names that are locations.
#[derive(Debug)]
struct LocationTables {
    access: Access,
    files: DynamicListTableFactory,
}

#[async_trait]
impl UrlTableFactory for LocationTables {
    async fn try_new(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if !is_location(name) {
            return Ok(None);
        }
        let location = self.access.read(name)?;
        let location = resolve_link(&location);
        if !delta::is_table(&location) {
            return self.files.try_new(&location).await;
        }
        // Its folder has the files of older versions, too.
        let session = self.files.session_store().get_session().upgrade();
        let state = session.and_then(|session| session.read().as_any().downcast_ref::<SessionState>().cloned());
        match state {
            Some(state) => delta::open(&state, &location).await.map(Some),
            None => internal_err!("the session of '{name}' is gone"),
        }
    }
}

/// The folder that a symbolic link names, where the location is one: a query that has listed a folder goes on reading that
/// folder, even if the link is replaced meanwhile. The same for files in a table that `refresh` made.
fn resolve_link(location: &str) -> Cow<'_, str> {
    let path = Path::new(location.trim_end_matches('/'));
    let is_folder = path.is_symlink() && path.is_dir();
    let fixed = &location[..location.find(['*', '?', '[']).unwrap_or(location.len())];
    let above = fixed.rfind('/').map_or("", |end| &location[..end]);
    let folder = if is_folder { path } else { Path::new(above) };
    let rest = if is_folder { "/" } else { &location[above.len()..] };
    let found = folder.canonicalize().ok().filter(|found| is_folder || is_kept(found));
    match found.and_then(|found| found.into_os_string().into_string().ok()) {
        Some(found) => Cow::Owned(found + rest),
        None => Cow::Borrowed(location),
    }
}

/// The catalogs of a session, in which locations are tables.
#[derive(Debug)]
struct Catalogs {
    inner: Arc<dyn CatalogProviderList>,
    tables: Arc<LocationTables>,
}

impl CatalogProviderList for Catalogs {
    fn register_catalog(&self, name: String, catalog: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        self.inner.register_catalog(name, catalog)
    }

    fn catalog_names(&self) -> Vec<String> {
        self.inner.catalog_names()
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        let inner = self.inner.catalog(name)?;
        Some(Arc::new(Catalog { inner, tables: Arc::clone(&self.tables) }))
    }
}

/// A catalog, in whose schemas locations are tables.
#[derive(Debug)]
struct Catalog {
    inner: Arc<dyn CatalogProvider>,
    tables: Arc<LocationTables>,
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        self.inner.schema_names()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let inner = self.inner.schema(name)?;
        Some(Arc::new(DynamicFileSchemaProvider::new(inner, Arc::clone(&self.tables) as _)))
    }

    fn register_schema(&self, name: &str, schema: Arc<dyn SchemaProvider>) -> Result<Option<Arc<dyn SchemaProvider>>> {
        self.inner.register_schema(name, schema)
    }

    fn deregister_schema(&self, name: &str, cascade: bool) -> Result<Option<Arc<dyn SchemaProvider>>> {
        self.inner.deregister_schema(name, cascade)
    }
}
