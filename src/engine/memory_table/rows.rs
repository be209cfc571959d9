//! Rows in memory and their share of the memory pool.
//!
//! Takes streams; gives their batches with a reservation of what they hold. It is given back when the last owner is gone.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use datafusion::arrow::array::{Array, ArrayData, RecordBatch};
use datafusion::common::runtime::JoinSet;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use futures::StreamExt;

/// What one statement put in a table.
#[derive(Debug)]
pub(super) struct Rows {
    partitions: Vec<Counted>,
}

#[derive(Debug)]
struct Counted {
    batches: Vec<RecordBatch>,
    /// Held, not read: dropping it gives the bytes back.
    _share: MemoryReservation,
}

impl Rows {
    /// Reads streams to their end, all at once.
    ///
    /// # Errors
    /// A stream fails, or the pool has no room: then nothing stays counted. The message names the `table`.
    pub(super) async fn collect(
        table: &str,
        streams: Vec<SendableRecordBatchStream>,
        pool: &Arc<dyn MemoryPool>,
    ) -> Result<Self> {
        let mut reading = JoinSet::new();
        for (number, stream) in streams.into_iter().enumerate() {
            let share = MemoryConsumer::new(format!("table {table}")).register(pool);
            let table = table.to_owned();
            reading.spawn(async move { (number, collect(&table, stream, share).await) });
        }
        let mut partitions = Vec::with_capacity(reading.len());
        while let Some(read) = reading.join_next().await {
            let (number, counted) = read.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))?;
            partitions.push((number, counted?));
        }
        // Rows stay in the order of the query where it has one.
        partitions.sort_by_key(|(number, _)| *number);
        Ok(Self { partitions: partitions.into_iter().map(|(_, counted)| counted).collect() })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.partitions.iter().flat_map(|counted| &counted.batches).map(RecordBatch::num_rows).sum()
    }
}

async fn collect(table: &str, mut stream: SendableRecordBatchStream, share: MemoryReservation) -> Result<Counted> {
    let (mut batches, mut seen) = (Vec::new(), HashSet::new());
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        if batch.num_rows() == 0 {
            continue;
        }
        let columns = batch.columns().iter().map(|column| bytes(&column.to_data(), &mut seen)).sum::<usize>();
        let held = share.try_grow(columns + size_of::<RecordBatch>());
        held.map_err(|error| no_room(table, share.size(), &error))?;
        batches.push(batch);
    }
    Ok(Counted { batches, _share: share })
}

/// What an array holds in memory. Arrays share buffers, within a batch and across batches: each is counted once.
fn bytes(data: &ArrayData, seen: &mut HashSet<usize>) -> usize {
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    let mut held = size_of::<ArrayData>();
    for buffer in data.buffers().iter().chain(nulls) {
        if seen.insert(buffer.data_ptr().as_ptr() as usize) {
            held += buffer.capacity();
        }
    }
    held + data.child_data().iter().map(|child| bytes(child, seen)).sum::<usize>()
}

fn no_room(table: &str, size: usize, error: &DataFusionError) -> DataFusionError {
    DataFusionError::ResourcesExhausted(format!(
        "table {table}: after {size} bytes there is no room in memory for more of its rows; write them to a file with COPY, or \
         make a view: CREATE VIEW {table} AS SELECT ... ({})",
        error.message()
    ))
}

/// The rows of a table: those of its CREATE and of each INSERT.
#[derive(Debug, Clone)]
pub(super) struct Parts(Arc<RwLock<Vec<Arc<Rows>>>>);

impl Parts {
    pub(super) fn new(rows: Rows) -> Self {
        Self(Arc::new(RwLock::new(vec![Arc::new(rows)])))
    }

    pub(super) fn add(&self, rows: Rows) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(rows));
    }

    /// As they are now.
    pub(super) fn all(&self) -> Vec<Arc<Rows>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The batches of parts by partition; there is one at least. What was inserted follows what was there.
pub(super) fn partitions(parts: &[Arc<Rows>]) -> Vec<Vec<RecordBatch>> {
    let most = parts.iter().map(|rows| rows.partitions.len()).max().unwrap_or(0).max(1);
    let mut partitions = vec![Vec::new(); most];
    for rows in parts {
        for (partition, counted) in partitions.iter_mut().zip(&rows.partitions) {
            partition.extend(counted.batches.iter().cloned());
        }
    }
    partitions
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use datafusion::arrow::array::{ArrayRef, Int64Array, StringViewArray};

    use super::*;

    #[test]
    fn shared_buffers_are_counted_once() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let mut seen = HashSet::new();
        let first = bytes(&numbers.slice(0, 10).to_data(), &mut seen);
        assert!((8000..9000).contains(&first), "{first}");
        let second = bytes(&numbers.slice(10, 10).to_data(), &mut seen);
        assert!(second < 500, "{second}");
        let long = "a text that does not fit in a view ".repeat(100);
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter_values([&long]));
        assert!(bytes(&texts.to_data(), &mut seen) > long.len());
        let none: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(1)]));
        assert!(bytes(&none.to_data(), &mut seen) > 16);
    }
}
