//! The schema `debut`: what the registry holds, as tables that a BI tool can read.
//!
//! Takes the registry; gives `debut.models` (the version in use of each model) and `debut.model_versions` (all of them).
//! Registered by `session`; each read of a table lists the registry anew.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampSecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};

use crate::registry::{ModelVersion, Registry};

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
            versions.retain(|version| version.in_use);
        }
        let batch = versions_table(&versions)?;
        Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
    }
}

/// Model versions as rows.
///
/// # Errors
/// None in practice: the columns are built together.
pub fn versions_table(versions: &[ModelVersion]) -> Result<RecordBatch> {
    let text = |value: &dyn Fn(&ModelVersion) -> String| -> ArrayRef {
        Arc::new(versions.iter().map(|version| Some(value(version))).collect::<StringArray>())
    };
    let number = |value: &dyn Fn(&ModelVersion) -> usize| -> ArrayRef {
        Arc::new(versions.iter().map(|version| Some(value(version) as u64)).collect::<UInt64Array>())
    };
    let created = versions.iter().map(|version| i64::try_from(version.manifest.created_at).unwrap_or(i64::MAX));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("name", text(&|version| version.name.clone())),
        ("version", text(&|version| version.version.clone())),
        ("in_use", Arc::new(versions.iter().map(|version| Some(version.in_use)).collect::<BooleanArray>())),
        ("task", text(&|version| version.manifest.task.to_string())),
        ("dimension", number(&|version| version.manifest.dimension)),
        ("max_tokens", number(&|version| version.manifest.max_tokens)),
        ("architecture", text(&|version| version.manifest.architecture.clone())),
        ("pooling", text(&|version| version.manifest.pooling.to_string())),
        ("fingerprint", text(&|version| version.manifest.fingerprint.clone())),
        ("source", text(&|version| version.manifest.source.clone())),
        ("created_at", Arc::new(TimestampSecondArray::from_iter_values(created))),
    ];
    let fields = columns.iter().map(|(name, values)| Field::new(*name, values.data_type().clone(), false));
    let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    debug_assert_eq!(schema.field(10).data_type(), &DataType::Timestamp(TimeUnit::Second, None));
    Ok(RecordBatch::try_new(schema, columns.into_iter().map(|(_, values)| values).collect())?)
}
