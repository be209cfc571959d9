//! The tables of PostgreSQL's catalog: takes datafusion-pg-catalog's; adds the
//! columns and the functions that clients ask for and they lack.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};

use super::procedures::{self, Procedure};

/// Columns of `pg_class` that say how a table is stored, which Debut's are not: NULL.
const OF_CLASS: &[&str] = &["relacl", "reloptions"];

/// A schema whose `pg_class` has all columns, and whose `pg_proc` has the functions of the engine.
#[derive(Debug)]
pub(super) struct Completed<S> {
    schema: S,
    procedures: &'static [Procedure],
}

impl<S> Completed<S> {
    /// The schema with them.
    pub(super) fn new(schema: S, procedures: &'static [Procedure]) -> Self {
        Self { schema, procedures }
    }
}

#[async_trait]
impl<S: SchemaProvider> SchemaProvider for Completed<S> {
    fn table_names(&self) -> Vec<String> {
        self.schema.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.schema.table(name).await? else { return Ok(None) };
        match (name.to_ascii_lowercase().as_str(), self.schema.table("pg_namespace").await?) {
            ("pg_class", _) => with_columns(table).map(Some),
            ("pg_proc", Some(namespaces)) => procedures::table(table, namespaces, self.procedures).map(Some),
            _ => Ok(Some(table)),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.schema.table_exist(name)
    }
}

/// `pg_class` with all columns.
fn with_columns(table: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    let schema = table.schema();
    let own = schema.fields().iter().map(|field| col(field.name()));
    let missing = OF_CLASS.iter().filter(|name| schema.field_with_name(name).is_err());
    let nothing = ScalarValue::try_from(&DataType::new_list(DataType::Utf8, true))?;
    let added = missing.map(|name| lit(nothing.clone()).alias(*name));
    let plan = LogicalPlanBuilder::scan("pg_class", provider_as_source(Arc::clone(&table)), None)?;
    let plan = plan.project(own.chain(added))?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}
