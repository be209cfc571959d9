//! The physical node around the sink of a COPY.
//!
//! Takes the sink's one row, the count of rows; gives it when the output is on disk and in its place. Dropping the stream, or an
//! error anywhere below, leaves the target as it was.

use std::fmt;
use std::fs;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{TryStreamExt, stream};

use super::Output;
use crate::background::blocking;
use crate::staging::{Staging, parent};

/// The node.
#[derive(Debug)]
pub(super) struct PublishExec {
    sink: Arc<dyn ExecutionPlan>,
    output: Output,
}

impl PublishExec {
    /// A node that moves what `sink` wrote to its place.
    pub(super) fn new(sink: Arc<dyn ExecutionPlan>, output: Output) -> Self {
        Self { sink, output }
    }
}

impl DisplayAs for PublishExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublishExec: target={}", self.output.target.display())
    }
}

impl ExecutionPlan for PublishExec {
    fn name(&self) -> &'static str {
        "PublishExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.sink.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.sink]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([sink]) => Ok(Arc::new(Self::new(sink, self.output.clone()))),
            Err(_) => internal_err!("PublishExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (sink, output) = (Arc::clone(&self.sink), self.output.clone());
        let schema = sink.schema();
        let work = async move {
            let begun = output.clone();
            let staging = blocking(move || begun.begin()).await?;
            // Dropped after the stream: the sink's files are closed by then.
            let written = sink.execute(partition, context)?.try_collect().await;
            let counts: Vec<RecordBatch> = written.map_err(|error| output.explained(error))?;
            blocking(move || output.end(staging)).await?;
            Result::<_>::Ok(stream::iter(counts.into_iter().map(Ok)))
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(work).try_flatten())))
    }
}

impl Output {
    fn begin(&self) -> Result<Staging> {
        let failed = |error| self.failed(error);
        fs::create_dir_all(parent(&self.target)).map_err(failed)?;
        let staging = Staging::at(&self.staging).map_err(failed)?;
        if self.folder_of.is_some() {
            // Without rows a folder has no files, and is there all the same.
            let name = self.target.file_name().unwrap_or_default();
            fs::create_dir(staging.path(name)).map_err(failed)?;
        }
        Ok(staging)
    }

    fn end(&self, staging: Staging) -> Result<()> {
        // Somebody may have put something there meanwhile.
        self.check()?;
        staging.publish(&self.target).map_err(|error| self.failed(error))
    }

    /// DataFusion drops the reason why the end of a file could not be written, and takes it for a mistake of its own.
    fn explained(&self, error: DataFusionError) -> DataFusionError {
        let message = error.strip_backtrace();
        if !message.contains("Error encountered while finalizing writes") {
            return error;
        }
        exec_datafusion_err!(
            "COPY: '{}' cannot be written to its end: the disk, or what may be written of it, is full; nothing was changed",
            self.target.display()
        )
    }

    fn failed(&self, error: std::io::Error) -> DataFusionError {
        DataFusionError::from(error).context(format!("COPY: cannot write '{}'", self.target.display()))
    }
}
