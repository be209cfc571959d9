//! The physical node of a call.
//!
//! Its one partition reads every input to its end, hands the rows to a worker and passes the worker's batches on as
//! they come. Nothing happens before the stream is read; dropping it cancels the work.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use debut_udfs::config::DebutConfig;
use debut_udfs::options::Inputs;
use debut_udfs::progress::Progress;
use debut_udfs::trainer::Table;
use futures::{TryStreamExt, stream};

use super::call::Call;
use super::gather::gather;
use super::workers::Workers;

/// The node.
#[derive(Debug, Clone)]
pub struct CallExec {
    call: Call,
    inputs: Inputs<Arc<dyn ExecutionPlan>>,
    workers: Workers,
    config: DebutConfig,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    progress: Arc<Progress>,
}

impl CallExec {
    /// A node for a call on the rows of `inputs`, which `workers` do.
    pub fn new(call: Call, inputs: Inputs<Arc<dyn ExecutionPlan>>, workers: Workers, config: DebutConfig) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(call.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Self { call, inputs, workers, config, properties: Arc::new(properties), metrics, progress: Arc::default() }
    }

    /// What is asked for.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// How far the work is.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    fn count(&self) -> usize {
        self.inputs.iter().count()
    }
}

impl DisplayAs for CallExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name())?;
        self.call.describe(&self.inputs, f)
    }
}

impl ExecutionPlan for CallExec {
    fn name(&self) -> &str {
        self.call.node_names().1
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition; self.count()]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.count()]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().map(|(_, input)| input).collect()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.len() != self.count() {
            return internal_err!("{} has {} inputs, not {}", self.name(), self.count(), children.len());
        }
        let inputs = self.inputs.replace(children);
        let Self { call, workers, config, .. } = self.as_ref().clone();
        Ok(Arc::new(Self::new(call, inputs, workers, config)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("{} has one partition, not {}", self.name(), partition + 1);
        }
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let input_rows = MetricBuilder::new(&self.metrics).counter("input_rows", partition);
        let reservation = MemoryConsumer::new(self.name()).register(context.memory_pool());
        let Self { call, inputs, workers, config, progress, .. } = self.clone();
        let work = async move {
            let mut tables = Vec::new();
            for (_, input) in inputs.iter() {
                let table: Table = gather(input.execute(0, Arc::clone(&context))?, &reservation).await?;
                input_rows.add(table.rows());
                tables.push(table);
            }
            let batches = call.start(inputs.replace(tables), &workers, progress, &config)?;
            // The rows are held as long as the work goes on.
            let batches = batches.inspect_ok(move |batch| {
                let _held = &reservation;
                metrics.record_output(batch.num_rows());
            });
            Result::<_>::Ok(batches)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::once(work).try_flatten())))
    }

    fn schema(&self) -> SchemaRef {
        self.call.schema()
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
