//! What Delta holds: the types of our columns, as Delta has them.
//!
//! Takes columns as a query gives them; gives those that parts are written with, and what the log says of them. Texts and bytes have
//! one type each; integers without a sign get the next larger one with a sign; a vector becomes a list, whose width is said beside it;
//! times are in microseconds. What has no such type is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{Protocol, StructType, contains_timestampntz};
use serde_json::{Value, json};

use super::Error;
use crate::refresh::Result;

/// Metadata of a column of lists: the number of values that each has.
const WIDTH: &str = "debut.width";
/// What names of columns cannot have in Delta.
const NOT_IN_NAMES: [char; 10] = [' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];
/// The feature of tables with times that have no time zone.
const WITHOUT_ZONE: &str = "timestampNtz";

/// The columns as parts are written.
///
/// # Errors
/// Delta cannot hold one of them.
pub(super) fn stored(columns: &Schema) -> Result<Schema> {
    let mut names = BTreeSet::new();
    let fields = columns.fields().iter().map(|field| {
        let refused = |why: String| Error::Column { column: field.name().clone(), why };
        if field.name().is_empty() || field.name().contains(NOT_IN_NAMES) {
            return Err(refused("names have no spaces and none of ,;{}()= there; give it another: AS name".to_owned()));
        }
        if !names.insert(field.name().to_lowercase()) {
            return Err(refused("there is another column of this name, in large or small letters".to_owned()));
        }
        let stored = of_type(field.data_type()).map_err(refused)?;
        let mut metadata = field.metadata().clone();
        metadata.remove(WIDTH);
        if let DataType::FixedSizeList(_, width) = field.data_type() {
            metadata.insert(WIDTH.to_owned(), width.to_string());
        }
        Ok(field.as_ref().clone().with_data_type(stored).with_metadata(metadata))
    });
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    Ok(Schema::new_with_metadata(fields, columns.metadata().clone()))
}

/// The columns with vectors where lists were made of them.
pub(crate) fn restored(columns: &Schema) -> SchemaRef {
    let fields = columns.fields().iter().map(|field| {
        let mut metadata = field.metadata().clone();
        let width = metadata.remove(WIDTH).and_then(|width| width.parse().ok());
        let data_type = match (field.data_type(), width) {
            (DataType::List(item), Some(width)) => DataType::FixedSizeList(Arc::clone(item), width),
            (data_type, _) => data_type.clone(),
        };
        field.as_ref().clone().with_data_type(data_type).with_metadata(metadata)
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), columns.metadata().clone()))
}

/// The columns as the log has them.
///
/// # Errors
/// None of what [`stored`] gives.
pub(super) fn columns(stored: &Schema) -> Result<StructType> {
    Ok(stored.try_into_kernel().map_err(Error::from)?)
}

/// What readers and writers of a table with these columns have to know, if that is more than before.
pub(super) fn protocol(old: &Protocol, columns: &StructType) -> Result<Option<Protocol>, DeltaTableError> {
    if !contains_timestampntz(columns.fields()) {
        return Ok(None);
    }
    let mut new = serde_json::to_value(old)?;
    let features = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut readers = features(&new["readerFeatures"]);
    if readers.iter().any(|feature| feature == WITHOUT_ZONE) {
        return Ok(None);
    }
    let mut writers = features(&new["writerFeatures"]);
    if new["minWriterVersion"].as_i64().unwrap_or_default() < 7 {
        // From here on they are named one by one.
        writers.extend([json!("appendOnly"), json!("invariants")]);
    }
    readers.push(json!(WITHOUT_ZONE));
    writers.push(json!(WITHOUT_ZONE));
    new["minReaderVersion"] = json!(3);
    new["minWriterVersion"] = json!(7);
    new["readerFeatures"] = Value::Array(readers);
    new["writerFeatures"] = Value::Array(writers);
    Ok(Some(serde_json::from_value(new)?))
}

fn of_type(data_type: &DataType) -> Result<DataType, String> {
    Ok(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32
        | DataType::Utf8
        | DataType::Binary => data_type.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        // A value that is larger than Delta's largest integer is an error when it is written.
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale)
            if *precision <= DECIMAL128_MAX_PRECISION && *scale >= 0 =>
        {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Dictionary(_, values) => of_type(values)?,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            // The name that the Parquet format wants.
            DataType::List(Arc::new(Field::new("element", of_type(item.data_type())?, true)))
        }
        DataType::Struct(fields) => {
            let inner = |field: &FieldRef| {
                Ok::<_, String>(field.as_ref().clone().with_data_type(of_type(field.data_type())?).with_nullable(true))
            };
            DataType::Struct(fields.iter().map(inner).collect::<Result<_, _>>()?)
        }
        DataType::Null => return Err("it has no type; write CAST(NULL AS ...)".to_owned()),
        other => return Err(format!("values of type {other} are not stored in one; CAST it to another type")),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn schema(data_type: DataType) -> Schema {
        Schema::new(vec![Field::new("c", data_type, true)])
    }

    #[test]
    fn every_type_has_one_of_deltas_or_is_refused() {
        let texts = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View));
        let zone = |zone: &str| DataType::Timestamp(TimeUnit::Nanosecond, Some(zone.into()));
        for (from, log) in [
            (DataType::UInt8, "short"),
            (DataType::UInt32, "long"),
            (DataType::UInt64, "long"),
            (DataType::Utf8View, "string"),
            (texts, "string"),
            (DataType::FixedSizeBinary(16), "binary"),
            (DataType::Decimal128(12, 2), "decimal(12,2)"),
            (DataType::Decimal256(38, 0), "decimal(38,0)"),
            (DataType::Timestamp(TimeUnit::Second, None), "timestamp_ntz"),
            (zone("Europe/Berlin"), "timestamp"),
        ] {
            let columns = columns(&stored(&schema(from.clone())).unwrap()).unwrap();
            let columns = serde_json::to_value(&columns).unwrap();
            assert_eq!(columns["fields"][0]["type"], log, "{from}");
        }
        for from in [DataType::Null, DataType::Time64(TimeUnit::Microsecond), DataType::Decimal256(50, 2)] {
            let message = stored(&schema(from)).unwrap_err().to_string();
            assert!(message.contains("cannot have the column c"), "{message}");
        }
    }

    #[test]
    fn a_vector_is_a_list_that_knows_its_width() {
        let vector = schema(DataType::new_fixed_size_list(DataType::Float32, 8, true));
        let stored = stored(&vector).unwrap();
        let log = serde_json::to_value(columns(&stored).unwrap()).unwrap();
        assert_eq!(log["fields"][0]["type"]["elementType"], "float");
        assert_eq!(log["fields"][0]["metadata"][WIDTH], "8");
        let restored = restored(&stored);
        assert!(matches!(restored.field(0).data_type(), DataType::FixedSizeList(_, 8)));
        assert!(restored.field(0).metadata().is_empty());
        // One that is written again as a list of any width.
        let list = Field::new("c", stored.field(0).data_type().clone(), true);
        let list = list.with_metadata(stored.field(0).metadata().clone());
        assert!(super::stored(&Schema::new(vec![list])).unwrap().field(0).metadata().is_empty());
    }

    #[test]
    fn names_are_those_that_every_reader_takes() {
        for names in [&["count(*)"][..], &["a b"], &["a", "A"]] {
            let fields: Vec<_> = names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect();
            let message = stored(&Schema::new(fields)).unwrap_err().to_string();
            assert!(message.contains("cannot have the column"), "{message}");
        }
    }

    #[test]
    fn times_without_a_zone_ask_for_more_of_readers_once() {
        let old: Protocol = serde_json::from_value(json!({"minReaderVersion": 1, "minWriterVersion": 2})).unwrap();
        let of = |data_type| columns(&stored(&schema(data_type)).unwrap()).unwrap();
        assert!(protocol(&old, &of(DataType::Int64)).unwrap().is_none());
        let times = of(DataType::Timestamp(TimeUnit::Second, None));
        let new = protocol(&old, &times).unwrap().unwrap();
        assert_eq!(serde_json::to_value(&new).unwrap()["readerFeatures"], json!([WITHOUT_ZONE]));
        assert!(protocol(&new, &times).unwrap().is_none());
    }
}
