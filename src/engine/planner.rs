//! DataFusion's physical planner with Debut's nodes added.
//!
//! Takes where models come from and what trains them; gives the query planner of a session. Made by `session`.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use debut_udfs::model::ModelProvider;
use debut_udfs::trainer::Trainer;

use super::finetune::planner::FinetunePlanner;
use super::infer::planner::InferPlanner;

/// The planner.
#[derive(Debug)]
pub struct DebutQueryPlanner {
    models: Arc<dyn ModelProvider>,
    trainer: Arc<dyn Trainer>,
}

impl DebutQueryPlanner {
    /// A planner whose nodes take their models from `models` and train with `trainer`.
    pub fn new(models: Arc<dyn ModelProvider>, trainer: Arc<dyn Trainer>) -> Self {
        Self { models, trainer }
    }
}

#[async_trait]
impl QueryPlanner for DebutQueryPlanner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let nodes: Vec<Arc<dyn ExtensionPlanner + Send + Sync>> = vec![
            Arc::new(InferPlanner::new(Arc::clone(&self.models), plan)?),
            Arc::new(FinetunePlanner::new(Arc::clone(&self.trainer))),
        ];
        DefaultPhysicalPlanner::with_extension_planners(nodes).create_physical_plan(plan, session).await
    }
}
