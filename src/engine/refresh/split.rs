//! Where the rows of a source are compared: below the lowest call of a model that sees them one by one.
//!
//! Takes an optimized plan; gives it with a `Changed` below the models of every source that allows it, and for each table what
//! makes its rows. Between the models and the table there may be nothing but expressions, filters and orders: a row that a join,
//! an aggregate, a window or a limit gives depends on other rows too.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use debut_udfs::refresh::Format;

use super::node::{Changed, RefreshNode};
use super::planner::RefreshPlanner;
use super::recipe::Expressions;
use super::run::Run;
use crate::engine::infer::node::{Infer, only};
use crate::refresh::manifest::Recipe;
use crate::refresh::table::Request;

/// The plan with its sources split, and the planner of its nodes.
///
/// # Errors
/// A node cannot be rebuilt over its changed input; that would be our mistake.
pub(in crate::engine) fn split(plan: Cow<'_, LogicalPlan>) -> Result<(Cow<'_, LogicalPlan>, RefreshPlanner)> {
    let mut runs = Vec::new();
    if !plan.exists(|node| Ok(RefreshNode::of(node).is_some()))? {
        return Ok((plan, RefreshPlanner::new(runs)));
    }
    let split = plan.into_owned().transform_up(|plan| {
        let Some(node) = RefreshNode::of(&plan) else { return Ok(Transformed::no(plan)) };
        let (source, run) = split_source(node, runs.len())?;
        let node = node.clone().over(source, runs.len());
        runs.push(Arc::new(run));
        Ok(Transformed::yes(node.into_plan()))
    })?;
    Ok((Cow::Owned(split.data), RefreshPlanner::new(runs)))
}

fn split_source(node: &RefreshNode, number: usize) -> Result<(LogicalPlan, Run)> {
    let mut columns = Expressions::of_columns(node.source.schema());
    if node.options.format == Format::Delta {
        // Parts that a killed refresh left for a table of another format have other types.
        columns += " delta";
    }
    let key = node.options.key.clone();
    let (source, recipe, whole) = match chain(&node.source)? {
        Err(why) => (node.source.clone(), Recipe::new(String::new(), columns, key, Default::default()), Some(why)),
        Ok((chain, base)) => {
            let mut expressions = Expressions::over(base);
            chain.iter().rev().try_for_each(|node| expressions.add(node))?;
            match key_over(&chain, base, &node.source, &key)? {
                None => {
                    let why = "the key is made of the result of a model; give rows a key that their source has";
                    (node.source.clone(), Recipe::new(String::new(), columns, key, Default::default()), Some(all(why)))
                }
                Some(over) => {
                    let changed = Changed { input: base.clone(), key: over, number }.into_plan();
                    let source = chain.iter().rev().try_fold(changed, |input, node| on(node, input))?;
                    let (query, models) = expressions.finish(&node.source)?;
                    (source, Recipe::new(query, columns, key, models), None)
                }
            }
        }
    };
    let (target, format, keep) = (node.target.clone(), node.options.format, node.options.keep);
    let request = Request { target, format, recipe, whole, keep };
    Ok((source, Run { request, ledger: Arc::default() }))
}

fn all(why: &str) -> String {
    format!("everything was computed: {why}")
}

/// The nodes from the top of a source down to its lowest model, and what is below. The error says why there are none.
type Chain<'a> = (Vec<&'a LogicalPlan>, &'a LogicalPlan);

fn chain(source: &LogicalPlan) -> Result<Result<Chain<'_>, String>> {
    let (mut nodes, mut lowest, mut below) = (Vec::new(), None, source);
    loop {
        // Rows are compared above what reads files, by the content: a picture may be replaced under its name.
        let is_infer = runs_model(below);
        let sees_single_rows = match below {
            LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => true,
            LogicalPlan::Sort(sort) => sort.fetch.is_none(),
            _ => is_infer,
        };
        if !sees_single_rows {
            break;
        }
        nodes.push(below);
        below = only(below.inputs())?;
        if is_infer {
            lowest = Some((nodes.len(), below));
        }
    }
    let Some((count, base)) = lowest else {
        let above = below.display().to_string();
        let above = above.split([':', ' ']).next().unwrap_or_default();
        return Ok(Err(match source.exists(|node| Ok(runs_model(node)))? {
            true => all(&format!("above the model the query has {above}, which sees several rows at once")),
            false => all("the query has no model that sees rows one by one, such as embed"),
        }));
    };
    nodes.truncate(count);
    for node in &nodes {
        if node.expressions().iter().any(Expr::is_volatile) {
            return Ok(Err(all("an expression above the model, such as random(), gives another result each time")));
        }
        let mut has_sub_query = false;
        node.apply_subqueries(|_| {
            has_sub_query = true;
            Ok(TreeNodeRecursion::Stop)
        })?;
        if has_sub_query {
            return Ok(Err(all("the query has a sub-query in an expression above the model")));
        }
    }
    Ok(Ok((nodes, base)))
}

fn runs_model(node: &LogicalPlan) -> bool {
    Infer::of(node).is_some_and(|infer| !infer.reads_files())
}

/// The node on another input.
fn on(node: &LogicalPlan, input: LogicalPlan) -> Result<LogicalPlan> {
    let mut input = Some(input);
    Ok(node.clone().map_children(|child| Ok(Transformed::yes(input.take().unwrap_or(child))))?.data)
}

/// The key as an expression over the columns below the models. `None` if a model's result is in it.
fn key_over(chain: &[&LogicalPlan], base: &LogicalPlan, source: &LogicalPlan, name: &str) -> Result<Option<Expr>> {
    let position = source.schema().fields().iter().position(|field| field.name() == name);
    let Some(position) = position else { return Ok(None) };
    let mut key = Expr::Column(source.schema().qualified_field(position).into());
    for node in chain {
        let inside = match node {
            LogicalPlan::Projection(projection) => projection.expr.clone(),
            LogicalPlan::SubqueryAlias(alias) => alias.input.schema().columns().into_iter().map(Expr::Column).collect(),
            _ => continue,
        };
        let columns = node.schema().columns();
        key = key
            .transform_up(|expr| {
                let Expr::Column(column) = &expr else { return Ok(Transformed::no(expr)) };
                let inner = columns.iter().position(|known| known == column).and_then(|at| inside.get(at));
                Ok(inner.map_or_else(|| Transformed::no(expr), |inner| Transformed::yes(inner.clone().unalias())))
            })?
            .data
            .unalias();
    }
    let is_known = key.column_refs().into_iter().all(|column| base.schema().has_column(column));
    Ok(is_known.then_some(key))
}
