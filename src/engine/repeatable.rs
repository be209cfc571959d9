//! Whether a statement can be run again: takes its plan; says no where it would add the same rows once more, or
//! has done a part when it fails.

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, plan_err};
use datafusion::datasource::listing::{ListingTable, ListingTableUrl};
use datafusion::logical_expr::LogicalPlan;

use super::calls::node::CallNode;

/// Refuses a plan that adds rows to files: each run would add them anew.
///
/// # Errors
/// It does; the message says what to write instead.
pub fn check(plan: &LogicalPlan) -> Result<()> {
    if matches!(plan, LogicalPlan::Explain(_)) {
        return Ok(());
    }
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Dml(dml) => {
                let table = source_as_provider(&dml.target).ok();
                if table.is_some_and(|table| table.downcast_ref::<ListingTable>().is_some()) {
                    return plan_err!(
                        "INSERT INTO {} adds rows to files, and would add them again when the job runs again: write a file a run, COPY (...) TO 'folder/{{name}}.parquet'",
                        dml.table_name
                    );
                }
            }
            LogicalPlan::Copy(copy) => {
                let target = ListingTableUrl::parse(&copy.output_url)?;
                let single = copy.options.get("single_file_output").map(String::as_str);
                let folder = target.is_collection() || target.file_extension().is_none();
                let folder = !copy.partition_by.is_empty() || single.map_or(folder, |single| single == "false");
                // A local folder is replaced as a whole.
                if folder && target.scheme() != "file" {
                    return plan_err!(
                        "COPY adds new files to the folder '{target}' of an object store, and would add them again when the job runs again: name one file, such as '{target}part.parquet'"
                    );
                }
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Whether a statement that fails while it runs leaves nothing behind, so that it can be tried once more. What changes rows
/// of a table in place does, and what makes a model or a record of an evaluation.
///
/// # Errors
/// A sub-query cannot be walked.
pub fn leaves_nothing_half_done(plan: &LogicalPlan) -> Result<bool> {
    let mut nothing = true;
    plan.apply_with_subqueries(|node| {
        nothing &= match node {
            LogicalPlan::Dml(_) | LogicalPlan::Statement(_) => false,
            LogicalPlan::Extension(_) => CallNode::of(node).is_none_or(|node| !node.call.writes()),
            LogicalPlan::TableScan(scan) => match scan.source.get_logical_plan() {
                Some(view) => leaves_nothing_half_done(&view)?,
                // A function that does something when its rows are asked for, such as `create_model`.
                None => source_as_provider(&scan.source)
                    .ok()
                    .is_none_or(|table| table.downcast_ref::<StreamingTable>().is_none()),
            },
            _ => true,
        };
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(nothing)
}
