//! The physical node `FinetuneExec`: a training as a stream of epochs.
//!
//! Made by `planner`. Its one partition reads every input to its end, hands the rows to the trainer and passes its
//! epochs on as they come. Nothing happens before the stream is read; dropping it cancels the training.

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
use debut_udfs::finetune::{FinetuneOptions, Inputs, rows};
use debut_udfs::trainer::{Table, TrainProgress, TrainRequest, Trainer};
use futures::{StreamExt, TryStreamExt, stream};

use super::gather::gather;
use super::node::describe;

/// The node.
#[derive(Debug, Clone)]
pub struct FinetuneExec {
    options: FinetuneOptions,
    inputs: Inputs<Arc<dyn ExecutionPlan>>,
    trainer: Arc<dyn Trainer>,
    config: DebutConfig,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    progress: Arc<TrainProgress>,
}

impl FinetuneExec {
    /// A node that trains with `trainer` on the rows of `inputs`.
    pub fn new(
        options: FinetuneOptions,
        inputs: Inputs<Arc<dyn ExecutionPlan>>,
        trainer: Arc<dyn Trainer>,
        config: DebutConfig,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(rows::schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Self { options, inputs, trainer, config, properties: Arc::new(properties), metrics, progress: Arc::default() }
    }

    /// How far the training is.
    pub fn progress(&self) -> &Arc<TrainProgress> {
        &self.progress
    }

    fn count(&self) -> usize {
        self.inputs.iter().count()
    }
}

impl DisplayAs for FinetuneExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FinetuneExec: ")?;
        describe(&self.options, &self.inputs, f)
    }
}

impl ExecutionPlan for FinetuneExec {
    fn name(&self) -> &'static str {
        "FinetuneExec"
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
            return internal_err!("FinetuneExec has {} inputs, not {}", self.count(), children.len());
        }
        let inputs = self.inputs.replace(children);
        let Self { options, trainer, config, .. } = self.as_ref().clone();
        Ok(Arc::new(Self::new(options, inputs, trainer, config)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("FinetuneExec has one partition, not {}", partition + 1);
        }
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let input_rows = MetricBuilder::new(&self.metrics).counter("input_rows", partition);
        let reservation = MemoryConsumer::new("FinetuneExec").register(context.memory_pool());
        let Self { options, inputs, trainer, config, progress, .. } = self.clone();
        let training = async move {
            let mut tables = Vec::new();
            for (_, input) in inputs.iter() {
                let table: Table = gather(input.execute(0, Arc::clone(&context))?, &reservation).await?;
                input_rows.add(table.rows());
                tables.push(table);
            }
            let request = TrainRequest { options, inputs: inputs.replace(tables), progress };
            let epochs = trainer.train(request, &config)?;
            // The rows are held as long as the training goes on.
            let batches = epochs.map(move |row| {
                let _held = &reservation;
                let batch = rows::batch(row?)?;
                metrics.record_output(batch.num_rows());
                Ok(batch)
            });
            Result::<_>::Ok(batches)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::once(training).try_flatten())))
    }

    fn schema(&self) -> SchemaRef {
        rows::schema()
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
