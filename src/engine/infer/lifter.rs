//! Calls that need a model or read files, taken out of one expression at a time.
//!
//! Takes expressions over a plan; gives them with columns in place of their calls, and the plan with the `Infer` nodes
//! that compute these columns.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Projection, lit};
use datafusion::optimizer::OptimizerConfig;
use debut_udfs::functions::inference_of;
use debut_udfs::read_file::ReadFile;

use super::reuse;

/// A plan that grows `Infer` nodes as calls are taken out of the expressions above it.
pub(super) struct Lifter<'a> {
    pub(super) plan: LogicalPlan,
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
    pub(super) fn new(plan: LogicalPlan, config: &'a dyn OptimizerConfig) -> Self {
        Self { plan, config }
    }

    /// The expression with its calls replaced by columns of `self.plan`.
    pub(super) fn lift(&mut self, expr: Expr) -> Result<Expr> {
        self.lift_in(expr, None)
    }

    fn lift_in(&mut self, expr: Expr, branch: Option<&Branch<'_>>) -> Result<Expr> {
        if !has_call(&expr)? {
            return Ok(expr);
        }
        match expr {
            Expr::Case(case) => self.lift_case(case, branch),
            Expr::GroupingSet(_) => self.lift_grouping_set(expr),
            other if is_call(&other)? => self.lift_call(other, branch),
            other => Ok(other.map_children(|child| Ok(Transformed::yes(self.lift_in(child, branch)?)))?.data),
        }
    }

    fn lift_case(&mut self, mut case: Case, branch: Option<&Branch<'_>>) -> Result<Expr> {
        if let Some(expr) = case.expr.take() {
            case.expr = Some(Box::new(self.lift_in(*expr, branch)?));
        }
        for (when, _) in &mut case.when_then_expr {
            **when = self.lift_in(std::mem::take(&mut **when), branch)?;
        }
        if is_volatile(&case) && has_call_in_branch(&case)? {
            self.choose_once(&mut case, branch)?;
        }
        let conditions = case.clone();
        let inside = |index| Branch { case: &conditions, index, outer: branch };
        for (index, (_, then)) in case.when_then_expr.iter_mut().enumerate() {
            **then = self.lift_in(std::mem::take(&mut **then), Some(&inside(index)))?;
        }
        if let Some(otherwise) = case.else_expr.take() {
            case.else_expr = Some(Box::new(self.lift_in(*otherwise, Some(&inside(case.when_then_expr.len())))?));
        }
        Ok(Expr::Case(case))
    }

    /// Computes the index of each row's branch into a column of the plan, once, for the `CASE` and for the guards of the
    /// calls in it: `random() < 0.5`, evaluated again for a guard, may choose another branch.
    fn choose_once(&mut self, case: &mut Case, branch: Option<&Branch<'_>>) -> Result<()> {
        let index = |index: usize| lit(i64::try_from(index).unwrap_or(i64::MAX));
        let branches = case.when_then_expr.len();
        let whens = case.when_then_expr.iter_mut().enumerate();
        let when_then = whens
            .map(|(at, (when, _))| (Box::new(std::mem::replace(&mut **when, index(at))), Box::new(index(at))))
            .collect();
        let mut choice = Expr::Case(Case::new(case.expr.take(), when_then, Some(Box::new(index(branches)))));
        if let Some(branch) = branch {
            choice = branch.guard(choice, &ScalarValue::Int64(None));
        }
        let name = self.config.alias_generator().next("__branch");
        let plan = std::mem::take(&mut self.plan);
        let columns = plan.schema().columns().into_iter().map(Expr::Column);
        let exprs: Vec<Expr> = columns.chain([choice.alias(&name)]).collect();
        self.plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?);
        case.expr = Some(Box::new(Expr::Column(Column::new_unqualified(name))));
        Ok(())
    }

    /// Each expression of grouping sets is a column of the aggregate and keeps its name; one that stands in several sets
    /// is one column.
    fn lift_grouping_set(&mut self, sets: Expr) -> Result<Expr> {
        let names = NamePreserver::new_for_projection();
        let mut lifted: HashMap<Expr, Expr> = HashMap::new();
        let sets = sets.map_children(|expr| {
            if let Some(known) = lifted.get(&expr) {
                return Ok(Transformed::yes(known.clone()));
            }
            let column = names.save(&expr).restore(self.lift(expr.clone())?);
            lifted.insert(expr, column.clone());
            Ok(Transformed::yes(column))
        })?;
        Ok(sets.data)
    }

    fn lift_call(&mut self, call: Expr, branch: Option<&Branch<'_>>) -> Result<Expr> {
        let Expr::ScalarFunction(mut function) = call else { return Ok(call) };
        let inputs = inputs_of(&function)?.unwrap_or_default();
        for input in function.args.iter_mut().take(inputs) {
            // A call within, such as the file of a picture, is a node below.
            *input = self.lift_in(std::mem::take(input), branch)?;
            if let Some(branch) = branch {
                let null = ScalarValue::try_from(&input.get_type(self.plan.schema())?)?;
                *input = branch.guard(input.clone(), &null);
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

/// Whether the branch that a row takes may be another one when it is asked again.
fn is_volatile(case: &Case) -> bool {
    case.expr.as_ref().is_some_and(|expr| expr.is_volatile())
        || case.when_then_expr.iter().any(|(when, _)| when.is_volatile())
}

fn has_call_in_branch(case: &Case) -> Result<bool> {
    for (_, then) in &case.when_then_expr {
        if has_call(then)? {
            return Ok(true);
        }
    }
    case.else_expr.as_ref().map_or(Ok(false), |otherwise| has_call(otherwise))
}

/// How many of a call's arguments are read for each row; `None` if it is no call that is taken out.
fn inputs_of(function: &ScalarFunction) -> Result<Option<usize>> {
    if ReadFile::of(function).is_some() {
        return Ok(Some(1));
    }
    Ok(inference_of(function)?.map(|inference| inference.arity()))
}

/// Whether the expression itself is a call that a model has to run for each row, or one that reads files.
pub(super) fn is_call(expr: &Expr) -> Result<bool> {
    let Expr::ScalarFunction(function) = expr else { return Ok(false) };
    // A file may be another in the next query: even one of a literal name is no constant.
    if ReadFile::of(function).is_some() {
        return Ok(true);
    }
    let Some(inference) = inference_of(function)? else { return Ok(false) };
    Ok(function.args.iter().take(inference.arity()).any(|text| !matches!(text, Expr::Literal(..))))
}

/// Whether a call can be taken out of the expression. In a lambda it cannot: its texts are not columns of a plan.
pub(super) fn has_call(expr: &Expr) -> Result<bool> {
    let mut found = false;
    expr.apply(|expr| {
        if matches!(expr, Expr::Lambda(_)) {
            return Ok(TreeNodeRecursion::Jump);
        }
        found = is_call(expr)?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}
