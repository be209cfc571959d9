//! From the logical nodes of a refresh to the physical ones.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use debut_udfs::refresh::NAME;

use super::changed::ChangedExec;
use super::exec::RefreshExec;
use super::node::{Changed, RefreshNode};
use super::run::Run;
use crate::engine::access::Access;

/// Plans the nodes of one plan.
#[derive(Debug)]
pub(in crate::engine) struct RefreshPlanner {
    runs: Vec<Arc<Run>>,
}

impl RefreshPlanner {
    /// A planner for a plan with these tables.
    pub(super) fn new(runs: Vec<Arc<Run>>) -> Self {
        Self { runs }
    }

    fn run(&self, number: Option<usize>) -> Result<Arc<Run>> {
        let run = number.and_then(|number| self.runs.get(number));
        run.cloned().ok_or_else(|| internal_datafusion_err!("{NAME} was not split"))
    }
}

#[async_trait]
impl ExtensionPlanner for RefreshPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let [input] = physical_inputs else { return Ok(None) };
        let input = Arc::clone(input);
        if let Some(node) = node.as_any().downcast_ref::<RefreshNode>() {
            Access::of(session.config()).require_writes(NAME)?;
            return Ok(Some(Arc::new(RefreshExec::new(input, self.run(node.number)?))));
        }
        let Some(changed) = node.as_any().downcast_ref::<Changed>() else { return Ok(None) };
        let key = planner.create_physical_expr(&changed.key, changed.input.schema(), session, planning)?;
        Ok(Some(Arc::new(ChangedExec::new(input, key, self.run(Some(changed.number))?))))
    }
}
