//! Whether a statement can be run again: takes a statement or its plan; says no where it would add the same rows once more.

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, plan_err};
use datafusion::datasource::listing::{ListingTable, ListingTableUrl};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use super::statements::{Kind, Statement};

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

/// Whether a statement that failed has left nothing behind, so that it can be tried once more. What changes rows in place,
/// or models, is not.
pub fn can_be_retried(statement: &Statement) -> bool {
    let Kind::Sql(sql) = &statement.kind else { return false };
    match sql.as_ref() {
        DataFusionStatement::CopyTo(_) | DataFusionStatement::CreateExternalTable(_) => true,
        DataFusionStatement::Explain(_) => true,
        DataFusionStatement::Statement(sql) => {
            matches!(**sql, SqlStatement::Query(_) | SqlStatement::CreateTable(_) | SqlStatement::CreateView(_))
        }
        DataFusionStatement::Reset(_) => false,
    }
}
