//! The optimizer rule that runs models as late as a query allows.
//!
//! Takes plans with `Infer` nodes, bottom-up, after limits were pushed into sorts; gives plans of the same rows in which
//! - a Sort with a limit stands below every `Infer` that it does not need: `ORDER BY price LIMIT 10` runs ten texts;
//! - an `Infer` that nobody reads is gone.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Sort, SortExpr};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::node::Infer;

/// The rule.
#[derive(Debug, Default)]
pub struct LateInference;

impl OptimizerRule for LateInference {
    fn name(&self) -> &'static str {
        "late_inference"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Projection(projection) => drop_unread(projection),
            LogicalPlan::Sort(sort) if sort.fetch.is_some() => sort_before_inference(sort),
            other => Ok(Transformed::no(other)),
        }
    }
}

fn drop_unread(projection: Projection) -> Result<Transformed<LogicalPlan>> {
    let (needed, rest, base) = split(&projection.input, &projection.expr);
    if rest.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Projection(projection)));
    }
    let input = stack(base.clone(), needed)?;
    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(projection.expr, Arc::new(input))?)))
}

fn sort_before_inference(sort: Sort) -> Result<Transformed<LogicalPlan>> {
    // A projection between the sort and the models is stepped over: its sort keys are read as what they stand for.
    let (projection, below) = match sort.input.as_ref() {
        LogicalPlan::Projection(projection) => (Some(projection), projection.input.as_ref()),
        other => (None, other),
    };
    let keys = match projection {
        Some(projection) => keys_below(&sort.expr, projection)?,
        None => sort.expr.clone(),
    };
    let key_exprs: Vec<Expr> = keys.iter().map(|key| key.expr.clone()).collect();
    let (needed, rest, base) = split(below, &key_exprs);
    if rest.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Sort(sort)));
    }
    let sorted =
        LogicalPlan::Sort(Sort { expr: keys, input: Arc::new(stack(base.clone(), needed)?), fetch: sort.fetch });
    let plan = stack(sorted, rest)?;
    let exprs = match projection {
        Some(projection) => projection.expr.clone(),
        None => below.schema().columns().into_iter().map(Expr::Column).collect(),
    };
    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?)))
}

/// The stack of `Infer` nodes on top of a plan, each list from the bottom up: those that `readers` need, directly or
/// through another call, and the others; and the plan below them all.
fn split<'a>(plan: &'a LogicalPlan, readers: &[Expr]) -> (Vec<&'a Infer>, Vec<&'a Infer>, &'a LogicalPlan) {
    let (mut needed, mut rest) = (Vec::new(), Vec::new());
    let mut below = plan;
    while let Some(infer) = Infer::of(below) {
        let is_read = readers.iter().any(|expr| infer.is_read_by(expr))
            || needed.iter().any(|other: &&Infer| infer.is_read_by(&other.call));
        if is_read {
            needed.push(infer)
        } else {
            rest.push(infer)
        }
        below = &infer.input;
    }
    needed.reverse();
    rest.reverse();
    (needed, rest, below)
}

fn stack(base: LogicalPlan, infers: Vec<&Infer>) -> Result<LogicalPlan> {
    infers
        .into_iter()
        .try_fold(base, |plan, infer| Ok(Infer::try_new(plan, infer.call.clone(), infer.column.clone())?.into_plan()))
}

fn keys_below(keys: &[SortExpr], projection: &Projection) -> Result<Vec<SortExpr>> {
    let inside: HashMap<Column, &Expr> = projection.schema.columns().into_iter().zip(&projection.expr).collect();
    keys.iter()
        .map(|key| {
            let expr = key.expr.clone().transform_up(|expr| match &expr {
                Expr::Column(column) => match inside.get(column) {
                    Some(inner) => Ok(Transformed::yes((*inner).clone().unalias_nested().data)),
                    None => Ok(Transformed::no(expr)),
                },
                _ => Ok(Transformed::no(expr)),
            })?;
            Ok(SortExpr::new(expr.data, key.asc, key.nulls_first))
        })
        .collect()
}
