//! The physical node `ChangedExec`: the rows of its input that are new or changed, in their order.
//!
//! It tells the ledger of every row, and reads one partition, so that a key that is there twice is found.

use std::fmt;
use std::sync::Arc;

use arrow::compute::filter_record_batch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, PhysicalExpr};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::TryStreamExt;

use super::run::Run;
use crate::refresh::compare::Comparison;

/// The node.
#[derive(Debug)]
pub(super) struct ChangedExec {
    input: Arc<dyn ExecutionPlan>,
    key: Arc<dyn PhysicalExpr>,
    run: Arc<Run>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ChangedExec {
    /// A node that compares the rows of `input`, whose keys are `key`.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, key: Arc<dyn PhysicalExpr>, run: Arc<Run>) -> Self {
        let properties = PlanProperties::new(
            input.equivalence_properties().clone(),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, key, run, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for ChangedExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChangedExec: key={}", self.key)
    }
}

impl ExecutionPlan for ChangedExec {
    fn name(&self) -> &'static str {
        "ChangedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        f(&self.key)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self::new(input, Arc::clone(&self.key), Arc::clone(&self.run)))),
            Err(_) => internal_err!("ChangedExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("ChangedExec has one partition, not {}", partition + 1);
        }
        let schema = self.input.schema();
        let types: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
        let recipe = &self.run.request.recipe;
        let key_type = self.key.data_type(&schema)?;
        let comparison =
            Comparison::new(&recipe.meaning(), &types, (recipe.key(), &key_type), Arc::clone(&self.run.ledger))?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let input_rows = MetricBuilder::new(&self.metrics).counter("input_rows", partition);
        let key = Arc::clone(&self.key);
        let rows = self.input.execute(partition, context)?.try_filter_map(move |batch| {
            let compared = || {
                let _timer = metrics.elapsed_compute().timer();
                input_rows.add(batch.num_rows());
                let keys = key.evaluate(&batch)?.into_array(batch.num_rows())?;
                let fresh = comparison.fresh(&keys, batch.columns())?;
                let rows = filter_record_batch(&batch, &fresh)?;
                metrics.record_output(rows.num_rows());
                Ok((rows.num_rows() > 0).then_some(rows))
            };
            std::future::ready(compared())
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
    }
}
