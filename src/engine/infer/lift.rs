//! The optimizer rule that takes calls which need a model out of a plan's expressions and into `Infer` nodes.
//!
//! Takes any logical plan, before filters are pushed down; gives a plan of the same rows and columns. Calls whose texts
//! are all literals stay: DataFusion folds them into constants. A call that the plan computes already, below filters,
//! sorts, joins or projections, is read from there, so that no query runs a text twice. In `CASE` (and so in
//! `COALESCE`) a call sees only the rows of its branch. Expressions are the work of `lifter`; nodes are taken apart here.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion, TreeNodeRewriter};
use datafusion::common::{JoinType, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{DmlStatement, Expr, Filter, Join, LogicalPlan, WriteOp};
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::lifter::{Lifter, has_call, is_call};
use super::node::{keep, only};

/// The rule.
#[derive(Debug, Default)]
pub struct LiftInference;

impl OptimizerRule for LiftInference {
    fn name(&self) -> &'static str {
        "lift_inference"
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let mut found = false;
        plan.apply_with_subqueries(|node| {
            found = plan_has_call(node)?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        // A plan without calls stays as DataFusion made it.
        if !found {
            return Ok(Transformed::no(plan));
        }
        // Columns that nobody reads go first, so that they are not embedded.
        let plan = OptimizeProjections::new().rewrite(plan, config)?.data;
        plan.rewrite_with_subqueries(&mut Walk { config })
    }
}

/// Bottom-up through a plan, past what has to stay as it is.
struct Walk<'a> {
    config: &'a dyn OptimizerConfig,
}

impl TreeNodeRewriter for Walk<'_> {
    type Node = LogicalPlan;

    fn f_down(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        // The input of UPDATE and DELETE is never run: DataFusion takes assignments and filters out of it and hands them
        // to the table, which knows no columns but its own.
        let is_handed_over =
            matches!(plan, LogicalPlan::Dml(DmlStatement { op: WriteOp::Update | WriteOp::Delete, .. }));
        let next = if is_handed_over { TreeNodeRecursion::Jump } else { TreeNodeRecursion::Continue };
        Ok(Transformed::new(plan, false, next))
    }

    fn f_up(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let liftable = matches!(
            plan,
            LogicalPlan::Projection(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::Sort(_)
                | LogicalPlan::Aggregate(_)
                | LogicalPlan::Window(_)
                | LogicalPlan::Join(_)
        );
        if !liftable || !plan_has_call(&plan)? {
            return Ok(Transformed::no(plan));
        }
        let lifted = match plan {
            LogicalPlan::Join(join) => lift_join(join, self.config)?,
            LogicalPlan::Filter(filter) => lift_filter(filter, self.config)?,
            other => lift_unary(other, self.config)?,
        };
        Ok(Transformed::yes(lifted))
    }
}

/// Projection, Sort, Aggregate and Window: every expression is over the one input.
fn lift_unary(plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<LogicalPlan> {
    let columns = plan.schema().columns();
    let names = NamePreserver::new(&plan);
    let mut lifter = Lifter::new(only(plan.inputs())?.clone(), config);
    let keep_names = !matches!(plan, LogicalPlan::Sort(_));
    let mut exprs = Vec::new();
    for expr in plan.expressions() {
        // The names of grouping sets are those of the expressions in them, and kept there.
        let keep_name = keep_names && !matches!(expr, Expr::GroupingSet(_));
        let name = names.save(&expr);
        let lifted = lifter.lift(expr)?;
        exprs.push(if keep_name { name.restore(lifted) } else { lifted });
    }
    let passes_columns_on = matches!(plan, LogicalPlan::Sort(_) | LogicalPlan::Window(_));
    let lifted = plan.with_new_exprs(exprs, vec![lifter.plan])?;
    if passes_columns_on { keep(lifted, columns) } else { Ok(lifted) }
}

/// A filter: what is cheap goes below the models, so that they see only the rows that it leaves.
fn lift_filter(filter: Filter, config: &dyn OptimizerConfig) -> Result<LogicalPlan> {
    let input = Arc::unwrap_or_clone(filter.input);
    let columns = input.schema().columns();
    let (mut cheap, mut costly) = (Vec::new(), Vec::new());
    for conjunct in split_conjunction_owned(filter.predicate) {
        if has_call(&conjunct)? { costly.push(conjunct) } else { cheap.push(conjunct) }
    }
    let input = match conjunction(cheap) {
        Some(cheap) => LogicalPlan::Filter(Filter::try_new(cheap, Arc::new(input))?),
        None => input,
    };
    let mut lifter = Lifter::new(input, config);
    let costly = costly.into_iter().map(|conjunct| lifter.lift(conjunct)).collect::<Result<Vec<_>>>()?;
    let lifted = match conjunction(costly) {
        Some(costly) => LogicalPlan::Filter(Filter::try_new(costly, Arc::new(lifter.plan))?),
        None => lifter.plan,
    };
    keep(lifted, columns)
}

/// A join: a call is run on the side whose columns it reads. One that reads both sides is run on the joined rows, which
/// only an inner join allows; elsewhere it stays in the join's condition and runs batch by batch.
fn lift_join(join: Join, config: &dyn OptimizerConfig) -> Result<LogicalPlan> {
    let columns = join.schema.columns();
    let mut left = Lifter::new(join.left.as_ref().clone(), config);
    let mut right = Lifter::new(join.right.as_ref().clone(), config);
    let mut on = Vec::with_capacity(join.on.len());
    for (a, b) in join.on {
        on.push((left.lift(a)?, right.lift(b)?));
    }
    let (mut within, mut above) = (Vec::new(), Vec::new());
    for conjunct in join.filter.map(split_conjunction_owned).unwrap_or_default() {
        let lifted = conjunct.transform_down(|expr| {
            if matches!(expr, Expr::Lambda(_)) {
                return Ok(Transformed::new(expr, false, TreeNodeRecursion::Jump));
            }
            // A volatile call has a result for each pair of rows, not for each row of a side.
            if !is_call(&expr)? || expr.is_volatile() {
                return Ok(Transformed::no(expr));
            }
            let read = expr.column_refs();
            for side in [&mut left, &mut right] {
                if read.iter().all(|column| side.plan.schema().has_column(column)) {
                    return Ok(Transformed::yes(side.lift(expr)?));
                }
            }
            Ok(Transformed::no(expr))
        })?;
        let spans_both = has_call(&lifted.data)?;
        if spans_both && join.join_type == JoinType::Inner { above.push(lifted.data) } else { within.push(lifted.data) }
    }
    let joined = LogicalPlan::Join(Join::try_new(
        Arc::new(left.plan),
        Arc::new(right.plan),
        on,
        conjunction(within),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?);
    let lifted = match conjunction(above) {
        Some(predicate) => lift_filter(Filter::try_new(predicate, Arc::new(joined))?, config)?,
        None => joined,
    };
    keep(lifted, columns)
}

fn plan_has_call(plan: &LogicalPlan) -> Result<bool> {
    for expr in plan.expressions() {
        if has_call(&expr)? {
            return Ok(true);
        }
    }
    Ok(false)
}
