//! `debut.embedding_cache`: takes the session's settings, gives a row for each model whose vectors are kept on disk.
//!
//! Which folder that is, is a setting of the session; so the table looks when it is scanned and not when it is found.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampSecondArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use debut_udfs::config::DebutConfig;

use super::{external, table};
use crate::home::Home;
use crate::inference::cache;
use crate::inference::cache::info::{self, Kept};

/// The table.
#[derive(Debug)]
pub(super) struct EmbeddingCache {
    home: Home,
    schema: SchemaRef,
}

impl EmbeddingCache {
    /// The table of sessions whose default folder is in `home`.
    ///
    /// # Errors
    /// None in practice: the columns are built together.
    pub(super) fn new(home: &Home) -> Result<Self> {
        Ok(Self { home: home.clone(), schema: rows(&[])?.schema() })
    }
}

#[async_trait]
impl TableProvider for EmbeddingCache {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let folder = cache::folder(&DebutConfig::of(session.config_options()), &self.home);
        let look = move || {
            // What this process has computed is in it.
            cache::flush_all();
            info::kept(&folder)
        };
        let kept = tokio::task::spawn_blocking(look).await;
        let kept = kept.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?.map_err(external)?;
        let rows = rows(&kept)?;
        MemTable::try_new(rows.schema(), vec![vec![rows]])?.scan(session, projection, filters, limit).await
    }
}

fn rows(kept: &[Kept]) -> Result<RecordBatch> {
    let numbers = |value: &dyn Fn(&Kept) -> Option<u64>| -> ArrayRef {
        Arc::new(kept.iter().map(value).collect::<UInt64Array>())
    };
    let used = kept.iter().map(|kept| kept.last_used.map(i64::from));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("model", Arc::new(kept.iter().map(|kept| kept.model.clone()).collect::<StringArray>())),
        ("dimension", numbers(&|kept| kept.dimension.map(|dimension| dimension as u64))),
        ("vectors", numbers(&|kept| Some(kept.vectors))),
        ("bytes", numbers(&|kept| Some(kept.bytes))),
        ("last_used_at", Arc::new(used.collect::<TimestampSecondArray>())),
        ("folder", Arc::new(kept.iter().map(|kept| Some(kept.folder.display().to_string())).collect::<StringArray>())),
    ];
    table(columns, &["vectors", "bytes", "folder"])
}
