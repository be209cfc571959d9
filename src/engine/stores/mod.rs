//! Object stores for the locations that a statement names.
//!
//! Takes locations (`s3://bucket/folder/`) and the options of `CREATE EXTERNAL TABLE` and `COPY TO`; registers a store for
//! each with the session. Credentials are what the `object_store` crate finds by itself: options, environment variables,
//! web identity, and the metadata service of a container or an instance.

mod options;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{Result, plan_datafusion_err, plan_err};
use datafusion::config::{ConfigFileType, TableOptions};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::prelude::SessionContext;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, resolve_bucket_region};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{ClientOptions, ObjectStore};

use options::{AwsOptions, GcpOptions};

/// Teaches a session the options `aws.*` and `gcp.*` of `CREATE EXTERNAL TABLE` and `COPY TO`.
pub(super) fn register_options(context: &SessionContext) {
    context.register_table_options_extension(AwsOptions::default());
    context.register_table_options_extension(GcpOptions::default());
}

/// Registers the stores of the files that a query names in its FROM, unless they are known already.
///
/// # Errors
/// A scheme is unknown, or the environment's settings for it are malformed.
pub(super) async fn register_locations(context: &SessionContext, locations: &[ListingTableUrl]) -> Result<()> {
    for location in locations {
        if context.runtime_env().object_store(location).is_err() {
            register_location(context, location, &context.state().default_table_options()).await?;
        }
    }
    Ok(())
}

/// Registers every store that running `plan` writes to or reads from by location.
///
/// # Errors
/// A location is malformed, its scheme or an option unknown, or its credentials are incomplete.
pub(super) async fn register_plan(context: &SessionContext, plan: &LogicalPlan) -> Result<()> {
    match plan {
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(table)) => {
            // What no factory makes a table of is told by DataFusion, before anybody is asked for the location.
            if !context.state().table_factories().contains_key(&table.file_type.to_uppercase()) {
                return Ok(());
            }
            for location in &table.locations {
                register_with_options(context, location, &table.options, &table.file_type).await?;
            }
            Ok(())
        }
        LogicalPlan::Copy(copy) => {
            register_with_options(context, &copy.output_url, &copy.options, &copy.file_type.get_ext()).await
        }
        _ => Ok(()),
    }
}

async fn register_with_options(
    context: &SessionContext,
    location: &str,
    options: &HashMap<String, String>,
    extension: &str,
) -> Result<()> {
    let location = ListingTableUrl::parse(location)?;
    if location.scheme() == "file" {
        return Ok(());
    }
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
    register_location(context, &location, &table_options).await
}

async fn register_location(context: &SessionContext, location: &ListingTableUrl, options: &TableOptions) -> Result<()> {
    context.register_object_store(location.get_url(), store(location, options).await?);
    Ok(())
}

/// The store of a location.
///
/// # Errors
/// Its scheme or an option is unknown, or its credentials are incomplete.
pub(super) async fn store(location: &ListingTableUrl, options: &TableOptions) -> Result<Arc<dyn ObjectStore>> {
    let aws = options.extensions.get::<AwsOptions>().cloned().unwrap_or_default();
    let gcp = options.extensions.get::<GcpOptions>().cloned().unwrap_or_default();
    Ok(match location.scheme() {
        "s3" | "s3a" => Arc::new(s3(bucket(location)?, &aws).await?.build()?),
        // Stores that speak S3's protocol under names of their own; the first has the bucket in the host's name.
        scheme @ ("oss" | "cos") => Arc::new(
            from_environment(&aws)
                .with_region("none")
                .with_bucket_name(bucket(location)?)
                .with_virtual_hosted_style_request(scheme == "oss")
                .build()?,
        ),
        "gs" | "gcs" => {
            let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket(location)?);
            Arc::new(gcp.settings().fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
        }
        "http" | "https" => {
            let client = ClientOptions::new().with_allow_http(true);
            let origin = location.get_url().origin().ascii_serialization();
            Arc::new(HttpBuilder::new().with_client_options(client).with_url(origin).build()?)
        }
        scheme => {
            return plan_err!(
                "'{location}': there is no object store for '{scheme}://'; file, s3, gs, oss, cos, http and https are known"
            );
        }
    })
}

/// S3 itself, and what answers like it at an endpoint. A bucket's region is asked for where nobody says it.
async fn s3(bucket: &str, options: &AwsOptions) -> Result<AmazonS3Builder> {
    let builder = from_environment(options).with_bucket_name(bucket);
    let known = |key| builder.get_config_value(&key).is_some();
    let placed = [AmazonS3ConfigKey::Region, AmazonS3ConfigKey::Endpoint, AmazonS3ConfigKey::S3Endpoint];
    if placed.into_iter().any(known) {
        return Ok(builder);
    }
    let region = resolve_bucket_region(bucket, &ClientOptions::new()).await.map_err(|error| {
        plan_datafusion_err!(
            "s3://{bucket}: cannot find the bucket's region ({error}); set AWS_REGION or the option 'aws.region', or AWS_ENDPOINT_URL for another service than Amazon's"
        )
    })?;
    Ok(builder.with_region(region))
}

/// What the environment says, and the options, which count more.
fn from_environment(options: &AwsOptions) -> AmazonS3Builder {
    options.settings().fold(AmazonS3Builder::from_env(), |builder, (key, value)| builder.with_config(key, value))
}

fn bucket(location: &ListingTableUrl) -> Result<&str> {
    match location.get_url().host_str() {
        Some(bucket) => Ok(bucket),
        None => plan_err!("'{location}': there is no bucket after '{}://'", location.scheme()),
    }
}
