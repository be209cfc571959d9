//! From the logical node of a call to the physical one.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use debut_udfs::config::DebutConfig;

use super::exec::CallExec;
use super::node::CallNode;
use super::workers::Workers;
use crate::engine::access::Access;

/// Plans the nodes of calls.
#[derive(Debug)]
pub struct CallPlanner {
    workers: Workers,
}

impl CallPlanner {
    /// A planner whose nodes hand their work to `workers`.
    pub fn new(workers: Workers) -> Self {
        Self { workers }
    }
}

#[async_trait]
impl ExtensionPlanner for CallPlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        _planning: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<CallNode>() else { return Ok(None) };
        if node.call.writes() {
            Access::of(session.config()).require_writes(node.call.function())?;
        }
        let inputs = node.inputs.replace(physical_inputs.iter().cloned());
        let config = DebutConfig::of(session.config_options());
        Ok(Some(Arc::new(CallExec::new(node.call.clone(), inputs, self.workers.clone(), config))))
    }
}
