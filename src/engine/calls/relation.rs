//! SQL's `function(name => value, rows => (SELECT ...), ...)` in FROM, as a logical plan.
//!
//! Takes a table factor as parsed; gives a [`CallNode`] or a [`RefreshNode`], checked. DataFusion's own table functions take neither named
//! arguments nor sub-queries.

use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::sql::sqlparser::ast::{FunctionArg, Ident, ObjectName, TableFactor};
use debut_udfs::config::DebutConfig;
use debut_udfs::functions::CALLS;
use debut_udfs::options::{Function, Inputs, Values};
use debut_udfs::refresh::{self, RefreshOptions};

use super::arguments::{constant, named, sub_query};
use super::call::{self, Call};
use super::node::CallNode;
use super::workers::Workers;
use crate::engine::access::Access;
use crate::engine::refresh::RefreshNode;

/// Plans calls.
#[derive(Debug)]
pub struct CallRelation {
    workers: Workers,
    access: Access,
}

impl CallRelation {
    /// A planner whose calls are checked by `workers`, in a session that may do what `access` says.
    pub fn new(workers: Workers, access: Access) -> Self {
        Self { workers, access }
    }

    fn plan_call(
        &self,
        function: &'static Function,
        arguments: Vec<FunctionArg>,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<LogicalPlan> {
        // Before anything is looked for: a model that is not there yet would be fetched.
        if call::writes(function) {
            self.access.require_writes(function.name)?;
        }
        let mut literals: Vec<(String, ScalarValue)> = Vec::new();
        let mut inputs = Inputs::<LogicalPlan>::default();
        for argument in arguments {
            let (name, value) = named(function, argument, context)?;
            match inputs.get_mut(&name).filter(|_| function.has_sub_query(&name)) {
                Some(Some(_)) => return plan_err!("{}: {name} is given twice", function.name),
                Some(place) => *place = Some(sub_query(function, &name, value, context)?),
                None => {
                    function.setting(&name)?;
                    let value = constant(function, &name, value, context)?;
                    literals.push((name, value));
                }
            }
        }
        let config = DebutConfig::of(context.context_provider().options());
        if function.name == refresh::NAME {
            let given = literals.iter().map(|(name, value)| (name.as_str(), value));
            let options = RefreshOptions::of(&Values::of(function, given, &config.model)?)?;
            call::require(function, "source", inputs.source.is_some())?;
            let target = self.access.folder_to_write(&options.target)?;
            return RefreshNode::plan(options, target, inputs.source);
        }
        let Some(embed) = context.context_provider().get_function_meta("embed") else {
            return plan_err!("{}: this session has no function embed", function.name);
        };
        let (call, inputs) = Call::plan(function, &literals, inputs, &self.workers, &embed, &config)?;
        Ok(CallNode::try_new(call, inputs)?.into_plan())
    }
}

impl RelationPlanner for CallRelation {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        match relation {
            TableFactor::Table { name, alias, args: Some(args), .. } if let Some(function) = function(&name) => {
                let plan = self.plan_call(function, args.args, context)?;
                Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
            }
            other => Ok(RelationPlanning::Original(Box::new(other))),
        }
    }
}

/// The function of this name.
fn function(name: &ObjectName) -> Option<&'static Function> {
    let [part] = name.0.as_slice() else { return None };
    let Ident { value, quote_style, .. } = part.as_ident()?;
    let is = |known: &str| if quote_style.is_some() { value == known } else { value.eq_ignore_ascii_case(known) };
    CALLS.into_iter().find(|function| is(function.name))
}
