//! Which file an error is about.
//!
//! Takes the error of a query and the files that the query names; gives the error with the name of the file that is to
//! blame, which DataFusion's own errors leave out.

use std::sync::Arc;

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, TableReference};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingTable, ListingTableUrl};
use datafusion::logical_expr::{DdlStatement, LogicalPlan, TableScan};
use datafusion::parquet::errors::ParquetError;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use futures::TryStreamExt;

use super::access::Access;

/// Most files that are listed when any of them may be the one.
const MOST_NAMED: usize = 3;

/// Whether the name of a table is the location of a file or folder: `data` is a table's name even where there is a folder
/// of that name, `./data` is the folder.
pub(super) fn is_location(name: &str) -> bool {
    name.contains(['.', '/', '\\'])
}

/// The tables that a statement names in its FROM.
pub(super) fn tables_of(context: &SessionContext, statement: &Statement) -> Vec<TableReference> {
    context.state().resolve_table_references(statement).unwrap_or_default()
}

/// Those of the tables that are files and folders, and may be read.
pub(super) fn locations(tables: &[TableReference], access: &Access) -> Vec<ListingTableUrl> {
    let names = tables.iter().map(TableReference::table).filter(|name| is_location(name));
    names.filter_map(|name| ListingTableUrl::parse(access.read(name).ok()?).ok()).collect()
}

/// The error with what to write instead, where it says that one of the tables is missing and there is a folder of its name.
pub(super) fn hint_at_folder(tables: &[TableReference], error: DataFusionError, access: &Access) -> DataFusionError {
    let message = error.strip_backtrace();
    let missing = |name: &&str| !is_location(name) && message.contains(&format!(".{name}' not found"));
    match tables.iter().map(TableReference::table).find(|name| missing(name) && access.is_folder(name)) {
        Some(name) => error.context(format!("to read the folder '{name}', write './{name}'")),
        None => error,
    }
}

/// The files and folders that a plan reads, or makes a table of.
fn of_plan(plan: &LogicalPlan) -> Vec<ListingTableUrl> {
    let mut locations = Vec::new();
    let visited = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Ddl(DdlStatement::CreateExternalTable(table)) = node {
            locations.extend(table.locations.iter().filter_map(|location| ListingTableUrl::parse(location).ok()));
        }
        if let LogicalPlan::TableScan(scan) = node {
            locations.extend(of_scan(scan));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "the closure never fails");
    locations
}

/// The files and folders of a table; none if it is not made of files.
fn of_scan(scan: &TableScan) -> Vec<ListingTableUrl> {
    let table = source_as_provider(&scan.source).ok();
    let table = table.as_ref().and_then(|table| table.downcast_ref::<ListingTable>());
    table.map_or_else(Vec::new, |table| table.table_paths().clone())
}

/// The error with the file that `plan` could not read, where it is about reading one.
pub async fn blame(context: &SessionContext, plan: &LogicalPlan, error: DataFusionError) -> DataFusionError {
    if is_about_parquet(&error) { blame_one_of(context, of_plan(plan), error).await } else { error }
}

/// [`blame`] for files that are known by their location. Looks at them whatever the error is: a column that is not found
/// may be one of a file in which there is nothing.
pub(super) async fn blame_one_of(
    context: &SessionContext,
    locations: Vec<ListingTableUrl>,
    error: DataFusionError,
) -> DataFusionError {
    let unreadable = is_about_parquet(&error);
    let mut files = Vec::new();
    for location in &locations {
        match first_damaged(context, location, &mut files).await {
            Ok(None) => {}
            Ok(Some((file, reason))) => return reason.context(format!("cannot read '{file}'")),
            // DataFusion takes a store that refuses or cannot be reached for a table that is not there.
            Err(reason) if location.scheme() != "file" => return reason.context(format!("cannot read '{location}'")),
            // What cannot be listed is told by the error that there is already.
            Err(_) => return error,
        }
    }
    // The ends of all files are whole: what is damaged are their pages, and the reader does not say whose.
    match files.as_slice() {
        _ if !unreadable => error,
        [] => error,
        [file] => error.context(format!("cannot read '{file}'")),
        several => {
            let named = several.iter().take(MOST_NAMED).map(|file| format!("'{file}'")).collect::<Vec<_>>().join(", ");
            let more = several.len().saturating_sub(MOST_NAMED);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            error.context(format!("cannot read one of {named}{more}"))
        }
    }
}

/// The first Parquet file at `location` that is empty or whose footer cannot be read; all files are added to `files`.
async fn first_damaged(
    context: &SessionContext,
    location: &ListingTableUrl,
    files: &mut Vec<String>,
) -> Result<Option<(String, DataFusionError)>> {
    let state = context.state();
    let store = context.runtime_env().object_store(location)?;
    let listed: Vec<_> = location.list_all_files(&state, store.as_ref(), "").await?.try_collect().await?;
    for object in listed {
        let file = match location.scheme() {
            "file" => format!("/{}", object.location),
            _ => format!("{}{}", location.object_store().as_str(), object.location),
        };
        if object.location.extension() != Some("parquet") {
            continue;
        }
        if object.size == 0 {
            return Ok(Some((file, DataFusionError::Execution("it is empty".into()))));
        }
        let read = ParquetFormat::default().infer_schema(&state, &store, std::slice::from_ref(&object)).await;
        if let Err(reason) = read {
            return Ok(Some((file, reason)));
        }
        files.push(file);
    }
    Ok(None)
}

/// Whether a query stopped because a Parquet file cannot be read.
fn is_about_parquet(error: &DataFusionError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        // DataFusion keeps some of its errors behind pointers that `source` does not look through.
        let parquet = match error.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::ParquetError(_)) => true,
            Some(DataFusionError::Shared(shared)) => is_about_parquet(shared),
            Some(DataFusionError::ArrowError(arrow, _)) => {
                matches!(arrow.as_ref(), arrow::error::ArrowError::ParquetError(_))
            }
            _ => error.is::<ParquetError>() || error.is::<Arc<ParquetError>>(),
        };
        if parquet {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Refuses files in which there is nothing, not even a schema: DataFusion takes them for tables without columns.
///
/// # Errors
/// A file at the location of a table without columns is empty.
pub(super) async fn refuse_empty(context: &SessionContext, plan: &LogicalPlan) -> Result<()> {
    let mut suspects = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && scan.source.schema().fields().is_empty()
        {
            suspects.extend(of_scan(scan));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    for location in suspects {
        if let Some((file, reason)) = first_damaged(context, &location, &mut Vec::new()).await? {
            return Err(reason.context(format!("cannot read '{file}'")));
        }
    }
    Ok(())
}
