//! The arguments of a call: names, sub-queries, and values that are known while planning.
//!
//! Takes arguments as parsed; gives names, plans and literals.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, FunctionArg, FunctionArgExpr, TableFactor};
use debut_udfs::options::Function;

/// The name and the value of an argument.
pub(super) fn named(
    function: &Function,
    argument: FunctionArg,
    context: &dyn RelationPlannerContext,
) -> Result<(String, SqlExpr)> {
    let (name, value) = match argument {
        FunctionArg::Named { name, arg, .. } => (context.normalize_ident(name), arg),
        FunctionArg::ExprNamed { name: SqlExpr::Identifier(name), arg, .. } => (context.normalize_ident(name), arg),
        other => {
            return plan_err!("{}: arguments have names, and '{other}' has none: {}", function.name, function.usage);
        }
    };
    match value {
        FunctionArgExpr::Expr(value) => Ok((name, value)),
        other => plan_err!("{}: {name} is not a value: {other}", function.name),
    }
}

/// The plan of a sub-query.
pub(super) fn sub_query(
    function: &Function,
    name: &str,
    value: SqlExpr,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let query = match value {
        SqlExpr::Subquery(query) => query,
        SqlExpr::Nested(inner) => return sub_query(function, name, *inner, context),
        other => {
            return plan_err!(
                "{}: {name} is a sub-query in parentheses, such as {name} => (SELECT * FROM {name}), not {other}",
                function.name
            );
        }
    };
    let plan = context.plan(TableFactor::Derived { lateral: false, subquery: query, alias: None, sample: None })?;
    if reads_outer_rows(&plan)? {
        return plan_err!("{}: the sub-query {name} cannot use columns of the outer query", function.name);
    }
    let mut names = HashSet::new();
    if let Some(field) = plan.schema().fields().iter().find(|field| !names.insert(field.name())) {
        return plan_err!(
            "{}: {name} has two columns '{}'; give one another name with AS",
            function.name,
            field.name()
        );
    }
    Ok(plan)
}

fn reads_outer_rows(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= node.contains_outer_reference();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// The value of an option: a literal, or an expression that needs no rows, such as `now() - INTERVAL '1 day'`.
pub(super) fn constant(
    function: &Function,
    name: &str,
    value: SqlExpr,
    context: &mut dyn RelationPlannerContext,
) -> Result<ScalarValue> {
    if let SqlExpr::Identifier(word) = &value
        && word.quote_style.is_none()
    {
        return plan_err!(
            "{}: {name} is {word}, which SQL reads as a column; write text in quotes, '{word}'",
            function.name
        );
    }
    let described = value.to_string();
    let no_columns = DFSchema::empty();
    let expr = context
        .sql_to_expr(value, &no_columns)
        .map_err(|error: DataFusionError| error.context(format!("{}: {name} is {described}", function.name)))?;
    let options = Arc::new(context.context_provider().options().clone());
    let simplifier =
        ExprSimplifier::new(SimplifyContext::builder().with_config_options(options).with_current_time().build());
    match simplifier.simplify(simplifier.coerce(expr, &no_columns)?)? {
        Expr::Literal(value, _) => Ok(value),
        Expr::Placeholder(placeholder) => {
            plan_err!("{}: {name} is the parameter {} without a value", function.name, placeholder.id)
        }
        _ => plan_err!("{}: {name} is a value that is known while planning, not {described}", function.name),
    }
}
