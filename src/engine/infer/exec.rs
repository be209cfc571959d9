//! The physical node `InferExec`: one call of a model over all the batches of a query.
//!
//! Its stream is `pipeline`. It reads one partition, so that every distinct text of the query passes through one place;
//! DataFusion merges the partitions below it and splits them again above it.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionMapping;
use datafusion::physical_expr::{Distribution, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildStats, ColumnStatistics, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties, Statistics, StatisticsArgs,
};
use debut_udfs::inference::Inference;

use super::model_source::ModelSource;
use super::pipeline::{InferMetrics, LengthMetrics, Pipeline};

/// The node.
#[derive(Debug, Clone)]
pub struct InferExec {
    input: Arc<dyn ExecutionPlan>,
    inference: Inference,
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    column: String,
    schema: SchemaRef,
    source: ModelSource,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl InferExec {
    /// A node that adds `column` to the input: `inference` over `arguments`, which are text expressions over the input.
    ///
    /// # Errors
    /// The input's orderings do not carry over; that would be our mistake.
    pub(super) fn try_new(
        input: Arc<dyn ExecutionPlan>,
        inference: Inference,
        arguments: Vec<Arc<dyn PhysicalExpr>>,
        column: &str,
        source: ModelSource,
    ) -> Result<Self> {
        let input_schema = input.schema();
        let fields = input_schema.fields().iter().cloned().chain([Arc::new(inference.field(column))]);
        let schema = Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), input_schema.metadata().clone()));
        let passed_on = input_schema.fields().iter().enumerate().map(|(index, field)| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), index));
            (column, field.name().clone())
        });
        let mapping = ProjectionMapping::try_new(passed_on, &input_schema)?;
        let properties = PlanProperties::new(
            input.equivalence_properties().project(&mapping, Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Ok(Self {
            input,
            inference,
            arguments,
            column: column.to_string(),
            schema,
            source,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for InferExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.arguments.iter().map(ToString::to_string).collect();
        // The device is known once the model has run, as in EXPLAIN ANALYZE.
        let device = self.source.device.get().cloned().unwrap_or_else(|| self.source.config.device.to_string());
        write!(
            f,
            "InferExec: {}=[{}({})], model={}, device={device}",
            self.column,
            self.inference.function,
            texts.join(", "),
            self.inference.model.reference(),
        )
    }
}

impl ExecutionPlan for InferExec {
    fn name(&self) -> &'static str {
        "InferExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        // Merged partitions have no order. Saying so also keeps DataFusion from giving them one together with the limit of
        // a sort above: it does not see the filters in between, which may need more rows than the limit says.
        vec![self.input.downcast_ref::<CoalescePartitionsExec>().is_none()]
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
        let mut recursion = TreeNodeRecursion::Continue;
        for argument in &self.arguments {
            recursion = recursion.visit_sibling(|| f(argument))?;
        }
        Ok(recursion)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok([input]) = <[_; 1]>::try_from(children) else {
            return internal_err!("InferExec has one input");
        };
        let Self { inference, arguments, column, source, .. } = self.as_ref().clone();
        Ok(Arc::new(Self::try_new(input, inference, arguments, &column, source)?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("InferExec has one partition, not {}", partition + 1);
        }
        let counter = |name: &'static str| MetricBuilder::new(&self.metrics).counter(name, partition);
        let time = |name: &'static str| MetricBuilder::new(&self.metrics).subset_time(name, partition);
        let metrics = InferMetrics {
            baseline: BaselineMetrics::new(&self.metrics, partition),
            distinct_inputs: counter("distinct_inputs"),
            cache_hits: counter("cache_hits"),
            cache_misses: counter("cache_misses"),
            batches: counter("batches"),
            lengths: (!self.inference.input_kind().has_bytes()).then(|| LengthMetrics {
                tokens: counter("tokens"),
                padded_tokens: counter("padded_tokens"),
                padding: MetricBuilder::new(&self.metrics).ratio_metrics("padding", partition),
            }),
            preprocessing_time: time("preprocessing_time"),
            inference_time: time("inference_time"),
        };
        if let Some(shared) = &self.source.shared {
            shared.reserve_in(context.memory_pool());
        }
        let pipeline = Pipeline {
            input: self.input.execute(partition, Arc::clone(&context))?,
            schema: Arc::clone(&self.schema),
            inference: self.inference.clone(),
            arguments: self.arguments.clone(),
            source: self.source.clone(),
            reservation: MemoryConsumer::new("InferExec").register(context.memory_pool()),
            metrics,
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), pipeline.into_stream())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, _partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(None)]
    }

    /// The input's rows and columns: without them DataFusion would split few rows among many partitions above the node.
    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _arguments: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let [input] = inputs else { return internal_err!("InferExec has one input") };
        let mut statistics = input.as_ref().clone().add_column_statistics(ColumnStatistics::new_unknown());
        statistics.total_byte_size = Precision::Absent;
        Ok(Arc::new(statistics))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }
}
