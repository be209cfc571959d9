//! PostgreSQL's types for Arrow's: takes the type of a column; gives the type that a client is told.
//!
//! What has no array type in PostgreSQL (lists of lists, of structs), and structs and maps, is `json`.

use datafusion::arrow::datatypes::{DataType, Field};
use postgres_types::Type;

use super::error::{PgError, codes};
pub(super) use crate::server::parameters::is_vector;

/// How vectors are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum VectorOutput {
    /// As `float4[]`.
    #[default]
    Array,
    /// As text that pgvector's type `vector` reads: `[1,2,3]`.
    Pgvector,
}

/// The key under which pg_catalog's fields say that a number is an OID.
const OID_ALIAS: &str = "pg.oid_alias";
/// The key under which they say that a text is one `"char"`.
const CHAR: &str = "pg.char";

/// The type of a column.
///
/// # Errors
/// There is none for it.
pub(super) fn of_field(field: &Field, vectors: VectorOutput) -> Result<Type, PgError> {
    let data_type = field.data_type();
    if data_type == &DataType::Int32 && field.metadata().contains_key(OID_ALIAS) {
        return Ok(Type::OID);
    }
    if matches!(data_type, DataType::Utf8) && field.metadata().contains_key(CHAR) {
        return Ok(Type::CHAR);
    }
    if vectors == VectorOutput::Pgvector && is_vector(data_type) {
        return Ok(Type::TEXT);
    }
    of(data_type).ok_or_else(|| {
        let message =
            format!("column \"{}\" has the type {data_type}, which PostgreSQL's protocol cannot carry", field.name());
        PgError::error(codes::FEATURE_NOT_SUPPORTED, message).hint("CAST it to another type, such as TEXT")
    })
}

/// The type of values of this type.
pub(super) fn of(data_type: &DataType) -> Option<Type> {
    if let Some(scalar) = of_scalar(data_type) {
        return Some(scalar);
    }
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => {
            Some(of_scalar(item.data_type()).and_then(|item| array_of(&item)).unwrap_or(Type::JSON))
        }
        DataType::Struct(_) | DataType::Map(..) => Some(Type::JSON),
        _ => None,
    }
}

fn of_scalar(data_type: &DataType) -> Option<Type> {
    Some(match data_type {
        // As PostgreSQL's `SELECT NULL`.
        DataType::Null => Type::TEXT,
        DataType::Boolean => Type::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => Type::INT2,
        DataType::Int32 | DataType::UInt16 => Type::INT4,
        DataType::Int64 | DataType::UInt32 => Type::INT8,
        DataType::UInt64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => Type::NUMERIC,
        DataType::Float16 | DataType::Float32 => Type::FLOAT4,
        DataType::Float64 => Type::FLOAT8,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Type::TEXT,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Type::BYTEA,
        DataType::Date32 | DataType::Date64 => Type::DATE,
        DataType::Time32(_) | DataType::Time64(_) => Type::TIME,
        DataType::Timestamp(_, None) => Type::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => Type::TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => Type::INTERVAL,
        DataType::Dictionary(_, values) => of(values)?,
        DataType::RunEndEncoded(_, values) => of(values.data_type())?,
        _ => return None,
    })
}

/// The array of a type that values of lists have.
fn array_of(item: &Type) -> Option<Type> {
    Some(match *item {
        Type::BOOL => Type::BOOL_ARRAY,
        Type::INT2 => Type::INT2_ARRAY,
        Type::INT4 => Type::INT4_ARRAY,
        Type::INT8 => Type::INT8_ARRAY,
        Type::NUMERIC => Type::NUMERIC_ARRAY,
        Type::FLOAT4 => Type::FLOAT4_ARRAY,
        Type::FLOAT8 => Type::FLOAT8_ARRAY,
        Type::TEXT => Type::TEXT_ARRAY,
        Type::BYTEA => Type::BYTEA_ARRAY,
        Type::DATE => Type::DATE_ARRAY,
        Type::TIME => Type::TIME_ARRAY,
        Type::TIMESTAMP => Type::TIMESTAMP_ARRAY,
        Type::TIMESTAMPTZ => Type::TIMESTAMPTZ_ARRAY,
        Type::INTERVAL => Type::INTERVAL_ARRAY,
        _ => return None,
    })
}

/// The bytes of a value, -1 where they vary.
pub(super) fn size(pg_type: &Type) -> i16 {
    match *pg_type {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE | Type::OID => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => 8,
        Type::INTERVAL => 16,
        _ => -1,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion::arrow::datatypes::{Fields, TimeUnit, UnionFields, UnionMode};

    use super::*;

    fn list(item: DataType) -> DataType {
        DataType::new_list(item, true)
    }

    #[test]
    fn lists_are_arrays_and_what_nests_is_json() {
        let vector = DataType::new_fixed_size_list(DataType::Float32, 384, true);
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8View));
        for (data_type, expected) in [
            (vector.clone(), Type::FLOAT4_ARRAY),
            (list(dictionary.clone()), Type::TEXT_ARRAY),
            (dictionary, Type::TEXT),
            (list(list(DataType::Int64)), Type::JSON),
            (DataType::Struct(Fields::empty()), Type::JSON),
            (DataType::Timestamp(TimeUnit::Second, Some("UTC".into())), Type::TIMESTAMPTZ),
            (DataType::UInt64, Type::NUMERIC),
        ] {
            assert_eq!(of(&data_type), Some(expected), "{data_type}");
        }
        let field = Field::new("v", vector, true);
        assert_eq!(of_field(&field, VectorOutput::Pgvector).unwrap(), Type::TEXT);
        let union = DataType::Union(UnionFields::empty(), UnionMode::Dense);
        let error = of_field(&Field::new("u", union, true), VectorOutput::Array).unwrap_err();
        assert!(error.message.starts_with("column \"u\""), "{}", error.message);
    }
}
