//! The optimizer rule that takes calls which need a model out of expressions and into `Infer` nodes.
//!
//! Takes any logical plan, bottom-up, before filters are pushed down; gives a plan of the same rows and columns. Calls
//! whose texts are all literals stay: DataFusion folds them into constants. A call that the plan computes already,
//! below filters, sorts, joins or projections, is read from there, so that no query runs a text twice. In
//! `CASE` (and so in `COALESCE`) a call sees only the rows of its branch.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, Result, ScalarValue};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, ExprSchemable, Filter, Join, LogicalPlan, Projection};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use debut_udfs::functions::inference_of;

use super::node::only;
use super::reuse;

/// The rule.
#[derive(Debug, Default)]
pub struct LiftInference;

impl OptimizerRule for LiftInference {
    fn name(&self) -> &'static str {
        "lift_inference"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
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
            LogicalPlan::Join(join) => lift_join(join, config)?,
            LogicalPlan::Filter(filter) => lift_filter(filter, config)?,
            other => lift_unary(other, config)?,
        };
        Ok(Transformed::yes(lifted))
    }
}

/// A plan that grows `Infer` nodes as calls are taken out of the expressions above it.
struct Lifter<'a> {
    plan: LogicalPlan,
    config: &'a dyn OptimizerConfig,
}

/// The branch of a `CASE` that a call stands in.
struct Branch<'a> {
    case: &'a Case,
    /// The index of the WHEN; one past the last for ELSE.
    index: usize,
    outer: Option<&'a Branch<'a>>,
}

impl Branch<'_> {
    /// `value` in the rows of this branch, NULL in all others, which then are not run.
    fn guard(&self, value: Expr, null: &ScalarValue) -> Expr {
        let null_expr = || Box::new(Expr::Literal(null.clone(), None));
        let mut when_then: Vec<_> =
            self.case.when_then_expr.iter().take(self.index).map(|(when, _)| (when.clone(), null_expr())).collect();
        let mut otherwise = null_expr();
        match self.case.when_then_expr.get(self.index) {
            Some((when, _)) => when_then.push((when.clone(), Box::new(value))),
            None => otherwise = Box::new(value),
        }
        let guarded = Expr::Case(Case::new(self.case.expr.clone(), when_then, Some(otherwise)));
        match self.outer {
            Some(outer) => outer.guard(guarded, null),
            None => guarded,
        }
    }
}

impl<'a> Lifter<'a> {
    fn new(plan: LogicalPlan, config: &'a dyn OptimizerConfig) -> Self {
        Self { plan, config }
    }

    /// The expression with its calls replaced by columns of `self.plan`.
    fn lift(&mut self, expr: Expr, branch: Option<&Branch<'_>>) -> Result<Expr> {
        if !has_call(&expr)? {
            return Ok(expr);
        }
        match expr {
            Expr::Case(case) => self.lift_case(case, branch),
            other if is_call(&other)? => self.lift_call(other, branch),
            other => Ok(other.map_children(|child| Ok(Transformed::yes(self.lift(child, branch)?)))?.data),
        }
    }

    fn lift_case(&mut self, case: Case, branch: Option<&Branch<'_>>) -> Result<Expr> {
        let mut case = case;
        if let Some(expr) = case.expr.take() {
            case.expr = Some(Box::new(self.lift(*expr, branch)?));
        }
        for index in 0..case.when_then_expr.len() {
            let when = self.lift(*case.when_then_expr[index].0.clone(), branch)?;
            *case.when_then_expr[index].0 = when;
        }
        let conditions = case.clone();
        let inside = |index| Branch { case: &conditions, index, outer: branch };
        for index in 0..case.when_then_expr.len() {
            let then = self.lift(*case.when_then_expr[index].1.clone(), Some(&inside(index)))?;
            *case.when_then_expr[index].1 = then;
        }
        if let Some(otherwise) = case.else_expr.take() {
            case.else_expr = Some(Box::new(self.lift(*otherwise, Some(&inside(case.when_then_expr.len())))?));
        }
        Ok(Expr::Case(case))
    }

    fn lift_call(&mut self, call: Expr, branch: Option<&Branch<'_>>) -> Result<Expr> {
        let Expr::ScalarFunction(mut function) = call else { return Ok(call) };
        if let (Some(branch), Some(inference)) = (branch, inference_of(&function)?) {
            for text in function.args.iter_mut().take(inference.arity()) {
                let null = ScalarValue::try_from(&text.get_type(self.plan.schema())?)?;
                *text = branch.guard(text.clone(), &null);
            }
        }
        let call = Expr::ScalarFunction(function);
        let plan = std::mem::take(&mut self.plan);
        let (plan, column) = match reuse::expose(&plan, &call)? {
            Some(found) => found,
            None => reuse::add(plan, call, self.config.alias_generator().next("__infer"))?,
        };
        self.plan = plan;
        Ok(Expr::Column(column))
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
        let name = names.save(&expr);
        let lifted = lifter.lift(expr, None)?;
        exprs.push(if keep_names { name.restore(lifted) } else { lifted });
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
    let costly = costly.into_iter().map(|conjunct| lifter.lift(conjunct, None)).collect::<Result<Vec<_>>>()?;
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
        on.push((left.lift(a, None)?, right.lift(b, None)?));
    }
    let (mut within, mut above) = (Vec::new(), Vec::new());
    for conjunct in join.filter.map(split_conjunction_owned).unwrap_or_default() {
        let lifted = conjunct.transform_down(|expr| {
            if !is_call(&expr)? {
                return Ok(Transformed::no(expr));
            }
            let read = expr.column_refs();
            for side in [&mut left, &mut right] {
                if read.iter().all(|column| side.plan.schema().has_column(column)) {
                    return Ok(Transformed::yes(side.lift(expr, None)?));
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

/// Hides the columns that were added, where the plan above expects the schema it knew.
fn keep(plan: LogicalPlan, columns: Vec<Column>) -> Result<LogicalPlan> {
    if plan.schema().columns() == columns {
        return Ok(plan);
    }
    let exprs = columns.into_iter().map(Expr::Column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}

/// Whether the expression itself is a call that a model has to run for each row.
fn is_call(expr: &Expr) -> Result<bool> {
    let Expr::ScalarFunction(function) = expr else { return Ok(false) };
    let Some(inference) = inference_of(function)? else { return Ok(false) };
    Ok(function.args.iter().take(inference.arity()).any(|text| !matches!(text, Expr::Literal(..))))
}

fn has_call(expr: &Expr) -> Result<bool> {
    expr.exists(is_call)
}

fn plan_has_call(plan: &LogicalPlan) -> Result<bool> {
    for expr in plan.expressions() {
        if has_call(&expr)? {
            return Ok(true);
        }
    }
    Ok(false)
}
