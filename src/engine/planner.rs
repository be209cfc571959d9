//! DataFusion's physical planner with Debut's nodes added, and plans that are fit to read.
//!
//! Takes who works for a session; gives the query planner of a session.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::access::Access;
use super::calls::planner::CallPlanner;
use super::calls::workers::Workers;
use super::infer::planner::InferPlanner;
use super::{copy, explain, refresh};

/// The planner.
#[derive(Debug)]
pub struct DebutQueryPlanner {
    workers: Workers,
}

impl DebutQueryPlanner {
    /// A planner whose nodes hand their work to `workers`.
    pub fn new(workers: Workers) -> Self {
        Self { workers }
    }
}

#[async_trait]
impl QueryPlanner for DebutQueryPlanner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        // Whoever made the plan, with its views in place: nothing that a session may not do becomes something that runs.
        Access::of(session.config()).check(plan)?;
        let (plan, staged) = copy::stage(plan)?;
        refresh::refuse_inserts(&plan)?;
        let (plan, refresh) = refresh::split(plan)?;
        let plan = plan.as_ref();
        let nodes: Vec<Arc<dyn ExtensionPlanner + Send + Sync>> = vec![
            Arc::new(InferPlanner::new(Arc::clone(&self.workers.models), plan)?),
            Arc::new(CallPlanner::new(self.workers.clone())),
            Arc::new(refresh),
        ];
        let physical =
            DefaultPhysicalPlanner::with_extension_planners(nodes).create_physical_plan(plan, session).await?;
        let physical = staged.publish(physical)?;
        match plan {
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => explain::shorten(physical),
            _ => Ok(physical),
        }
    }
}
