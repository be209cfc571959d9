//! From the sub-queries to plans that sum them up: a row per variant, or one row of a log.
//!
//! Takes plans as the user wrote them; gives plans of DataFusion's own aggregates, so that rows are read on all cores and
//! spilled where they have to be.

use arrow::datatypes::DataType;
use datafusion::common::{Column, Result, plan_err};
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, lit, when};

use super::comoments::comoments;
use super::off_policy::{COLUMNS, PREDICTED};
use super::weight::importance_weight;
use super::{ExperimentOptions, FUNCTION, NAME};
use crate::options::Inputs;
use crate::recommender::columns::{self, CHOICES, EXPERIMENT, Role};

/// The place of the variant in the sums of users; behind it the rows, the comoments of outcomes, and those of pairs.
pub(super) const VARIANT: usize = 0;
/// The place of the number of rows.
pub(super) const ROWS: usize = 1;
/// The place of the comoments of all outcomes.
pub(super) const OUTCOMES: usize = 2;
/// The place of the comoments of outcomes and what was before, where it is known.
pub(super) const PAIRS: usize = 3;

/// Plans whose rows are what [`super::rows`] reads.
///
/// # Errors
/// There is no sub-query, or a column is missing or of a type that cannot be read.
pub fn sums(options: &ExperimentOptions, inputs: &Inputs<LogicalPlan>) -> Result<Inputs<LogicalPlan>> {
    if inputs.users.is_none() && inputs.interactions.is_none() {
        return plan_err!("{NAME} needs users => (SELECT ...) or interactions => (SELECT ...): {}", FUNCTION.usage);
    }
    let read = columns::read(NAME, inputs, &[EXPERIMENT, CHOICES], &options.columns, None)?;
    Ok(Inputs {
        users: read.users.map(users).transpose()?,
        interactions: read.interactions.map(|plan| interactions(plan, options.clip)).transpose()?,
        ..Inputs::default()
    })
}

fn users(plan: LogicalPlan) -> Result<LogicalPlan> {
    let (outcome, before) = (role(Role::Outcome), role(Role::Before));
    let mut values =
        vec![count(lit(1i64)).alias("rows"), comoments(vec!["outcome"]).call(vec![outcome.clone()]).alias("outcomes")];
    if has(&plan, Role::Before) {
        values.push(comoments(vec!["outcome", "before"]).call(vec![outcome, before]).alias("pairs"));
    }
    LogicalPlanBuilder::from(plan).aggregate([role(Role::Variant)], values)?.build()
}

fn interactions(plan: LogicalPlan, clip: f64) -> Result<LogicalPlan> {
    let with_model = has(&plan, Role::Predicted);
    if with_model != has(&plan, Role::PredictedTarget) {
        return plan_err!(
            "{NAME}: predicted and predicted_target belong together: what a model predicts for the row, and on average for \
             what the other policy would show instead; interactions has one of them"
        );
    }
    let by_user = has(&plan, Role::User);
    // The weight is checked with everything that tells which row is wrong.
    let known = [Role::Target, Role::Propensity, Role::Label]
        .into_iter()
        .chain(CHOICES.optional.iter().copied().filter(|optional| has(&plan, *optional)))
        .collect::<Vec<_>>();
    let weight = importance_weight(&known).call(known.iter().map(|known| role(*known)).collect());
    let kept = CHOICES.optional.iter().copied().filter(|kept| *kept != Role::Item && known.contains(kept));
    let mut columns: Vec<Expr> = kept.map(role).collect();
    columns.extend([role(Role::Label), weight.alias("weight")]);
    let rows =
        LogicalPlanBuilder::from(plan).filter(role(Role::Propensity).is_not_null())?.project(columns)?.build()?;

    let (weight, reward) = (named("weight"), role(Role::Label));
    let is_clipped = weight.clone().gt(lit(clip));
    let clipped = when(is_clipped.clone(), lit(clip)).otherwise(weight.clone())?;
    let mut values = vec![
        lit(1.0),
        reward.clone(),
        weight.clone(),
        weight.clone() * weight.clone(),
        weight.clone() * reward.clone(),
        clipped * reward.clone(),
        cast(is_clipped, DataType::Float64),
    ];
    let mut names = COLUMNS.to_vec();
    if with_model {
        let (direct, predicted) = (role(Role::PredictedTarget), role(Role::Predicted));
        values.extend([direct.clone(), direct + weight * (reward - predicted)]);
        names.extend(PREDICTED);
    }
    let rows = LogicalPlanBuilder::from(rows);
    let units = if by_user {
        let sums = values.into_iter().zip(&names).map(|(value, name)| sum(value).alias(*name));
        rows.aggregate([role(Role::User)], sums)?
    } else {
        rows.project(values.into_iter().zip(&names).map(|(value, name)| value.alias(*name)))?
    };
    let sums = comoments(names.clone()).call(names.iter().map(|name| named(name)).collect());
    units.aggregate(Vec::<Expr>::new(), [sums.alias("sums")])?.build()
}

fn has(plan: &LogicalPlan, role: Role) -> bool {
    plan.schema().has_column_with_unqualified_name(role.name())
}

fn role(role: Role) -> Expr {
    named(role.name())
}

fn named(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}
