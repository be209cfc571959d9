//! INSERT INTO a table in memory: takes rows; adds all of them, or none where they fail or do not fit.

use std::fmt::{self, Formatter};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::datasource::sink::DataSink;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType};

use super::rows::{Parts, Rows};

/// Where the rows go.
#[derive(Debug)]
pub(super) struct Insert {
    table: String,
    schema: SchemaRef,
    parts: Parts,
}

impl Insert {
    /// Into the table of this name and schema.
    pub(super) fn new(table: String, schema: SchemaRef, parts: Parts) -> Self {
        Self { table, schema, parts }
    }
}

impl DisplayAs for Insert {
    fn fmt_as(&self, _form: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryTable (table={})", self.table)
    }
}

#[async_trait]
impl DataSink for Insert {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn write_all(&self, data: SendableRecordBatchStream, context: &Arc<TaskContext>) -> Result<u64> {
        let rows = Rows::collect(&self.table, vec![data], context.memory_pool()).await?;
        let count = rows.count() as u64;
        self.parts.add(rows);
        Ok(count)
    }
}
