//! A query that nobody reads any more is gone within a tenth of a second: its tasks, its memory, and the work of its calls.
//!
//! Each query is dropped in its middle, and again if that took longer: other work of the machine makes some attempts long, and
//! what does not stop is slow each time. Batches are small, because a task of DataFusion's steps aside for others, and notices
//! that it was dropped, after 128 of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use debut::engine::{Access, Engine, EngineOptions, Session};
use debut::home::Home;
use debut::inference::Models;
use debut_udfs::config::Switch;
use futures::StreamExt;
use tokio::sync::watch;

use crate::{offline, rows, support};

/// What may pass until a dropped query is gone.
const MOST: Duration = Duration::from_millis(100);
const ATTEMPTS: usize = 20;
/// A query is in its middle when so many batches were read.
const BATCHES: usize = 4;

/// A table `k, v` without an end that knows who reads it.
#[derive(Debug)]
struct Endless {
    schema: SchemaRef,
    readers: watch::Sender<usize>,
    batches: watch::Sender<usize>,
}

/// A reader while it lives.
struct Reading(Arc<Endless>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.readers.send_modify(|readers| *readers -= 1);
    }
}

#[derive(Debug)]
struct Partition(Arc<Endless>);

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        self.0.readers.send_modify(|readers| *readers += 1);
        let reading = Reading(Arc::clone(&self.0));
        let schema = Arc::clone(&self.0.schema);
        let batches = futures::stream::unfold((reading, 0_i64), move |(reading, start)| async move {
            let values =
                Int64Array::from_iter_values((start..start + 64).map(|value| value * 2_654_435_761 % 1_000_003));
            let keys = Int64Array::from_iter_values((start..start + 64).map(|value| value % 8));
            let batch = RecordBatch::try_new(Arc::clone(&reading.0.schema), vec![Arc::new(keys), Arc::new(values)]);
            reading.0.batches.send_modify(|batches| *batches += 1);
            Some((Ok(batch.unwrap()), (reading, start + 64)))
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }
}

fn endless(session: &Session, name: &str) -> Arc<Endless> {
    let schema = Arc::new(Schema::new(["k", "v"].map(|name| Field::new(name, DataType::Int64, false)).to_vec()));
    let endless = Arc::new(Endless {
        schema: Arc::clone(&schema),
        readers: watch::Sender::new(0),
        batches: watch::Sender::new(0),
    });
    let partitions = (0..2).map(|_| Arc::new(Partition(Arc::clone(&endless))) as _).collect();
    let table = StreamingTable::try_new(schema, partitions).unwrap();
    session.context().register_table(name, Arc::new(table)).unwrap();
    endless
}

/// How long a query of an endless table lives on after its reader is gone.
async fn time_to_stop(session: &Session, sql: &str, table: &Endless) -> Duration {
    let before = *table.batches.borrow();
    let frame = session.run(session.statements(sql).unwrap().remove(0)).await.unwrap();
    let mut stream = frame.execute_stream().await.unwrap();
    let reader = tokio::spawn(async move { while stream.next().await.is_some() {} });
    // It is in its middle.
    table.batches.subscribe().wait_for(|batches| *batches > before + BATCHES).await.unwrap();
    let begun = Instant::now();
    reader.abort();
    let _ = reader.await;
    table.readers.subscribe().wait_for(|readers| *readers == 0).await.unwrap();
    let pool = Arc::clone(&session.context().runtime_env().memory_pool);
    while pool.reserved() > 0 {
        tokio::task::yield_now().await;
    }
    begun.elapsed()
}

/// Asserts that one of several attempts takes no longer than [`MOST`].
async fn in_time(what: &str, mut attempt: impl AsyncFnMut() -> Duration) {
    let mut times = Vec::new();
    for _ in 0..ATTEMPTS {
        let time = tokio::time::timeout(Duration::from_secs(20), attempt()).await;
        times.push(time.unwrap_or_else(|_| panic!("{what} does not begin, or goes on")));
        if times.last() < Some(&MOST) {
            return;
        }
    }
    panic!("{what}: {times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_without_models() {
    let home = tempfile::tempdir().unwrap();
    let options = EngineOptions { memory_limit: Some(1 << 30), ..offline() };
    let engine = Engine::open(Arc::new(Models::new(Home::at(home.path()))), &options).unwrap();
    let session = engine.session(&Access::served(&[], false).unwrap()).unwrap();
    let table = endless(&session, "e");
    for sql in [
        "SELECT * FROM e ORDER BY v",
        "SELECT * FROM e ORDER BY v DESC LIMIT 10",
        "SELECT v, count(*) FROM e GROUP BY v",
        "SELECT count(*) FROM e WHERE v < 0",
        "SELECT DISTINCT v FROM e",
        "SELECT count(*) FROM e AS a JOIN generate_series(1, 100000) AS b ON a.k = b.value",
        "SELECT count(*) FROM e AS a LEFT JOIN generate_series(1, 100000) AS b ON a.v = b.value",
        "SELECT count(*) FROM generate_series(1, 1000) AS b LEFT JOIN e AS a ON a.k = b.value % 8 AND a.v + b.value < 0",
        "SELECT k, row_number() OVER (PARTITION BY k ORDER BY v) FROM e",
    ] {
        in_time(sql, async || time_to_stop(&session, sql, &table).await).await;
    }
}

/// The thread of the model's session is free again, too: it answers a query that is planned already.
#[tokio::test(flavor = "multi_thread")]
async fn queries_with_models() {
    let home = support::small_home();
    // What is found in the cache would keep no model busy.
    let options = EngineOptions { memory_limit: Some(1 << 30), cache: Switch::Off, ..EngineOptions::default() };
    let engine = Engine::open(Arc::new(Models::new(Home::at(home.path()))), &options).unwrap();
    let session = engine.session(&Access::served(&[], false).unwrap()).unwrap();
    let table = endless(&session, "e");
    rows(&session, "SET debut.model = 'small'").await.unwrap();
    for sql in [
        "SELECT embed('cup ' || v) FROM e",
        "SELECT embed(repeat('cup ', 40) || v) FROM e",
        "SELECT v FROM e ORDER BY cosine_distance(embed(repeat('mug ', 20) || v), embed('cup')) LIMIT 10",
    ] {
        in_time(sql, async || time_to_stop(&session, sql, &table).await).await;
        in_time(&format!("a query after {sql}"), async || {
            let other = "SELECT embed(column1) FROM (VALUES ('cup'), ('mug')) AS t";
            let other = session.run(session.statements(other).unwrap().remove(0)).await.unwrap();
            let (plan, context) = (other.clone().create_physical_plan().await.unwrap(), other.task_ctx());
            time_to_stop(&session, sql, &table).await;
            let begun = Instant::now();
            let answer = datafusion::physical_plan::collect(plan, Arc::new(context)).await.unwrap();
            assert_eq!(answer.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
            begun.elapsed()
        })
        .await;
    }
}

/// Dropping the rows of a training waits until its thread has ended.
#[tokio::test(flavor = "multi_thread")]
async fn trainings() {
    let home = support::small_home();
    let options = EngineOptions { memory_limit: Some(1 << 30), ..EngineOptions::default() };
    let engine = Engine::open(Arc::new(Models::new(Home::at(home.path()))), &options).unwrap();
    let session = engine.session(&Access::served(&[], true).unwrap()).unwrap();
    rows(&session, &format!("CREATE VIEW products AS {PRODUCTS}; CREATE VIEW bought AS {BOUGHT}")).await.unwrap();
    for objective in
        ["objective => 'contrastive'", "objective => 'recommend', factors => 8, neighbours => 10, window => 50"]
    {
        let sql = format!(
            "SELECT * FROM finetune(model => 'shop', base => 'small', epochs => 1000, {objective},
                interactions => (SELECT * FROM bought), items => (SELECT * FROM products))"
        );
        in_time(objective, async || {
            let frame = session.run(session.statements(&sql).unwrap().remove(0)).await.unwrap();
            let mut stream = frame.execute_stream().await.unwrap();
            // It is in its middle: the base was measured, and the first epoch is done.
            for _ in 0..2 {
                stream.next().await.unwrap().unwrap();
            }
            let begun = Instant::now();
            drop(stream);
            assert_eq!(session.context().runtime_env().memory_pool.reserved(), 0);
            begun.elapsed()
        })
        .await;
    }
    let status = "SELECT * FROM debut.training_runs WHERE status <> 'cancelled'";
    assert!(rows(&session, status).await.unwrap().iter().all(|batch| batch.num_rows() == 0));
}

/// Items 1 to 120, launched one every second day from 2025-01-01.
const PRODUCTS: &str = "SELECT value AS item_id, 'item number ' || value AS text, 1.0 + value % 11 AS price,
    to_timestamp_seconds(1735689600 + value * 2 * 86400) AS launched_at FROM generate_series(1, 120)";

/// Customers buy items of one kind, some weeks after their launch.
const BOUGHT: &str = "SELECT u.value AS user_id, p.value AS item_id,
    to_timestamp_seconds(1735689600 + (p.value * 2 + (u.value * 13 + p.value) % 30) * 86400) AS timestamp
    FROM generate_series(1, 60) u CROSS JOIN generate_series(1, 120) p
    WHERE p.value % 3 = u.value % 3 AND (u.value * 31 + p.value * 17) % 5 > 1";
