//! The analyzer rule that keeps a training whole: a statement trains once, and to the end.
//!
//! Takes a plan as it was written, views expanded; gives it back, or an error. Without it `LIMIT 1` would stop reading
//! after the first epoch, which cancels the training, and a `WITH` that is read twice would train twice, because
//! DataFusion plans it twice.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{FetchType, LogicalPlan, SkipType};
use datafusion::optimizer::AnalyzerRule;
use debut_udfs::finetune::NAME;

use super::node::CallNode;

/// The rule.
#[derive(Debug, Default)]
pub struct FinetuneGuard;

impl AnalyzerRule for FinetuneGuard {
    fn name(&self) -> &'static str {
        "finetune_guard"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let mut calls = 0;
        visit(&plan, None, &mut calls)?;
        if calls > 1 {
            return plan_err!(
                "{NAME}: a statement trains once, and this one would {calls} times (a WITH or a view counts each time it \
                 is read); write a statement for each, or keep the rows first: CREATE TABLE run AS SELECT * FROM {NAME}(...)"
            );
        }
        Ok(plan)
    }
}

/// Goes down with the number of rows after which the plan above stops reading, if it does.
fn visit(plan: &LogicalPlan, most: Option<u64>, calls: &mut usize) -> Result<()> {
    if let Some(training) = CallNode::of(plan).and_then(|node| node.call.training()) {
        *calls += 1;
        // A row for each epoch and one for the base.
        let rows = training.epochs + 1;
        if let Some(most) = most.filter(|most| *most <= rows) {
            return plan_err!(
                "{NAME}: LIMIT {most} would stop the training before its {} epochs are done; leave the LIMIT out, or put \
                 ORDER BY epoch DESC before it, which waits for all of them",
                training.epochs
            );
        }
    }
    let most = match plan {
        LogicalPlan::Limit(limit) => match (limit.get_skip_type()?, limit.get_fetch_type()?) {
            // Nothing runs: this is how programs ask for the columns.
            (_, FetchType::Literal(Some(0))) => return Ok(()),
            (SkipType::Literal(skip), FetchType::Literal(Some(fetch))) => {
                let stops = u64::try_from(skip.saturating_add(fetch)).unwrap_or(u64::MAX);
                Some(most.map_or(stops, |most| most.min(stops)))
            }
            (_, FetchType::Literal(None)) => most,
            _ => Some(0),
        },
        // These read everything before they give a row.
        LogicalPlan::Sort(_) => None,
        LogicalPlan::Aggregate(aggregate) if !aggregate.aggr_expr.is_empty() => None,
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Window(_) => most,
        // Where rows multiply, a limit says nothing about the rows below it.
        _ => most.map(|_| 0),
    };
    for input in plan.inputs() {
        visit(input, most, calls)?;
    }
    plan.apply_subqueries(|sub_query| {
        let mut inside = 0;
        visit(sub_query, None, &mut inside)?;
        if inside > 0 {
            return plan_err!("{NAME} can be used in FROM or after CALL, not in a sub-query of an expression");
        }
        Ok(TreeNodeRecursion::Jump)
    })?;
    Ok(())
}
