//! What a plan does, and whether a served session may do it.
//!
//! Takes a plan; gives an error that names the statement if it, or any part of it, is not allowed: the input of an EXPLAIN or
//! PREPARE, a sub-query, a view. Every statement that DataFusion plans has its line here, so that a new version's statements
//! do not compile before somebody has decided.

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, plan_err};
use datafusion::datasource::listing::ListingTable;
use datafusion::logical_expr::{CreateExternalTable, DdlStatement, LogicalPlan, Statement, TableScan};

use super::folders::path_of;
use super::{Served, settings};

/// Refuses a plan that does what the session may not.
///
/// # Errors
/// It does.
pub(super) fn check(plan: &LogicalPlan, served: &Served) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        check_node(node, served)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn check_node(node: &LogicalPlan, served: &Served) -> Result<()> {
    let writes = |what: &str| if served.writable { Ok(()) } else { refuse(what) };
    match node {
        LogicalPlan::Copy(_) => writes("COPY"),
        LogicalPlan::Dml(dml) => writes(&dml.op.to_string().to_uppercase()),
        LogicalPlan::Ddl(statement) => check_ddl(statement, served),
        LogicalPlan::Statement(statement) => check_statement(statement),
        LogicalPlan::TableScan(scan) => check_scan(scan, served),
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Unnest(_)
        // Calls of models; those that leave something behind refuse by themselves.
        | LogicalPlan::Extension(_)
        | LogicalPlan::RecursiveQuery(_) => Ok(()),
    }
}

/// What makes or drops something: in the session alone it is allowed, unless it holds rows and the session may only read.
fn check_ddl(statement: &DdlStatement, served: &Served) -> Result<()> {
    match statement {
        DdlStatement::CreateView(_)
        | DdlStatement::CreateCatalogSchema(_)
        | DdlStatement::CreateCatalog(_)
        | DdlStatement::DropTable(_)
        | DdlStatement::DropView(_)
        | DdlStatement::DropCatalogSchema(_) => Ok(()),
        DdlStatement::CreateExternalTable(table) => check_external_table(table),
        DdlStatement::CreateMemoryTable(_) if served.writable => Ok(()),
        DdlStatement::CreateMemoryTable(table) => plan_err!(
            "CREATE TABLE {} is not allowed here: this session may only read; make a view of the query: \
             CREATE VIEW {} AS SELECT ...",
            table.name,
            table.name
        ),
        DdlStatement::CreateIndex(_) => not_allowed("CREATE INDEX"),
        DdlStatement::CreateFunction(_) => not_allowed("CREATE FUNCTION"),
        DdlStatement::DropFunction(_) => not_allowed("DROP FUNCTION"),
    }
}

fn check_external_table(table: &CreateExternalTable) -> Result<()> {
    let option = table.options.keys().find(|key| key.to_lowercase().ends_with("unbounded"));
    if table.unbounded || option.is_some() {
        return not_allowed("CREATE UNBOUNDED EXTERNAL TABLE");
    }
    Ok(())
}

fn check_statement(statement: &Statement) -> Result<()> {
    match statement {
        Statement::SetVariable(set) if !settings::may_set(&set.variable, &set.value) => {
            match settings::limit(&set.variable) {
                Some(most) => plan_err!("{} is a number up to {most} here, not '{}'", set.variable, set.value),
                None => not_settable(&set.variable),
            }
        }
        Statement::ResetVariable(reset) if !settings::may_reset(&reset.variable) => not_settable(&reset.variable),
        // DataFusion would run it, and its table would be counted by nobody.
        Statement::Prepare(prepare)
            if matches!(*prepare.input, LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(_))) =>
        {
            not_allowed("PREPARE of CREATE TABLE")
        }
        // The plan that EXECUTE runs was checked when it was prepared, and is when it is made physical.
        Statement::SetVariable(_)
        | Statement::ResetVariable(_)
        | Statement::TransactionStart(_)
        | Statement::TransactionEnd(_)
        | Statement::Prepare(_)
        | Statement::Execute(_)
        | Statement::Deallocate(_) => Ok(()),
    }
}

/// The plan of a view, and the files of a table.
fn check_scan(scan: &TableScan, served: &Served) -> Result<()> {
    if let Some(view) = scan.source.get_logical_plan() {
        return check(&view, served);
    }
    let Ok(table) = source_as_provider(&scan.source) else { return Ok(()) };
    let Some(table) = table.downcast_ref::<ListingTable>() else { return Ok(()) };
    for location in table.table_paths() {
        if location.scheme() != "file" || !served.folders.contains(&path_of(location)) {
            return Err(served.folders.refused(location.as_str()));
        }
    }
    Ok(())
}

/// The error of what writes in a session that only reads.
///
/// # Errors
/// Always.
pub(super) fn refuse<T>(what: &str) -> Result<T> {
    plan_err!("{what} is not allowed here: this session may only read")
}

fn not_allowed<T>(what: &str) -> Result<T> {
    plan_err!("{what} is not allowed here")
}

fn not_settable<T>(setting: &str) -> Result<T> {
    plan_err!("{setting} cannot be changed here: it is a setting of the whole process, or not known")
}
