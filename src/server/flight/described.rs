//! What JDBC and ODBC ask of every database beside its tables: the keys that tables have, which are none here, and the types of
//! columns. Takes a question; gives rows in the columns that Flight SQL says.

use std::sync::Arc;

use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// The columns of a table's primary key.
pub(super) fn primary_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

/// The columns of foreign keys, whichever side was asked for.
pub(super) fn foreign_keys() -> SchemaRef {
    let mut fields = Vec::new();
    for side in ["pk", "fk"] {
        for (column, nullable) in
            [("catalog_name", true), ("db_schema_name", true), ("table_name", false), ("column_name", false)]
        {
            fields.push(Field::new(format!("{side}_{column}"), DataType::Utf8, nullable));
        }
    }
    fields.extend([
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]);
    Arc::new(Schema::new(fields))
}

/// The types that a CAST takes, by the names that SQL has for them.
///
/// # Errors
/// None in practice: the columns are built together.
pub(super) fn types() -> Result<XdbcTypeInfoData, FlightError> {
    let number = |name: &str, data_type, digits: i32, radix| XdbcTypeInfo {
        type_name: name.to_string(),
        data_type,
        column_size: Some(digits),
        searchable: Searchable::Basic,
        unsigned_attribute: Some(false),
        num_prec_radix: Some(radix),
        ..any(data_type)
    };
    let written = |name: &str, data_type| XdbcTypeInfo {
        type_name: name.to_string(),
        literal_prefix: Some("'".to_string()),
        literal_suffix: Some("'".to_string()),
        case_sensitive: matches!(data_type, XdbcDataType::XdbcVarchar),
        searchable: if matches!(data_type, XdbcDataType::XdbcVarchar) { Searchable::Full } else { Searchable::Basic },
        ..any(data_type)
    };
    let mut types = XdbcTypeInfoDataBuilder::new();
    for described in [
        XdbcTypeInfo { type_name: "BOOLEAN".to_string(), ..any(XdbcDataType::XdbcBit) },
        number("TINYINT", XdbcDataType::XdbcTinyint, 8, 2),
        number("SMALLINT", XdbcDataType::XdbcSmallint, 16, 2),
        number("INTEGER", XdbcDataType::XdbcInteger, 32, 2),
        number("BIGINT", XdbcDataType::XdbcBigint, 64, 2),
        number("REAL", XdbcDataType::XdbcReal, 24, 2),
        number("DOUBLE", XdbcDataType::XdbcDouble, 53, 2),
        XdbcTypeInfo {
            create_params: Some(vec!["precision".to_string(), "scale".to_string()]),
            minimum_scale: Some(0),
            maximum_scale: Some(76),
            fixed_prec_scale: true,
            ..number("DECIMAL", XdbcDataType::XdbcDecimal, 76, 10)
        },
        written("VARCHAR", XdbcDataType::XdbcVarchar),
        written("BYTEA", XdbcDataType::XdbcVarbinary),
        written("DATE", XdbcDataType::XdbcDate),
        written("TIME", XdbcDataType::XdbcTime),
        written("TIMESTAMP", XdbcDataType::XdbcTimestamp),
        written("INTERVAL", XdbcDataType::XdbcInterval),
    ] {
        types.append(described);
    }
    types.build()
}

fn any(data_type: XdbcDataType) -> XdbcTypeInfo {
    XdbcTypeInfo {
        data_type,
        sql_data_type: data_type,
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Basic,
        auto_increment: Some(false),
        ..XdbcTypeInfo::default()
    }
}
