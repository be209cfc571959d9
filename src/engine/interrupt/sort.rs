//! The physical node `WatchedSortExec`: a sort whose own tasks end once the statement was cancelled.
//!
//! DataFusion 55 sorts the batches that it has gathered in one task each, thousands of them. Those tasks are queued before the
//! one that drops them gets a turn, so that a sort would go on for seconds after it was cancelled. Here each fails when it
//! evaluates what it sorts by.

use std::fmt::{self, Formatter};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{CardinalityEffect, replace_children_if_necessary};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::flag::Interrupted;
use super::watched::watched;

/// The node.
#[derive(Debug)]
pub(super) struct WatchedSortExec {
    /// The sort as it was planned: nodes above know its order by its expressions.
    planned: Arc<dyn ExecutionPlan>,
    /// The same sort by expressions that are watched.
    watched: Arc<dyn ExecutionPlan>,
}

impl WatchedSortExec {
    /// The node in place of `plan`, if that is a sort with such tasks. One that keeps a few rows has none.
    pub(super) fn watch(
        plan: Arc<dyn ExecutionPlan>,
        flag: &Interrupted,
    ) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
        let Some(sort) = plan.downcast_ref::<SortExec>().filter(|sort| sort.fetch().is_none()) else {
            return Ok(Transformed::no(plan));
        };
        let by = sort.expr().iter().map(|by| PhysicalSortExpr::new(watched(&by.expr, flag), by.options));
        let Some(by) = LexOrdering::new(by) else { return Ok(Transformed::no(plan)) };
        let watched =
            SortExec::new(by, Arc::clone(sort.input())).with_preserve_partitioning(sort.preserve_partitioning());
        Ok(Transformed::yes(Arc::new(Self { watched: Arc::new(watched), planned: plan })))
    }
}

impl DisplayAs for WatchedSortExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        self.planned.fmt_as(format, f)
    }
}

impl ExecutionPlan for WatchedSortExec {
    fn name(&self) -> &'static str {
        "WatchedSortExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.planned.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.planned.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.planned.apply_expressions(f)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.len() != 1 {
            return internal_err!("WatchedSortExec has one input");
        }
        let planned = replace_children_if_necessary(Arc::clone(&self.planned), children.clone())?;
        let watched = replace_children_if_necessary(Arc::clone(&self.watched), children)?;
        Ok(Arc::new(Self { planned, watched }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.watched.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.watched.metrics()
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Mutex;

    use arrow::array::{Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use datafusion::catalog::streaming::StreamingTable;
    use datafusion::physical_plan::collect;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use datafusion::physical_plan::streaming::PartitionStream;
    use datafusion::prelude::SessionContext;

    use super::super::{Interrupt, interruptible};
    use super::*;

    /// Batches of `k, v`, at whose end nobody waits any more.
    #[derive(Debug)]
    struct Batches {
        schema: SchemaRef,
        interrupt: Arc<Mutex<Option<Interrupt>>>,
    }

    impl PartitionStream for Batches {
        fn schema(&self) -> &SchemaRef {
            &self.schema
        }

        fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
            let (schema, interrupt) = (Arc::clone(&self.schema), Arc::clone(&self.interrupt));
            let batches = (0..200_i64).map(move |batch| {
                if batch == 199 {
                    drop(interrupt.lock().unwrap().take());
                }
                let column =
                    |factor: i64| Int64Array::from_iter_values((0..8192).map(|row| (row + batch) * factor % 8191));
                Ok(RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(column(7)), Arc::new(column(31))])?)
            });
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter(batches)))
        }
    }

    /// All rows are read when the statement is cancelled, and not yet sorted: the sort gives none of them.
    #[tokio::test]
    async fn a_sort_that_was_cancelled_sorts_nothing_more() {
        for order in ["k, v", "v", "k + v DESC"] {
            let context = SessionContext::new();
            let interrupt = Interrupt::default();
            let flag = interrupt.flag();
            let schema =
                Arc::new(Schema::new(["k", "v"].map(|name| Field::new(name, DataType::Int64, false)).to_vec()));
            let batches = Batches { schema: Arc::clone(&schema), interrupt: Arc::new(Mutex::new(Some(interrupt))) };
            let table = StreamingTable::try_new(schema, vec![Arc::new(batches)]).unwrap();
            context.register_table("t", Arc::new(table)).unwrap();
            let frame = context.sql(&format!("SELECT k, v FROM t ORDER BY {order}")).await.unwrap();
            let (task, plan) = (Arc::new(frame.task_ctx()), frame.create_physical_plan().await.unwrap());
            let error = collect(interruptible(plan, &flag).unwrap(), task).await.unwrap_err();
            assert!(error.to_string().contains("the work was cancelled"), "{order}: {error}");
        }
    }
}
