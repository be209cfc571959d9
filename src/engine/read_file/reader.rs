//! One file: takes a path or an address as SQL writes it; gives the content, if the session may read it.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use datafusion::config::TableOptions;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::engine::access::Access;
use crate::engine::describe::describe;
use crate::engine::stores;

/// The most bytes of one file: several are held at a time.
const MOST_BYTES: u64 = 64 << 20;

/// Reads files for a session.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Reader {
    access: Access,
    options: TableOptions,
}

impl Reader {
    /// A reader for what `access` allows, with the session's options of object stores.
    pub(in crate::engine) fn new(access: Access, options: TableOptions) -> Self {
        Self { access, options }
    }

    /// The content of a file, or why there is none, with its path.
    pub(super) async fn read(&self, path: &str, runtime: &RuntimeEnv) -> Result<Bytes, String> {
        let failed = |reason: String| format!("'{path}': {reason}");
        if path.is_empty() {
            return Err(failed("it names no file".to_string()));
        }
        let location = self.access.read(path).map_err(|error| describe(&error))?;
        let url = ListingTableUrl::parse(&location).map_err(|error| failed(describe(&error)))?;
        if url.get_glob().is_some() {
            return Err(failed("it is a pattern, and one file is read at a time".to_string()));
        }
        if url.is_collection() {
            return Err(failed("it is a folder, not a file".to_string()));
        }
        let store = self.store(&url, runtime).await.map_err(|error| failed(describe(&error)))?;
        let found = store.get(url.prefix()).await.map_err(|error| failed(reason(&error)))?;
        let size = found.meta.size;
        if size > MOST_BYTES {
            return Err(failed(format!("it has {size} bytes, and up to {MOST_BYTES} are read")));
        }
        found.bytes().await.map_err(|error| failed(reason(&error)))
    }

    /// The store of a location; a new one is registered for the rest of the session. A served session has its own and gets no
    /// other: every other address was refused before.
    async fn store(&self, url: &ListingTableUrl, runtime: &RuntimeEnv) -> Result<Arc<dyn ObjectStore>> {
        if let Ok(store) = runtime.object_store(url) {
            return Ok(store);
        }
        let store = stores::store(url, &self.options).await?;
        runtime.register_object_store(url.get_url(), Arc::clone(&store));
        Ok(store)
    }
}

fn reason(error: &object_store::Error) -> String {
    match error {
        object_store::Error::NotFound { .. } => "there is no such file".to_string(),
        other => other.to_string(),
    }
}
