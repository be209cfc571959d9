//! Object stores for the locations that a statement names.
//!
//! Takes a plan; registers the stores of `CREATE EXTERNAL TABLE` and `COPY TO`. Called by `session` before the plan is
//! run. Files that a query names in its FROM are found by the session's catalog instead.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{Result, plan_err};
use datafusion::config::ConfigFileType;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::prelude::SessionContext;
use datafusion_cli::cli_context::CliSessionContext;
use datafusion_cli::object_storage::{
    AwsOptions, GcpOptions, get_cos_object_store_builder, get_gcs_object_store_builder, get_oss_object_store_builder,
    get_s3_object_store_builder,
};
use object_store::http::HttpBuilder;
use object_store::{ClientOptions, ObjectStore};

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
    let extensions = &table_options.extensions;
    let store: Arc<dyn ObjectStore> = match (scheme, extensions.get::<AwsOptions>(), extensions.get::<GcpOptions>()) {
        ("s3", Some(aws), _) => Arc::new(get_s3_object_store_builder(url, aws, true).await?.build()?),
        ("oss", Some(aws), _) => Arc::new(get_oss_object_store_builder(url, aws)?.build()?),
        ("cos", Some(aws), _) => Arc::new(get_cos_object_store_builder(url, aws)?.build()?),
        ("gs" | "gcs", _, Some(gcp)) => Arc::new(get_gcs_object_store_builder(url, gcp)?.build()?),
        ("http" | "https", ..) => {
            let client = ClientOptions::new().with_allow_http(true);
            let origin = url.origin().ascii_serialization();
            Arc::new(HttpBuilder::new().with_client_options(client).with_url(origin).build()?)
        }
        _ => {
            return plan_err!(
                "'{url}': there is no object store for '{scheme}://'; file, s3, gs, oss, cos, http and https are known"
            );
        }
    };
    context.register_object_store(url, store);
    Ok(())
}
