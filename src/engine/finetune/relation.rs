//! SQL's `finetune(...)` in FROM, with named arguments and sub-queries, as a logical plan.
//!
//! Takes a table factor as parsed; gives a [`Finetune`] node, checked by the trainer. Called by DataFusion's SQL planner,
//! which hands every relation of a statement to the session's relation planners first; table functions of its own take
//! neither named arguments nor sub-queries.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, FunctionArg, FunctionArgExpr, TableFactor};
use debut_udfs::config::DebutConfig;
use debut_udfs::finetune::{FinetuneOptions, Inputs, NAME, USAGE};
use debut_udfs::trainer::Trainer;

use super::node::Finetune;

/// Plans calls of `finetune`.
#[derive(Debug)]
pub struct FinetuneRelation {
    trainer: Arc<dyn Trainer>,
}

impl FinetuneRelation {
    /// A planner whose calls are checked by `trainer`.
    pub fn new(trainer: Arc<dyn Trainer>) -> Self {
        Self { trainer }
    }
}

impl RelationPlanner for FinetuneRelation {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        match relation {
            TableFactor::Table { name, alias, args: Some(args), .. } if matches!(name.0.as_slice(), [part] if part.as_ident().is_some_and(is_finetune)) =>
            {
                let plan = self.plan_call(args.args, context)?;
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
            }
            other => Ok(RelationPlanning::Original(Box::new(other))),
        }
    }
}

impl FinetuneRelation {
    fn plan_call(&self, arguments: Vec<FunctionArg>, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
        let mut literals: Vec<(String, ScalarValue)> = Vec::new();
        let mut inputs = Inputs::<LogicalPlan>::default();
        for argument in arguments {
            let (name, value) = named(argument, context)?;
            match inputs.get_mut(&name) {
                Some(Some(_)) => return plan_err!("{NAME}: {name} is given twice"),
                Some(place) => *place = Some(sub_query(&name, value, context)?),
                None => {
                    FinetuneOptions::check_name(&name)?;
                    let value = constant(&name, value, context)?;
                    literals.push((name, value));
                }
            }
        }
        let config = DebutConfig::of(context.context_provider().options());
        let given = literals.iter().map(|(name, value)| (name.as_str(), value));
        let options = FinetuneOptions::of(given, &config.model)?;
        inputs.check(&options.objective)?;
        let schemas = inputs.map(|plan| Arc::clone(plan.schema().inner()));
        self.trainer.validate(&options, &schemas, &config)?;
        Ok(Finetune::try_new(options, inputs)?.into_plan())
    }
}

fn is_finetune(name: &datafusion::sql::sqlparser::ast::Ident) -> bool {
    if name.quote_style.is_some() { name.value == NAME } else { name.value.eq_ignore_ascii_case(NAME) }
}

/// The name and the value of an argument.
fn named(argument: FunctionArg, context: &dyn RelationPlannerContext) -> Result<(String, SqlExpr)> {
    let (name, value) = match argument {
        FunctionArg::Named { name, arg, .. } => (context.normalize_ident(name), arg),
        FunctionArg::ExprNamed { name: SqlExpr::Identifier(name), arg, .. } => (context.normalize_ident(name), arg),
        other => return plan_err!("{NAME}: arguments have names, and '{other}' has none: {USAGE}"),
    };
    match value {
        FunctionArgExpr::Expr(value) => Ok((name, value)),
        other => plan_err!("{NAME}: {name} is not a value: {other}"),
    }
}

/// The plan of a sub-query.
fn sub_query(name: &str, value: SqlExpr, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    let query = match value {
        SqlExpr::Subquery(query) => query,
        SqlExpr::Nested(inner) => return sub_query(name, *inner, context),
        other => {
            return plan_err!(
                "{NAME}: {name} is a sub-query in parentheses, such as {name} => (SELECT * FROM {name}), not {other}"
            );
        }
    };
    let plan = context.plan(TableFactor::Derived { lateral: false, subquery: query, alias: None, sample: None })?;
    if reads_outer_rows(&plan)? {
        return plan_err!("{NAME}: the sub-query {name} reads columns of the query around it, which has no rows yet");
    }
    let mut names = HashSet::new();
    if let Some(field) = plan.schema().fields().iter().find(|field| !names.insert(field.name())) {
        return plan_err!("{NAME}: {name} has two columns '{}'; give one another name with AS", field.name());
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
fn constant(name: &str, value: SqlExpr, context: &mut dyn RelationPlannerContext) -> Result<ScalarValue> {
    if let SqlExpr::Identifier(word) = &value
        && word.quote_style.is_none()
    {
        return plan_err!("{NAME}: {name} is {word}, which SQL takes for a column; write a text in quotes, '{word}'");
    }
    let described = value.to_string();
    let no_columns = DFSchema::empty();
    let expr = context
        .sql_to_expr(value, &no_columns)
        .map_err(|error: DataFusionError| error.context(format!("{NAME}: {name} is {described}")))?;
    let options = Arc::new(context.context_provider().options().clone());
    let simplifier =
        ExprSimplifier::new(SimplifyContext::builder().with_config_options(options).with_current_time().build());
    match simplifier.simplify(simplifier.coerce(expr, &no_columns)?)? {
        Expr::Literal(value, _) => Ok(value),
        Expr::Placeholder(placeholder) => {
            plan_err!("{NAME}: {name} is the parameter {} without a value", placeholder.id)
        }
        _ => plan_err!("{NAME}: {name} is a value that is known while planning, not {described}"),
    }
}
