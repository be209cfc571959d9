//! Metrics of a plan that ran.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::physical_plan::ExecutionPlan;

/// The metric of that name, of the last node that has it.
///
/// # Errors
/// None has.
pub(crate) fn metric(plan: &Arc<dyn ExecutionPlan>, name: &str) -> Result<usize, Box<dyn std::error::Error>> {
    let mut value = None;
    plan.apply(|node| {
        if let Some(found) = node.metrics().and_then(|metrics| metrics.sum_by_name(name)) {
            value = Some(found.as_usize());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(value.ok_or_else(|| format!("the plan has no metric {name}"))?)
}
