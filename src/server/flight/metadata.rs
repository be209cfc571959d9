//! What there is: takes a session; gives its catalogs, schemas and tables as Flight SQL lists them, and what the server says
//! of itself.

use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables, SqlInfo, SqlSupportedTransaction,
};
use datafusion::arrow::array::RecordBatch;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::TableType;

use super::wire;
use crate::engine::Session;

/// The kinds of tables, as `information_schema.tables` calls them.
const KINDS: [&str; 3] = ["BASE TABLE", "LOCAL TEMPORARY", "VIEW"];

/// The catalogs.
///
/// # Errors
/// None in practice: the columns are built together.
pub(super) fn catalogs(session: &Session, query: CommandGetCatalogs) -> Result<RecordBatch, FlightError> {
    let mut names = query.into_builder();
    session.context().catalog_names().into_iter().for_each(|name| names.append(name));
    names.build()
}

/// The schemas that the query asks for.
///
/// # Errors
/// None in practice.
pub(super) fn schemas(session: &Session, query: CommandGetDbSchemas) -> Result<RecordBatch, FlightError> {
    let mut schemas = query.into_builder();
    let context = session.context();
    for name in context.catalog_names() {
        let catalog = context.catalog(&name);
        catalog.iter().flat_map(|catalog| catalog.schema_names()).for_each(|schema| schemas.append(&name, schema));
    }
    schemas.build()
}

/// The tables that the query asks for, with their columns if it wants them.
///
/// # Errors
/// A table cannot be opened.
pub(super) async fn tables(session: &Session, query: CommandGetTables) -> Result<RecordBatch> {
    let with_columns = query.include_schema;
    let mut tables = query.into_builder();
    let context = session.context();
    for catalog_name in context.catalog_names() {
        let Some(catalog) = context.catalog(&catalog_name) else { continue };
        for schema_name in catalog.schema_names() {
            let Some(schema) = catalog.schema(&schema_name) else { continue };
            for name in schema.table_names() {
                // It may have been dropped meanwhile.
                let Some(table) = schema.table(&name).await? else { continue };
                let kind = match table.table_type() {
                    TableType::Base => KINDS[0],
                    TableType::Temporary => KINDS[1],
                    TableType::View => KINDS[2],
                };
                let columns = if with_columns { wire::schema(&table.schema()) } else { table.schema() };
                tables.append(&catalog_name, &schema_name, name, kind, &columns).map_err(external)?;
            }
        }
    }
    tables.build().map_err(external)
}

/// The kinds of tables.
///
/// # Errors
/// None in practice.
pub(super) fn table_types(query: CommandGetTableTypes) -> Result<RecordBatch, FlightError> {
    let mut types = query.into_builder();
    KINDS.iter().for_each(|kind| types.append(kind));
    types.build()
}

/// What the server says of itself.
///
/// # Errors
/// None in practice.
pub(super) fn server(writable: bool) -> Result<SqlInfoData, FlightError> {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Debut");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    info.append(SqlInfo::FlightSqlServerReadOnly, !writable);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    info.append(SqlInfo::FlightSqlServerCancel, true);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.append(SqlInfo::SqlSearchStringEscape, "\\");
    info.append(SqlInfo::SqlCatalogTerm, "catalog");
    info.append(SqlInfo::SqlSchemaTerm, "schema");
    info.build()
}

fn external(error: FlightError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
