//! Stopping a plan that would not stop by itself: takes a physical plan; gives one that notices when nobody waits for it.
//!
//! Dropping the stream of a plan stops it where it waits next. DataFusion 55 sees to it that scans give others a turn, but a
//! join makes many batches of one, and one whose filter keeps few rows gives none for minutes: nobody can drop what is
//! being polled all the time. So joins give others a turn for each batch ([`CooperativeExec`]), and their filters
//! fail once the statement is cancelled ([`watched`](mod@watched)). What reads its whole input before it gives a row, such as a sort, gives
//! others a turn after each batch that it reads ([`YieldingExec`]), and a sort's own tasks end too ([`WatchedSortExec`]).
//!
//! # Layout
//! [`flag`]: whether somebody waits; [`watched`](mod@watched): an expression that looks at it; [`sort`], [`yielding`]: the nodes.

mod flag;
mod sort;
mod watched;
mod yielding;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, PiecewiseMergeJoinExec,
    SortMergeJoinExec,
};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};

pub use self::flag::{Interrupt, Interrupted};
use self::sort::WatchedSortExec;
use self::watched::watched;
use self::yielding::YieldingExec;

/// The same plan, but what makes more rows of few, or reads all before it gives any, gives others a turn, and a join ends once
/// `flag` says that the statement was cancelled. Meant for a plan that is run next: nothing looks at its nodes any more.
///
/// # Errors
/// A node cannot be made again.
pub fn interruptible(plan: Arc<dyn ExecutionPlan>, flag: &Interrupted) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = plan.transform_up(|plan| {
        let node = plan.as_ref();
        let gathers = node.is::<SortExec>()
            || node.is::<AggregateExec>()
            || node.is::<WindowAggExec>()
            || node.is::<BoundedWindowAggExec>();
        if gathers {
            let plan = plan.map_children(|input| {
                Ok(Transformed::yes(Arc::new(YieldingExec::new(input)) as Arc<dyn ExecutionPlan>))
            })?;
            return plan.transform_data(|plan| WatchedSortExec::watch(plan, flag));
        }
        let multiplies = node.is::<HashJoinExec>()
            || node.is::<NestedLoopJoinExec>()
            || node.is::<SortMergeJoinExec>()
            || node.is::<PiecewiseMergeJoinExec>()
            || node.is::<CrossJoinExec>()
            || node.is::<UnnestExec>();
        if !multiplies {
            return Ok(Transformed::no(plan));
        }
        let plan = with_filter(node, flag)?.unwrap_or(plan);
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(plan)) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(plan.data)
}

/// A join whose filter fails once the statement was cancelled; `None` for what has no filter.
fn with_filter(node: &dyn ExecutionPlan, flag: &Interrupted) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let watched_filter = |filter: &JoinFilter| {
        let expression = watched(filter.expression(), flag);
        JoinFilter::new(expression, filter.column_indices().to_vec(), Arc::clone(filter.schema()))
    };
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let Some(filter) = join.filter() else { return Ok(None) };
        return join.builder().with_filter(Some(watched_filter(filter))).build_exec().map(Some);
    }
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        let Some(filter) = join.filter() else { return Ok(None) };
        let join = NestedLoopJoinExecBuilder::new(Arc::clone(join.left()), Arc::clone(join.right()), *join.join_type())
            .with_projection_ref(join.projection().clone())
            .with_filter(Some(watched_filter(filter)))
            .build()?;
        return Ok(Some(Arc::new(join)));
    }
    if let Some(join) = node.downcast_ref::<SortMergeJoinExec>() {
        let Some(filter) = join.filter() else { return Ok(None) };
        let join = SortMergeJoinExec::try_new(
            Arc::clone(join.left()),
            Arc::clone(join.right()),
            join.on().to_vec(),
            Some(watched_filter(filter)),
            join.join_type(),
            join.sort_options().to_vec(),
            join.null_equality(),
        )?;
        return Ok(Some(Arc::new(join)));
    }
    Ok(None)
}
