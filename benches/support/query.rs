//! SQL, from a session and statements to rows.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use debut::engine::Session;

/// The rows of the last statement; without columns where it gives none.
///
/// # Errors
/// A statement fails.
pub(crate) async fn rows(session: &Session, sql: &str) -> Result<RecordBatch, Box<dyn std::error::Error>> {
    let mut rows = Vec::new();
    for statement in session.statements(sql)? {
        rows = session.run(statement).await?.collect().await?;
    }
    let Some(first) = rows.first() else { return Ok(RecordBatch::new_empty(Schema::empty().into())) };
    Ok(arrow::compute::concat_batches(&first.schema(), &rows)?)
}
