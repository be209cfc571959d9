//! The physical node `ReadFileExec`: a path in every row, and the content of the file as one more column.
//!
//! Files are read in the order of the rows, several at a time, and given out in batches that end where they hold enough bytes:
//! a batch of 8,192 paths would hold 8,192 pictures. Dropping the stream drops what is being read.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryBuilder, RecordBatch, StringBuilder, StringViewArray, StructArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use bytes::Bytes;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionMapping;
use datafusion::physical_expr::{Distribution, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use debut_udfs::read_file::{ReadFile, fields};
use debut_udfs::text::text_views;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};

use super::reader::Reader;

/// Files that are read at a time.
const FILES_AT_A_TIME: usize = 16;
/// A batch ends behind the file with which it holds as many bytes.
const BATCH_BYTES: usize = 16 << 20;

/// The node.
#[derive(Debug, Clone)]
pub(in crate::engine) struct ReadFileExec {
    input: Arc<dyn ExecutionPlan>,
    path: Arc<dyn PhysicalExpr>,
    keeps_errors: bool,
    column: String,
    schema: SchemaRef,
    reader: Reader,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ReadFileExec {
    /// A node that adds `column` to the input: the files whose names `path` gives.
    ///
    /// # Errors
    /// The input's orderings do not carry over; that would be our mistake.
    pub(in crate::engine) fn try_new(
        input: Arc<dyn ExecutionPlan>,
        path: Arc<dyn PhysicalExpr>,
        function: &ReadFile,
        column: &str,
        reader: Reader,
    ) -> Result<Self> {
        let input_schema = input.schema();
        let read = Arc::new(Field::new(column, function.data_type(), true));
        let all = input_schema.fields().iter().cloned().chain([read]).collect::<Vec<_>>();
        let schema = Arc::new(Schema::new_with_metadata(all, input_schema.metadata().clone()));
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
            path,
            keeps_errors: function.keeps_errors(),
            column: column.to_string(),
            schema,
            reader,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    fn function(&self) -> ReadFile {
        if self.keeps_errors { ReadFile::or_error() } else { ReadFile::new() }
    }
}

impl DisplayAs for ReadFileExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.keeps_errors { "try_read_file" } else { "read_file" };
        write!(f, "ReadFileExec: {}=[{name}({})]", self.column, self.path)
    }
}

impl ExecutionPlan for ReadFileExec {
    fn name(&self) -> &'static str {
        "ReadFileExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        // As for the node that runs models: merged partitions have no order.
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
        f(&self.path)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok([input]) = <[_; 1]>::try_from(children) else { return internal_err!("ReadFileExec has one input") };
        let Self { path, column, reader, .. } = self.as_ref().clone();
        Ok(Arc::new(Self::try_new(input, path, &self.function(), &column, reader)?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("ReadFileExec has one partition, not {}", partition + 1);
        }
        let counter = |name: &'static str| MetricBuilder::new(&self.metrics).counter(name, partition);
        let state = State {
            input: self.input.execute(partition, Arc::clone(&context))?,
            node: self.clone(),
            runtime: context.runtime_env(),
            current: None,
            rows: 0,
            reservation: MemoryConsumer::new("ReadFileExec").register(context.memory_pool()),
            baseline: BaselineMetrics::new(&self.metrics, partition),
            files: counter("files_read"),
            bytes: counter("bytes_read"),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), state.into_stream())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }
}

/// A file's content, why there is none, or nothing where there is no path.
type Content = Option<Result<Bytes, String>>;

/// A node under way.
struct State {
    input: SendableRecordBatchStream,
    node: ReadFileExec,
    runtime: Arc<RuntimeEnv>,
    current: Option<Reading>,
    /// Rows given out.
    rows: usize,
    reservation: MemoryReservation,
    baseline: BaselineMetrics,
    files: Count,
    bytes: Count,
}

/// A batch whose files are being read, in the order of its rows.
struct Reading {
    batch: RecordBatch,
    next: usize,
    contents: BoxStream<'static, Content>,
}

impl State {
    fn into_stream(self) -> impl Stream<Item = Result<RecordBatch>> {
        stream::try_unfold(self, |mut state| async move { Ok(state.next().await?.map(|batch| (batch, state))) })
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(mut reading) = self.current.take() {
                let batch = self.take(&mut reading).await?;
                if reading.next < reading.batch.num_rows() {
                    self.current = Some(reading);
                }
                self.baseline.record_output(batch.num_rows());
                return Ok(Some(batch));
            }
            let Some(batch) = self.input.next().await.transpose()? else { return Ok(None) };
            if batch.num_rows() > 0 {
                let paths = text_views(&self.node.path.evaluate(&batch)?.into_array(batch.num_rows())?)?;
                self.current = Some(Reading { batch, next: 0, contents: self.read(paths) });
            }
        }
    }

    /// Reads the files of a batch, as they are asked for.
    fn read(&self, paths: StringViewArray) -> BoxStream<'static, Content> {
        let (reader, runtime, paths) = (self.node.reader.clone(), Arc::clone(&self.runtime), Arc::new(paths));
        let reads = (0..paths.len()).map(move |row| {
            let (reader, runtime, paths) = (reader.clone(), Arc::clone(&runtime), Arc::clone(&paths));
            async move { if paths.is_null(row) { None } else { Some(reader.read(paths.value(row), &runtime).await) } }
        });
        stream::iter(reads).buffered(FILES_AT_A_TIME).boxed()
    }

    /// The next rows of a batch, as many as hold enough bytes.
    async fn take(&mut self, reading: &mut Reading) -> Result<RecordBatch> {
        let (mut values, mut errors) = (BinaryBuilder::new(), StringBuilder::new());
        let (first, mut bytes) = (reading.next, 0);
        while bytes < BATCH_BYTES
            && let Some(content) = reading.contents.next().await
        {
            reading.next += 1;
            self.rows += 1;
            match content {
                None => values.append_null(),
                Some(Ok(content)) => {
                    bytes += content.len();
                    self.reservation.try_resize(bytes)?;
                    self.files.add(1);
                    self.bytes.add(content.len());
                    values.append_value(content);
                    errors.append_null();
                    continue;
                }
                Some(Err(reason)) if !self.node.keeps_errors => {
                    return exec_err!(
                        "read_file: row {}: {reason}; try_read_file keeps such rows and says why",
                        self.rows
                    );
                }
                Some(Err(reason)) => {
                    values.append_null();
                    errors.append_value(reason);
                    continue;
                }
            }
            errors.append_null();
        }
        let values: ArrayRef = Arc::new(values.finish());
        let read = match self.node.keeps_errors {
            true => Arc::new(StructArray::try_new(fields(), vec![values, Arc::new(errors.finish())], None)?),
            false => values,
        };
        let slice = reading.batch.slice(first, reading.next - first);
        let columns = slice.columns().iter().cloned().chain([read]).collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.node.schema), columns)?)
    }
}
