//! Tables in memory of a session that writes: what they hold is counted by the engine's memory pool, as long as it is held.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use debut::engine::{EngineOptions, Session};
use futures::StreamExt;

use crate::{Fixture, message, offline, rows, shown};

const LIMIT: usize = 14 << 20;
/// 8 MB of numbers.
const MILLION: &str = "SELECT value AS n FROM generate_series(1, 1000000)";

fn fixture() -> Fixture {
    Fixture::with_options(&EngineOptions { memory_limit: Some(LIMIT), ..offline() })
}

fn reserved(session: &Session) -> usize {
    session.context().runtime_env().memory_pool.reserved()
}

async fn one(session: &Session, sql: &str) -> i64 {
    rows(session, sql).await.unwrap()[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn a_table_holds_what_its_query_gives() {
    let fixture = fixture();
    let session = fixture.writer();
    rows(&session, "CREATE TABLE found AS SELECT title, id FROM 'products.csv' ORDER BY title DESC").await.unwrap();
    let found = shown(&session, "SELECT * FROM found").await;
    assert!(found.find("spade").unwrap() < found.find("mug").unwrap(), "{found}");
    assert_eq!(
        one(&session, "SELECT max(n) FROM (SELECT a.id AS n FROM found a JOIN found b ON a.id = b.id)").await,
        2
    );
    rows(&session, "INSERT INTO found VALUES ('pot', 3), (NULL, 4); INSERT INTO found SELECT * FROM found")
        .await
        .unwrap();
    assert_eq!(one(&session, "SELECT count(*) FROM found").await, 8);
    assert_eq!(one(&session, "SELECT sum(id) FROM (SELECT id FROM found WHERE title IS NULL LIMIT 1)").await, 4);
    rows(&session, "CREATE OR REPLACE TABLE found AS SELECT count(*) AS n FROM found; SELECT n INTO copy FROM found")
        .await
        .unwrap();
    assert_eq!(one(&session, "SELECT n FROM copy").await, 8);
    rows(&session, "CREATE TABLE IF NOT EXISTS found AS SELECT 1 AS n").await.unwrap();
    assert_eq!(one(&session, "SELECT n FROM found").await, 8);
    rows(&session, "CREATE TABLE empty (n BIGINT, kind VARCHAR DEFAULT 'none'); INSERT INTO empty (n) VALUES (7)")
        .await
        .unwrap();
    assert!(shown(&session, "SELECT * FROM empty").await.contains("| 7 | none |"));
    rows(&session, "CREATE TABLE nobody AS SELECT 1 AS n WHERE false").await.unwrap();
    assert_eq!(one(&session, "SELECT count(n) FROM nobody").await, 0);
    for (sql, said) in [
        ("CREATE TABLE found AS SELECT 1", "Table 'found' already exists"),
        ("CREATE OR REPLACE TABLE IF NOT EXISTS found AS SELECT 1", "do not go together"),
        ("CREATE TABLE twice AS SELECT * FROM found a CROSS JOIN found b", "two columns are named 'n'"),
        ("CREATE TABLE wrong AS SELECT CAST(title AS INT) FROM 'products.csv'", "mug"),
        ("INSERT OVERWRITE found VALUES (1)", "CREATE OR REPLACE TABLE found"),
        ("DELETE FROM found", "not"),
    ] {
        let message = message(&session, sql).await;
        assert!(message.contains(said), "{sql}: {message}");
    }
    assert_eq!(one(&session, "SELECT n FROM found").await, 8);
}

#[tokio::test]
async fn a_table_belongs_to_its_session() {
    let fixture = fixture();
    let (session, other) = (fixture.writer(), fixture.writer());
    rows(&session, &format!("CREATE TABLE numbers AS {MILLION}")).await.unwrap();
    assert!(reserved(&other) >= 8_000_000, "{}", reserved(&other));
    assert!(message(&other, "SELECT * FROM numbers").await.contains("not found"));
    drop(session);
    assert_eq!(reserved(&other), 0);
}

#[tokio::test]
async fn what_a_table_holds_is_counted_until_its_last_reader_is_gone() {
    let fixture = fixture();
    let session = fixture.writer();
    rows(&session, &format!("CREATE TABLE numbers AS {MILLION}")).await.unwrap();
    let table = reserved(&session);
    assert!((8_000_000..12_000_000).contains(&table), "{table}");
    let query = session.statements("SELECT n FROM numbers").unwrap().remove(0);
    let mut reader = session.run(query).await.unwrap().execute_stream().await.unwrap();
    reader.next().await.unwrap().unwrap();
    rows(&session, "DROP TABLE numbers").await.unwrap();
    assert_eq!(reserved(&session), table, "a cursor reads it");
    let mut read = 0;
    while let Some(batch) = reader.next().await {
        read += batch.unwrap().num_rows();
    }
    assert!(read > 900_000, "{read}");
    drop(reader);
    assert_eq!(reserved(&session), 0);
}

#[tokio::test]
async fn a_table_that_does_not_fit_is_not_made() {
    let fixture = fixture();
    let session = fixture.writer();
    let sql = format!("CREATE TABLE large AS {MILLION} UNION ALL {MILLION} UNION ALL {MILLION}");
    let error = message(&session, &sql).await;
    assert!(error.contains("table large: after") && error.contains("CREATE VIEW large"), "{error}");
    assert_eq!(reserved(&session), 0);
    assert!(message(&session, "SELECT * FROM large").await.contains("not found"));

    rows(&session, &format!("CREATE TABLE numbers AS {MILLION}")).await.unwrap();
    let table = reserved(&session);
    let error = message(&session, "INSERT INTO numbers SELECT * FROM numbers").await;
    assert!(error.contains("table numbers: after"), "{error}");
    assert_eq!(reserved(&session), table);
    let error = message(&session, &format!("CREATE OR REPLACE TABLE numbers AS {MILLION}")).await;
    assert!(error.contains("table numbers: after"), "{error}");
    assert_eq!(one(&session, "SELECT count(*) FROM numbers").await, 1_000_000, "none of the rows were lost");
}
