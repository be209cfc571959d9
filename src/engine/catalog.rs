//! The schema `debut`: what the registry holds, as tables that a BI tool can read.
//!
//! Takes the registry; gives `debut.models` (the version in use of each model) and `debut.model_versions` (all of them).
//! Registered by `session`; each read of a table lists the registry anew.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampSecondArray, UInt64Array};
use arrow::datatypes::{Field, Schema};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};

use crate::registry::manifest::Manifest;
use crate::registry::{Listed, Registry};

/// The schema's name.
pub const SCHEMA: &str = "debut";

/// The tables of the schema `debut`.
#[derive(Debug)]
pub struct DebutSchema {
    registry: Arc<Registry>,
}

impl DebutSchema {
    /// The tables over this registry.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

const TABLES: [&str; 2] = ["models", "model_versions"];

#[async_trait]
impl SchemaProvider for DebutSchema {
    fn table_names(&self) -> Vec<String> {
        TABLES.map(str::to_string).to_vec()
    }

    fn table_exist(&self, name: &str) -> bool {
        TABLES.contains(&name)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if !self.table_exist(name) {
            return Ok(None);
        }
        let mut versions = self.registry.list().map_err(|error| DataFusionError::External(Box::new(error)))?;
        if name == "models" {
            versions.retain(|version| version.current);
        }
        let batch = versions_table(&versions)?;
        Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
    }
}

/// Model versions as rows; what cannot be read of a damaged one is NULL, and its `problem` says why.
///
/// # Errors
/// None in practice: the columns are built together.
pub fn versions_table(versions: &[Listed]) -> Result<RecordBatch> {
    let manifest = |listed: &'_ Listed| listed.model.as_ref().ok().map(|model| model.manifest.clone());
    let manifests: Vec<Option<Manifest>> = versions.iter().map(manifest).collect();
    let text = |value: &dyn Fn(&Manifest) -> String| -> ArrayRef {
        Arc::new(manifests.iter().map(|manifest| manifest.as_ref().map(value)).collect::<StringArray>())
    };
    let number = |value: &dyn Fn(&Manifest) -> usize| -> ArrayRef {
        let value = |manifest: &Manifest| value(manifest) as u64;
        Arc::new(manifests.iter().map(|manifest| manifest.as_ref().map(value)).collect::<UInt64Array>())
    };
    let created = |manifest: &Manifest| i64::try_from(manifest.created_at).unwrap_or(i64::MAX);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("name", Arc::new(versions.iter().map(|listed| Some(listed.name.as_str())).collect::<StringArray>())),
        ("version", Arc::new(versions.iter().map(|listed| Some(listed.version.as_str())).collect::<StringArray>())),
        ("in_use", Arc::new(versions.iter().map(|listed| Some(listed.current)).collect::<BooleanArray>())),
        ("task", text(&|manifest| manifest.task.to_string())),
        ("dimension", number(&|manifest| manifest.dimension)),
        ("max_tokens", number(&|manifest| manifest.max_tokens)),
        ("architecture", text(&|manifest| manifest.architecture.clone())),
        ("pooling", text(&|manifest| manifest.pooling.to_string())),
        ("fingerprint", text(&|manifest| manifest.fingerprint.clone())),
        ("source", text(&|manifest| manifest.source.clone())),
        (
            "created_at",
            Arc::new(manifests.iter().map(|manifest| manifest.as_ref().map(created)).collect::<TimestampSecondArray>()),
        ),
        (
            "problem",
            Arc::new(
                versions
                    .iter()
                    .map(|listed| listed.model.as_ref().err().map(ToString::to_string))
                    .collect::<StringArray>(),
            ),
        ),
    ];
    let always_known = ["name", "version", "in_use"];
    let fields = columns
        .iter()
        .map(|(name, values)| Field::new(*name, values.data_type().clone(), !always_known.contains(name)))
        .collect::<Vec<_>>();
    let values = columns.into_iter().map(|(_, values)| values).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), values)?)
}
