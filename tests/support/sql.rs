//! SQL from a test: takes a session and a script, gives what its last statement gives.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type};
use debut::engine::Session;

/// The rows in one batch, or the message of the statement that fails.
pub async fn try_rows(session: &Session, sql: &str) -> Result<RecordBatch, String> {
    let mut result = None;
    for statement in session.statements(sql).map_err(|error| error.to_string())? {
        let frame = session.run(statement).await.map_err(|error| error.to_string())?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await.map_err(|error| error.to_string())?;
        let schema = batches.first().map_or(schema, RecordBatch::schema);
        result = Some(concat_batches(&schema, &batches).unwrap());
    }
    Ok(result.unwrap())
}

/// The same for what must not fail.
pub async fn rows(session: &Session, sql: &str) -> RecordBatch {
    try_rows(session, sql).await.unwrap_or_else(|error| panic!("{sql}\n{error}"))
}

/// A column of numbers; NULL is left out.
pub fn floats(batch: &RecordBatch, column: &str) -> Vec<f64> {
    let column = cast(batch.column_by_name(column).unwrap(), &DataType::Float64).unwrap();
    column.as_primitive::<Float64Type>().iter().flatten().collect()
}

/// The number that a query of one row and column gives.
pub async fn number(session: &Session, sql: &str) -> f64 {
    let batch = rows(session, &format!("SELECT CAST(({sql}) AS DOUBLE)")).await;
    batch.column(0).as_primitive::<Float64Type>().value(0)
}
