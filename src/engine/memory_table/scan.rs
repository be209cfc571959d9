//! Reading a table in memory: DataFusion's source of batches, which keeps the share of the memory pool while it is read.
//!
//! A table can be dropped while a cursor reads it: its rows stay in memory until then, and stay counted.

use std::fmt::{self, Formatter};
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::datasource::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::datasource::source::DataSource;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::projection::ProjectionExprs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan};
use futures::StreamExt;

use super::rows::{Rows, partitions};

/// The plan that reads these rows.
///
/// # Errors
/// The projection does not fit the schema.
pub(super) fn plan(
    parts: Vec<Arc<Rows>>,
    schema: &SchemaRef,
    projection: Option<Vec<usize>>,
    show_sizes: bool,
) -> Result<Arc<dyn ExecutionPlan>> {
    let batches = MemorySourceConfig::try_new(&partitions(&parts), Arc::clone(schema), projection)?;
    let batches = Arc::new(batches.with_show_sizes(show_sizes));
    Ok(DataSourceExec::from_data_source(CountedSource { batches, parts: parts.into() }))
}

/// A source and what it reads.
#[derive(Debug, Clone)]
struct CountedSource {
    batches: Arc<dyn DataSource>,
    parts: Arc<[Arc<Rows>]>,
}

impl CountedSource {
    fn of(&self, batches: Arc<dyn DataSource>) -> Arc<dyn DataSource> {
        Arc::new(Self { batches, parts: Arc::clone(&self.parts) })
    }
}

impl DataSource for CountedSource {
    fn open(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let stream = self.batches.open(partition, context)?;
        let (schema, parts) = (stream.schema(), Arc::clone(&self.parts));
        let stream = stream.inspect(move |_| {
            // The stream owns them.
            let _ = &parts;
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }

    fn fmt_as(&self, form: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        self.batches.fmt_as(form, f)
    }

    fn repartitioned(
        &self,
        target_partitions: usize,
        minimum: usize,
        ordering: Option<LexOrdering>,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        Ok(self.batches.repartitioned(target_partitions, minimum, ordering)?.map(|batches| self.of(batches)))
    }

    fn output_partitioning(&self) -> Partitioning {
        self.batches.output_partitioning()
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        self.batches.eq_properties()
    }

    fn scheduling_type(&self) -> SchedulingType {
        self.batches.scheduling_type()
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.batches.partition_statistics(partition)
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        self.batches.with_fetch(limit).map(|batches| self.of(batches))
    }

    fn fetch(&self) -> Option<usize> {
        self.batches.fetch()
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.batches.metrics()
    }

    fn try_swapping_with_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn DataSource>>> {
        Ok(self.batches.try_swapping_with_projection(projection)?.map(|batches| self.of(batches)))
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.batches.apply_expressions(visit)
    }
}
