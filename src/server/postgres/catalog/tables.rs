//! The tables of PostgreSQL's catalog: takes datafusion-pg-catalog's; adds the columns, the functions and the settings that
//! clients ask for and they lack.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, new_null_array};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};

use super::procedures::{self, Procedure};
use crate::server::postgres::settings::SharedSettings;

/// Columns that are arrays in PostgreSQL, and text or missing in the tables as they are: all NULL, because no table of Debut has
/// keys, indexes, privileges or storage options of its own.
const ARRAYS: &[(&str, &[&str], DataType)] = &[
    ("pg_attribute", &["attacl", "attoptions", "attfdwoptions"], DataType::Utf8),
    ("pg_class", &["relacl", "reloptions"], DataType::Utf8),
    ("pg_constraint", &["conkey", "confkey"], DataType::Int16),
    ("pg_constraint", &["conpfeqop", "conppeqop", "conffeqop", "conexclop"], DataType::Int32),
    ("pg_database", &["datacl"], DataType::Utf8),
    ("pg_db_role_setting", &["setconfig"], DataType::Utf8),
    ("pg_default_acl", &["defaclacl"], DataType::Utf8),
    ("pg_event_trigger", &["evttags"], DataType::Utf8),
    ("pg_extension", &["extconfig"], DataType::Int32),
    ("pg_extension", &["extcondition"], DataType::Utf8),
    ("pg_index", &["indkey", "indoption"], DataType::Int16),
    ("pg_index", &["indclass", "indcollation"], DataType::Int32),
    ("pg_language", &["lanacl"], DataType::Utf8),
    ("pg_namespace", &["nspacl"], DataType::Utf8),
    ("pg_policy", &["polroles"], DataType::Int32),
    ("pg_proc", &["proacl", "proargmodes", "proargnames", "proconfig"], DataType::Utf8),
    ("pg_proc", &["proallargtypes"], DataType::Int32),
    ("pg_publication_rel", &["prattrs"], DataType::Int16),
    ("pg_statistic_ext", &["stxkeys"], DataType::Int16),
    ("pg_tablespace", &["spcacl", "spcoptions"], DataType::Utf8),
    ("pg_trigger", &["tgattr"], DataType::Int16),
    ("pg_type", &["typacl"], DataType::Utf8),
];

/// A schema whose tables have all columns, whose `pg_proc` has the functions of the engine, and whose `pg_settings` has the
/// settings of the session.
#[derive(Debug)]
pub(super) struct Completed<S> {
    schema: S,
    procedures: &'static [Procedure],
    settings: SharedSettings,
}

impl<S> Completed<S> {
    /// The schema with them.
    pub(super) fn new(schema: S, procedures: &'static [Procedure], settings: SharedSettings) -> Self {
        Self { schema, procedures, settings }
    }
}

#[async_trait]
impl<S: SchemaProvider> SchemaProvider for Completed<S> {
    fn table_names(&self) -> Vec<String> {
        self.schema.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.schema.table(name).await? else { return Ok(None) };
        let name = name.to_ascii_lowercase();
        let table = match (name.as_str(), self.schema.table("pg_namespace").await?) {
            ("pg_settings", _) => return settings(&self.settings).map(Some),
            ("pg_proc", Some(namespaces)) => procedures::table(table, namespaces, self.procedures)?,
            _ => table,
        };
        with_arrays(&name, table).map(Some)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.schema.table_exist(name)
    }
}

/// A table with arrays where PostgreSQL's has them.
fn with_arrays(name: &str, table: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    let mut arrays = Vec::new();
    for (_, columns, item) in ARRAYS.iter().filter(|(of, ..)| *of == name) {
        let nothing = ScalarValue::try_from(&DataType::new_list(item.clone(), true))?;
        arrays.extend(columns.iter().map(|column| (*column, nothing.clone())));
    }
    if arrays.is_empty() {
        return Ok(table);
    }
    let schema = table.schema();
    let own = schema.fields().iter().map(|field| match arrays.iter().find(|(column, _)| column == field.name()) {
        Some((column, nothing)) => lit(nothing.clone()).alias(*column),
        None => col(field.name()),
    });
    let missing = arrays.iter().filter(|(column, _)| schema.field_with_name(column).is_err());
    let added = missing.map(|(column, nothing)| lit(nothing.clone()).alias(*column));
    let plan = LogicalPlanBuilder::scan(name, provider_as_source(Arc::clone(&table)), None)?;
    let plan = plan.project(own.chain(added))?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// The columns of `pg_settings` of which nothing is known, after those that say what a setting is.
const UNKNOWN: &[&str] =
    &["unit", "category", "short_desc", "extra_desc", "min_val", "max_val", "enumvals", "sourcefile"];

/// A setting: its name, its default, and its value.
type Listed = (&'static str, &'static str, String);

/// `pg_settings` of a session as it is now.
fn settings(settings: &SharedSettings) -> Result<Arc<dyn TableProvider>> {
    let settings = settings.lock();
    let all: Vec<Listed> = settings.defaults().collect();
    let text = |values: Vec<&str>| Arc::new(StringArray::from(values)) as ArrayRef;
    let value = |of: fn(&Listed) -> &str| text(all.iter().map(of).collect());
    let source = all.iter().map(|(_, default, now)| if now == default { "default" } else { "session" }).collect();
    let mut columns = vec![
        ("name", value(|(name, ..)| name)),
        ("setting", value(|(.., now)| now)),
        ("boot_val", value(|(_, default, _)| default)),
        ("reset_val", value(|(_, default, _)| default)),
        ("context", value(|_| "user")),
        ("vartype", value(|_| "string")),
        ("source", text(source)),
        ("sourceline", new_null_array(&DataType::Int32, all.len())),
        ("pending_restart", Arc::new(BooleanArray::from(vec![false; all.len()])) as ArrayRef),
    ];
    columns.extend(UNKNOWN.iter().map(|name| (*name, new_null_array(&DataType::Utf8, all.len()))));
    let fields = columns.iter().map(|(name, values)| Field::new(*name, values.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let rows = RecordBatch::try_new(Arc::clone(&schema), columns.into_iter().map(|(_, values)| values).collect())?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![rows]])?))
}
