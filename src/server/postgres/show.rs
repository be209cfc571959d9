//! What SHOW gives: takes PostgreSQL's settings of a session; appends them as rows.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::error::PgError;
use super::settings::Settings;
use super::types::VectorOutput;
use super::utility::Utility;
use super::{backend, encode};

/// The columns of what SHOW gives; `None` for other statements, and for a setting that there is not.
pub(super) fn columns(utility: &Utility, settings: &Settings) -> Option<SchemaRef> {
    let names = match utility {
        Utility::Show(name) => vec![settings.show(name).ok()?.0],
        Utility::ShowAll => vec!["name", "setting", "description"],
        _ => return None,
    };
    let fields: Vec<_> = names.into_iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
    Some(Arc::new(Schema::new(fields)))
}

/// Appends a row of a setting, or one of each; in the simple protocol their columns first.
///
/// # Errors
/// There is no such setting, or the formats are not those of the columns.
pub(super) fn send(
    output: &mut BytesMut,
    utility: &Utility,
    settings: &Settings,
    formats: &[i16],
    simple: bool,
) -> Result<(), PgError> {
    let rows: Vec<Vec<String>> = match utility {
        Utility::Show(name) => vec![vec![settings.show(name)?.1]],
        _ => settings.all().map(|(name, value)| vec![name.to_string(), value.to_string(), String::new()]).collect(),
    };
    let Some(schema) = columns(utility, settings) else { return Ok(()) };
    let columns = encode::columns(&schema, formats, VectorOutput::Array)?;
    if simple {
        encode::describe(output, &columns);
    }
    for values in rows {
        // Text is the same in both formats.
        backend::row(output, values.len(), |body| {
            for value in &values {
                body.put_i32(i32::try_from(value.len()).unwrap_or_default());
                body.put_slice(value.as_bytes());
            }
            Ok(())
        })?;
    }
    Ok(())
}
