//! The rows of a sub-query in memory.
//!
//! Takes a stream; gives a [`Table`]. The order of the rows is the plan's, which changes from run to run where a plan
//! is parallel: a trainer may not depend on it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::utils::memory::RecordBatchMemoryCounter;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use debut_udfs::trainer::Table;
use futures::TryStreamExt;

/// Reads a stream to its end.
///
/// # Errors
/// The stream fails, or the memory pool has no room; the reservation then keeps what was taken so far.
pub(super) async fn gather(mut stream: SendableRecordBatchStream, reservation: &MemoryReservation) -> Result<Table> {
    let schema = stream.schema();
    let mut batches: Vec<RecordBatch> = Vec::new();
    // Batches may share their buffers: slices of one aggregate, or texts that are views into one page.
    let mut memory = RecordBatchMemoryCounter::new();
    while let Some(batch) = stream.try_next().await? {
        if batch.num_rows() > 0 {
            reservation.try_grow(memory.count_batch(&batch))?;
            // A part of a plan may promise more than the whole, such as a column without NULLs.
            batches.push(RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec())?);
        }
    }
    Ok(Table { schema, batches })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{ArrayRef, DictionaryArray, Int64Array, StringArray};
    use arrow::datatypes::Int32Type;
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool};
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use futures::stream;

    use super::*;

    fn batch(rows: &[(Option<i64>, &str)]) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(rows.iter().map(|(number, _)| *number).collect::<Int64Array>());
        let texts: ArrayRef = Arc::new(rows.iter().map(|(_, text)| Some(*text)).collect::<StringArray>());
        let words: ArrayRef = Arc::new(rows.iter().map(|(_, text)| *text).collect::<DictionaryArray<Int32Type>>());
        let columns = [("a", numbers, true), ("b", texts, true), ("c", words, true)];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    fn gathered(batches: Vec<RecordBatch>, pool: &Arc<dyn MemoryPool>) -> Result<(Table, usize)> {
        let schema = batch(&[]).schema();
        let reservation = MemoryConsumer::new("test").register(pool);
        let rows = RecordBatchStreamAdapter::new(schema, stream::iter(batches.into_iter().map(Ok)));
        let table = futures::executor::block_on(gather(Box::pin(rows), &reservation))?;
        Ok((table, reservation.size()))
    }

    fn pool(bytes: usize) -> Arc<dyn MemoryPool> {
        Arc::new(GreedyMemoryPool::new(bytes))
    }

    #[test]
    fn no_rows_have_columns_all_the_same() {
        let (table, held) = gathered(vec![batch(&[])], &pool(1 << 20)).unwrap();
        assert_eq!((table.rows(), table.schema.fields().len(), held), (0, 3, 0));
    }

    #[test]
    fn memory_is_asked_for_once() {
        let texts: Vec<String> = (0..1000).map(|row| format!("text {row}")).collect();
        let rows: Vec<_> = texts.iter().map(|text| (None, text.as_str())).collect();
        let whole = batch(&rows);
        let alone = gathered(vec![whole.clone()], &pool(1 << 20)).unwrap().1;
        let slices = (0..1000).step_by(10).map(|row| whole.slice(row, 10)).collect();
        let (table, held) = gathered(slices, &pool(1 << 20)).unwrap();
        assert_eq!((table.rows(), held), (1000, alone), "slices share what they are slices of");
        let message = gathered(vec![batch(&rows)], &pool(1 << 10)).unwrap_err().to_string();
        assert!(message.contains("Resources exhausted"), "{message}");
    }
}
