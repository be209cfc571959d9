//! The options `aws.*` and `gcp.*` of `CREATE EXTERNAL TABLE` and `COPY TO`.
//!
//! Takes names and values as SQL gives them; gives settings for a builder of the `object_store` crate. The names are that
//! crate's own, so that SQL can say whatever the crate can be told.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::str::FromStr;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::{Result, config_err};
use object_store::aws::AmazonS3ConfigKey;
use object_store::gcp::GoogleConfigKey;

/// Options of Amazon S3 and of stores that speak its protocol, such as `aws.region`.
pub(super) type AwsOptions = StoreOptions<Aws>;

/// Options of Google Cloud Storage, such as `gcp.service_account_path`.
pub(super) type GcpOptions = StoreOptions<Gcp>;

/// A family of stores that share their options.
pub(super) trait Provider: Debug + Clone + Send + Sync + 'static {
    /// What stands before the dot of an option.
    const PREFIX: &'static str;
    /// The names that the `object_store` crate knows.
    type Key: FromStr + Debug + Clone + Send + Sync;

    /// The crate's name for one that DataFusion's command line made known.
    fn name(name: &str) -> &str;
}

/// S3's.
#[derive(Debug, Clone)]
pub(super) struct Aws;

impl Provider for Aws {
    const PREFIX: &'static str = "aws";
    type Key = AmazonS3ConfigKey;

    fn name(name: &str) -> &str {
        match name {
            "oss.endpoint" | "cos.endpoint" => "endpoint",
            "nosign" => "skip_signature",
            name => name,
        }
    }
}

/// Google's.
#[derive(Debug, Clone)]
pub(super) struct Gcp;

impl Provider for Gcp {
    const PREFIX: &'static str = "gcp";
    type Key = GoogleConfigKey;

    fn name(name: &str) -> &str {
        match name {
            "application_credentials_path" => "application_credentials",
            name => name,
        }
    }
}

/// Options of one family of stores, by the names that SQL gave them.
#[derive(Debug, Clone)]
pub(super) struct StoreOptions<P: Provider>(BTreeMap<String, (P::Key, String)>);

impl<P: Provider> Default for StoreOptions<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<P: Provider> StoreOptions<P> {
    /// The crate's keys and their values.
    pub(super) fn settings(&self) -> impl Iterator<Item = (P::Key, &String)> {
        self.0.values().map(|(key, value)| (key.clone(), value))
    }
}

impl<P: Provider> ConfigExtension for StoreOptions<P> {
    const PREFIX: &'static str = P::PREFIX;
}

impl<P: Provider> ExtensionOptions for StoreOptions<P> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let name = key.strip_prefix(P::PREFIX).and_then(|name| name.strip_prefix('.')).unwrap_or(key);
        let Ok(key) = P::name(name).parse() else {
            return config_err!("'{}.{name}' is not an option of an object store", P::PREFIX);
        };
        self.0.insert(name.to_string(), (key, value.to_string()));
        Ok(())
    }

    /// The options as they are listed, without the values of those that may be secret.
    fn entries(&self) -> Vec<ConfigEntry> {
        let secret = |name: &str| ["key", "token", "credentials"].iter().any(|word| name.contains(word));
        let shown = |name: &str, value: &String| if secret(name) { "***".to_string() } else { value.clone() };
        let options = self.0.iter();
        options
            .map(|(name, (_, value))| ConfigEntry {
                key: format!("{}.{name}", P::PREFIX),
                value: Some(shown(name, value)),
                description: "",
            })
            .collect()
    }
}
