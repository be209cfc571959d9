//! A call's result as a column of a plan: found where the plan computes it already, or added.
//!
//! Takes a plan and a call over its columns; gives the plan with the result among its columns.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, SubqueryAlias};
use debut_udfs::functions::inference_of;

use super::node::{Infer, only};

/// The plan with the result of `call` exposed as a column, or `None` if it does not compute it. A volatile call
/// is never found: each has results of its own.
///
/// # Errors
/// A node cannot be rebuilt over its changed input.
pub(super) fn expose(plan: &LogicalPlan, call: &Expr) -> Result<Option<(LogicalPlan, Column)>> {
    if call.is_volatile() {
        return Ok(None);
    }
    if let Some(infer) = Infer::of(plan) {
        if same_call(&infer.call, call)? {
            return Ok(Some((plan.clone(), infer.result())));
        }
        return below(plan, call);
    }
    match plan {
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => below(plan, call),
        LogicalPlan::Projection(projection) => through_projection(projection, call),
        LogicalPlan::SubqueryAlias(alias) => through_alias(alias, call),
        LogicalPlan::Join(join) => {
            let read = call.column_refs();
            let sides = [
                (&join.left, true, matches!(join.join_type, JoinType::Inner | JoinType::Left)),
                (&join.right, false, matches!(join.join_type, JoinType::Inner | JoinType::Right)),
            ];
            for (side, is_left, keeps_rows) in sides {
                if !keeps_rows || !read.iter().all(|column| side.schema().has_column(column)) {
                    continue;
                }
                if let Some((input, column)) = expose(side, call)? {
                    let mut join = join.clone();
                    *(if is_left { &mut join.left } else { &mut join.right }) = Arc::new(input);
                    return Ok(Some((LogicalPlan::Join(join).recompute_schema()?, column)));
                }
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// The plan with one more node, which computes `call` into a column named `name`.
///
/// The node goes below projections, so that the nodes of a query stand on one another, where `late` can tell which of
/// them a sort needs.
///
/// # Errors
/// The call does not resolve against the plan.
pub(super) fn add(plan: LogicalPlan, call: Expr, name: String) -> Result<(LogicalPlan, Column)> {
    if let LogicalPlan::Projection(projection) = &plan
        && let Some(inner_call) = call_below(projection, &call)?
        && !inner_call.is_volatile()
    {
        let (input, column) = add(projection.input.as_ref().clone(), inner_call, name)?;
        return pass_on(projection, input, column);
    }
    let infer = Infer::try_new(plan, call, name)?;
    let column = infer.result();
    Ok((infer.into_plan(), column))
}

/// Whether two calls run the same model on the same texts, however their literals are spelled: `embed(t)` is
/// `embed(t, 'all-MiniLM-L6-v2@1', 'document')`.
fn same_call(a: &Expr, b: &Expr) -> Result<bool> {
    let (Expr::ScalarFunction(a), Expr::ScalarFunction(b)) = (a, b) else { return Ok(a == b) };
    let (Some(first), Some(second)) = (inference_of(a)?, inference_of(b)?) else { return Ok(a == b) };
    let texts = first.arity();
    Ok(first == second && a.args.iter().take(texts).eq(b.args.iter().take(texts)))
}

/// Nodes that pass every column of their one input on.
fn below(plan: &LogicalPlan, call: &Expr) -> Result<Option<(LogicalPlan, Column)>> {
    let input = only(plan.inputs())?;
    let Some((input, column)) = expose(input, call)? else { return Ok(None) };
    Ok(Some((plan.with_new_exprs(plan.expressions(), vec![input])?, column)))
}

fn through_projection(projection: &Projection, call: &Expr) -> Result<Option<(LogicalPlan, Column)>> {
    let Some(inner_call) = call_below(projection, call)? else { return Ok(None) };
    let Some((input, inner)) = expose(&projection.input, &inner_call)? else { return Ok(None) };
    pass_on(projection, input, inner).map(Some)
}

/// The call over the projection's input, if the projection does not hide what it reads.
fn call_below(projection: &Projection, call: &Expr) -> Result<Option<Expr>> {
    let inside: HashMap<Column, &Expr> = projection.schema.columns().into_iter().zip(&projection.expr).collect();
    replace_columns(call, |column| inside.get(column).map(|expr| (*expr).clone().unalias()))
}

/// The projection over its changed input, with one more column passed on unless it is already.
fn pass_on(projection: &Projection, input: LogicalPlan, column: Column) -> Result<(LogicalPlan, Column)> {
    let column = Expr::Column(column);
    let mut exprs = projection.expr.clone();
    let position = exprs.iter().position(|expr| expr.clone().unalias() == column).unwrap_or_else(|| {
        exprs.push(column);
        exprs.len() - 1
    });
    let projection = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?);
    let column = Column::from(projection.schema().qualified_field(position));
    Ok((projection, column))
}

fn through_alias(alias: &SubqueryAlias, call: &Expr) -> Result<Option<(LogicalPlan, Column)>> {
    let inside: HashMap<Column, Column> =
        alias.schema.columns().into_iter().zip(alias.input.schema().columns()).collect();
    let Some(inner_call) = replace_columns(call, |column| inside.get(column).cloned().map(Expr::Column))? else {
        return Ok(None);
    };
    let Some((input, inner)) = expose(&alias.input, &inner_call)? else { return Ok(None) };
    let position = input.schema().index_of_column(&inner)?;
    let alias = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?);
    let column = Column::from(alias.schema().qualified_field(position));
    Ok(Some((alias, column)))
}

/// The expression in terms of an input's columns, or `None` if a column has no counterpart there.
fn replace_columns(expr: &Expr, inside: impl Fn(&Column) -> Option<Expr>) -> Result<Option<Expr>> {
    let mut complete = true;
    let replaced = expr.clone().transform_up(|expr| {
        let Expr::Column(column) = &expr else { return Ok(Transformed::no(expr)) };
        match inside(column) {
            Some(inner) => Ok(Transformed::yes(inner)),
            None => {
                complete = false;
                Ok(Transformed::no(expr))
            }
        }
    })?;
    Ok(complete.then_some(replaced.data))
}
