//! From the logical node `Finetune` to the physical node `FinetuneExec`.
//!
//! Called by DataFusion's physical planner through `engine::planner`.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use debut_udfs::config::DebutConfig;
use debut_udfs::trainer::Trainer;

use super::exec::FinetuneExec;
use super::node::Finetune;

/// Plans `Finetune` nodes.
#[derive(Debug)]
pub struct FinetunePlanner {
    trainer: Arc<dyn Trainer>,
}

impl FinetunePlanner {
    /// A planner whose nodes train with `trainer`.
    pub fn new(trainer: Arc<dyn Trainer>) -> Self {
        Self { trainer }
    }
}

#[async_trait]
impl ExtensionPlanner for FinetunePlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        _planning: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(finetune) = node.as_any().downcast_ref::<Finetune>() else { return Ok(None) };
        let inputs = finetune.inputs.replace(physical_inputs.iter().cloned());
        let config = DebutConfig::of(session.config_options());
        Ok(Some(Arc::new(FinetuneExec::new(finetune.options.clone(), inputs, Arc::clone(&self.trainer), config))))
    }
}
