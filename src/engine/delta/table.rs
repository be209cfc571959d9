//! A Delta table that is read.
//!
//! Takes its folder; gives the rows of the newest version that its log has when a query is planned. Log and files are read by the object
//! store of the session, so that a served session reads what it may and nothing else, whatever the log says. Nothing is written.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, plan_datafusion_err, plan_err};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use deltalake_core::DeltaTableError;
use deltalake_core::delta_datafusion::{DeltaScanConfig, DeltaScanNext};
use deltalake_core::kernel::Snapshot;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use url::Url;

use crate::refresh::delta::restored;

/// The table.
#[derive(Debug)]
pub(super) struct DeltaSource {
    folder: PathBuf,
    /// The version whose columns queries are planned with.
    planned: DeltaScanNext,
}

impl DeltaSource {
    /// The table in a folder.
    ///
    /// # Errors
    /// There is none, or its log cannot be read.
    pub(super) async fn open(session: &dyn Session, folder: PathBuf) -> Result<Self> {
        let planned = newest(session, &folder).await?;
        Ok(Self { folder, planned })
    }
}

#[async_trait]
impl TableProvider for DeltaSource {
    fn schema(&self) -> SchemaRef {
        self.planned.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.planned.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // Files of the version at which the table was named may be gone.
        let newest = newest(session, &self.folder).await?;
        if newest.schema() != self.planned.schema() {
            return plan_err!(
                "the Delta table '{}' has got other columns; name it anew (DROP TABLE, CREATE EXTERNAL TABLE)",
                self.folder.display()
            );
        }
        newest.scan(session, projection, filters, limit).await
    }
}

/// The newest version of the table in a folder.
async fn newest(session: &dyn Session, folder: &PathBuf) -> Result<DeltaScanNext> {
    let unreadable = |error: DeltaTableError| {
        DataFusionError::from(error).context(format!("cannot read the Delta table '{}'", folder.display()))
    };
    let Ok(url) = Url::from_directory_path(folder) else {
        return Err(plan_datafusion_err!("'{}' is no folder on a local disk", folder.display()));
    };
    let root = session.runtime_env().object_store(ObjectStoreUrl::local_filesystem())?;
    let options = StorageConfig::default();
    let below = options.decorate_store(Arc::clone(&root), &url).map_err(unreadable)?;
    let log: LogStoreRef = default_logstore(Arc::from(below), root, &url, &options);
    let snapshot = Arc::new(Snapshot::try_new(log.as_ref(), None).await.map_err(unreadable)?);
    let config = DeltaScanConfig::new_from_session(session);
    let lists = DeltaScanNext::new(Arc::clone(&snapshot), config.clone())?;
    DeltaScanNext::new(snapshot, config.with_schema(restored(&lists.schema())))
}
