//! The optimizer rule that runs models as late as a query allows.
//!
//! Takes plans with `Infer` nodes, bottom-up, after limits were pushed into sorts; gives plans of the same rows in the
//! same order in which
//! - the rows that a Sort with a limit leaves are chosen below every `Infer` that it does not need: `ORDER BY price LIMIT
//!   10` runs ten texts;
//! - an `Infer` that nobody reads is gone.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, Sort, SortExpr};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::node::{Infer, keep};

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

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Projection(projection) => drop_unread(projection),
            LogicalPlan::Sort(sort) => match limit_before_inference(&sort, config)? {
                Some(plan) => Ok(Transformed::yes(plan)),
                None => Ok(Transformed::no(LogicalPlan::Sort(sort))),
            },
            other => Ok(Transformed::no(other)),
        }
    }
}

fn drop_unread(projection: Projection) -> Result<Transformed<LogicalPlan>> {
    let (needed, rest, base) = split(&projection.input, &projection.expr.iter().collect::<Vec<_>>());
    if rest.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Projection(projection)));
    }
    let input = stack(base.clone(), needed)?;
    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(projection.expr, Arc::new(input))?)))
}

/// The sort with a second one, of the same keys and the same limit, below the models that it does not need. The first
/// stays where it was: rows may be computed in several partitions above the models, and only a Sort says that their order
/// matters. `None` if there is nothing to gain.
fn limit_before_inference(sort: &Sort, config: &dyn OptimizerConfig) -> Result<Option<LogicalPlan>> {
    let Some(fetch) = sort.fetch else { return Ok(None) };
    // A projection between the sort and the models is stepped over: its sort keys are read as what they stand for.
    let columns = sort.input.schema().columns();
    let (exprs, below) = match sort.input.as_ref() {
        LogicalPlan::Projection(projection) => (projection.expr.clone(), projection.input.as_ref()),
        other => (columns.iter().cloned().map(Expr::Column).collect(), other),
    };
    if Infer::of(below).is_none() {
        return Ok(None);
    }
    let Some(keys) = Keys::of(&sort.expr, columns.iter().cloned().zip(exprs).collect(), config)? else {
        return Ok(None);
    };
    let readers: Vec<&Expr> = keys.computed.iter().chain(keys.below.iter().map(|key| &key.expr)).collect();
    let (needed, rest, base) = split(below, &readers);
    // Where the rows are as few already, this has been done, or the query does so itself.
    if rest.is_empty() || base.max_rows().is_some_and(|rows| rows <= fetch) {
        return Ok(None);
    }
    let mut input = stack(base.clone(), needed)?;
    if !keys.computed.is_empty() {
        let passed_on = input.schema().columns().into_iter().map(Expr::Column);
        input = LogicalPlan::Projection(Projection::try_new(
            passed_on.chain(keys.computed).collect::<Vec<_>>(),
            Arc::new(input),
        )?);
    }
    let limited = LogicalPlan::Sort(Sort { expr: keys.below, input: Arc::new(input), fetch: sort.fetch });
    let projection = Projection::try_new(keys.projection, Arc::new(stack(limited, rest)?))?;
    let input = Arc::new(LogicalPlan::Projection(projection));
    let sorted = LogicalPlan::Sort(Sort { expr: keys.above, input, fetch: sort.fetch });
    keep(sorted, columns).map(Some)
}

/// The keys of a sort over a projection, in terms of the projection's input and of its output.
struct Keys {
    below: Vec<SortExpr>,
    above: Vec<SortExpr>,
    /// Volatile expressions that the keys read, named. Both sorts have to see the same values, so these are computed
    /// once, below the first of them.
    computed: Vec<Expr>,
    /// The projection, which reads what was computed and passes on what the keys above need.
    projection: Vec<Expr>,
}

impl Keys {
    /// `columns` are the projection's, each with what it stands for. `None` if a key is volatile and reads a column that
    /// is: such a key stays where it is.
    fn of(keys: &[SortExpr], mut columns: Vec<(Column, Expr)>, config: &dyn OptimizerConfig) -> Result<Option<Self>> {
        let mut computed = Vec::new();
        let mut compute = |expr: Expr| {
            let name = config.alias_generator().next("__key");
            computed.push(expr.alias(&name));
            Expr::Column(Column::new_unqualified(name))
        };
        let is_read = |column: &Column| keys.iter().any(|key| key.expr.column_refs().contains(column));
        let mut volatile = Vec::new();
        for (column, expr) in &mut columns {
            if expr.is_volatile() && is_read(column) {
                *expr = compute(expr.clone().unalias()).alias_qualified(column.relation.clone(), &column.name);
                volatile.push(column.clone());
            }
        }
        let inside: HashMap<&Column, &Expr> = columns.iter().map(|(column, expr)| (column, expr)).collect();
        let (mut below, mut above, mut passed_on) = (Vec::new(), keys.to_vec(), Vec::new());
        for key in &mut above {
            let mut expr = replace_columns(key.expr.clone(), &inside)?;
            if key.expr.is_volatile() {
                if key.expr.column_refs().into_iter().any(|column| volatile.contains(column)) {
                    return Ok(None);
                }
                expr = compute(expr);
                passed_on.push(expr.clone());
                key.expr = expr.clone();
            }
            below.push(SortExpr::new(expr, key.asc, key.nulls_first));
        }
        let projection = columns.into_iter().map(|(_, expr)| expr).chain(passed_on).collect();
        Ok(Some(Self { below, above, computed, projection }))
    }
}

/// The stack of `Infer` nodes on top of a plan, each list from the bottom up: those that `readers` need, directly or
/// through another call, and the others; and the plan below them all.
fn split<'a>(plan: &'a LogicalPlan, readers: &[&Expr]) -> (Vec<&'a Infer>, Vec<&'a Infer>, &'a LogicalPlan) {
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

/// The expression over a projection in terms of its input.
fn replace_columns(expr: Expr, inside: &HashMap<&Column, &Expr>) -> Result<Expr> {
    let replaced = expr.transform_up(|expr| match &expr {
        Expr::Column(column) => match inside.get(column) {
            Some(inner) => Ok(Transformed::yes((*inner).clone().unalias_nested().data)),
            None => Ok(Transformed::no(expr)),
        },
        _ => Ok(Transformed::no(expr)),
    })?;
    Ok(replaced.data)
}
