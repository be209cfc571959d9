//! Object stores for the locations that a statement names.
//!
//! Takes a plan; registers the stores of `CREATE EXTERNAL TABLE` and `COPY TO`. Called by `session` before the plan is
//! run. Files that a query names in its FROM are found by the session's catalog instead.

use std::collections::HashMap;

use datafusion::catalog::Session as _;
use datafusion::common::Result;
use datafusion::config::ConfigFileType;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::prelude::SessionContext;
use datafusion_cli::cli_context::CliSessionContext;
use datafusion_cli::object_storage::get_object_store;

/// Registers every store that running `plan` writes to or reads from by location.
///
/// # Errors
/// A location is malformed, its scheme unknown, or its credentials are missing.
pub async fn register(context: &SessionContext, plan: &LogicalPlan) -> Result<()> {
    match plan {
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(table)) => {
            for location in &table.locations {
                register_location(context, location, &table.options, &table.file_type).await?;
            }
            Ok(())
        }
        LogicalPlan::Copy(copy) => {
            register_location(context, &copy.output_url, &copy.options, &copy.file_type.get_ext()).await
        }
        _ => Ok(()),
    }
}

async fn register_location(
    context: &SessionContext,
    location: &str,
    options: &HashMap<String, String>,
    extension: &str,
) -> Result<()> {
    let location = ListingTableUrl::parse(location)?;
    let scheme = location.scheme();
    if scheme == "file" {
        return Ok(());
    }
    context.register_table_options_extension_from_scheme(scheme);
    let mut table_options = context.state().default_table_options();
    let format = match extension.to_ascii_lowercase().as_str() {
        "csv" => Some(ConfigFileType::CSV),
        "json" | "ndjson" => Some(ConfigFileType::JSON),
        "parquet" => Some(ConfigFileType::PARQUET),
        _ => None,
    };
    if let Some(format) = format {
        table_options.set_config_format(format);
    }
    table_options.alter_with_string_hash_map(options)?;
    let url = location.as_ref();
    let store = get_object_store(&context.state(), scheme, url, &table_options, false).await?;
    context.register_object_store(url, store);
    Ok(())
}
