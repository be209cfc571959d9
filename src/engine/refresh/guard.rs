//! Nobody but `refresh` writes into its tables: takes a plan; gives an error if it inserts rows into the files of one.
//!
//! `COPY` and `-o` are refused where they begin to write ([`Staging`](crate::staging::Staging)).

use std::fs;
use std::path::Path;

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, plan_err};
use datafusion::datasource::listing::ListingTable;
use datafusion::logical_expr::LogicalPlan;

use crate::staging::is_kept;

/// Refuses a plan that inserts into a table that `refresh` made.
///
/// # Errors
/// It does.
pub(in crate::engine) fn refuse_inserts(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let LogicalPlan::Dml(dml) = node else { return Ok(TreeNodeRecursion::Continue) };
        let Ok(table) = source_as_provider(&dml.target) else { return Ok(TreeNodeRecursion::Continue) };
        let paths = table.downcast_ref::<ListingTable>().map_or(&[][..], |table| table.table_paths().as_slice());
        for path in paths.iter().filter(|path| path.scheme() == "file") {
            let path = Path::new("/").join(path.prefix().as_ref());
            if fs::canonicalize(&path).is_ok_and(|path| is_kept(&path)) {
                return plan_err!(
                    "{} {}: only refresh(...) writes into '{}'",
                    dml.op.to_string().to_uppercase(),
                    dml.table_name,
                    path.display()
                );
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}
