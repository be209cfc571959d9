//! The physical node `RefreshExec`: writes the rows of its input into a table, commits, and gives one row about it.
//!
//! Nothing happens before the stream is read. Dropping it, or an error anywhere below, leaves the table as it was.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use debut_udfs::refresh::schema;
use futures::{TryStreamExt, stream};

use super::run::Run;
use crate::background::blocking;
use crate::refresh::commit::Refreshed;
use crate::refresh::table::Table;

/// The node.
#[derive(Debug)]
pub(super) struct RefreshExec {
    input: Arc<dyn ExecutionPlan>,
    run: Arc<Run>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl RefreshExec {
    /// A node that makes a table of the rows that are known and those of `input`.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, run: Arc<Run>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { input, run, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for RefreshExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = &self.run.request;
        write!(f, "RefreshExec: target={}, key={}", request.target.display(), request.recipe.key())
    }
}

impl ExecutionPlan for RefreshExec {
    fn name(&self) -> &'static str {
        "RefreshExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self::new(input, Arc::clone(&self.run)))),
            Err(_) => internal_err!("RefreshExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("RefreshExec has one partition, not {}", partition + 1);
        }
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let reservation = MemoryConsumer::new("RefreshExec").register(context.memory_pool());
        let listings = context.runtime_env().cache_manager.get_list_files_cache();
        let (input, run) = (Arc::clone(&self.input), Arc::clone(&self.run));
        let work = async move {
            let columns = input.schema();
            let mut table =
                blocking(move || Ok(Table::open(run.request.clone(), &columns, Arc::clone(&run.ledger))?)).await?;
            reservation.try_resize(table.memory())?;
            let mut rows = input.execute(0, context)?;
            while let Some(batch) = rows.try_next().await? {
                table = blocking(move || {
                    table.add(&batch)?;
                    Ok(table)
                })
                .await?;
                reservation.try_resize(table.memory())?;
            }
            drop(rows);
            let batch = row(&blocking(move || Ok(table.commit()?)).await?)?;
            // External tables of this session would go on to read the files of the old version.
            if let Some(listings) = listings {
                listings.clear();
            }
            metrics.record_output(batch.num_rows());
            Ok(batch)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), stream::once(work))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

fn row(done: &Refreshed) -> Result<RecordBatch> {
    let count = |count: u64| Arc::new(Int64Array::from(vec![i64::try_from(count).unwrap_or(i64::MAX)])) as ArrayRef;
    let counts = done.counts;
    let columns = vec![
        count(counts.added),
        count(counts.changed),
        count(counts.unchanged),
        count(counts.removed),
        count(counts.rows()),
        count(done.version),
        Arc::new(Float64Array::from(vec![done.time.as_secs_f64()])),
        Arc::new(StringArray::from(vec![done.reason.as_deref()])),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}
