//! The rules of the inference node against the plain way: a query with calls of models gives what the same query gives
//! over functions that compute the same values row by row.
//!
//! Queries, tables, batch sizes and partitions are drawn at random: 200 cases, or as many as `PROPTEST_CASES` says.
//! Beside it, `bytes`: models that read no text.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::MemTable;
use debut::engine::Session;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Runtime;

mod bytes;
mod models;
mod queries;

use queries::{Order, Query};

/// Rows of the table `items`.
type Row = (i64, Option<String>, f64);

#[derive(Debug, Clone)]
struct Case {
    query: Query,
    /// By partition and batch.
    items: Vec<Vec<Vec<Row>>>,
    batch_size: usize,
    partitions: usize,
    prefer_existing_sort: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let text = prop_oneof![
        1 => Just(None),
        1 => Just(Some(String::new())),
        8 => "[a-d]{1,2}( [a-d]){0,2}".prop_map(Some),
    ];
    let row = (0..4_i64, text, (0..8_i32).prop_map(|n| f64::from(n) / 2.0));
    let batches = prop::collection::vec(prop::collection::vec(row, 0..12), 0..4);
    let items = prop::collection::vec(batches, 1..4);
    let batch_size = prop_oneof![Just(1_usize), 2..16_usize, Just(8192)];
    (queries::queries(), items, batch_size, 1..=8_usize, any::<bool>()).prop_map(
        |(query, items, batch_size, partitions, prefer_existing_sort)| Case {
            query,
            items,
            batch_size,
            partitions,
            prefer_existing_sort,
        },
    )
}

/// The table `items(k, g, t, n)`, where `k` is unique.
fn table(items: &[Vec<Vec<Row>>]) -> MemTable {
    let schema = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, false),
        Field::new("g", DataType::Int64, true),
        Field::new("t", DataType::Utf8, true),
        Field::new("n", DataType::Float64, true),
    ]));
    let mut keys = 0..;
    let mut batch = |rows: &Vec<Row>| {
        let k: Int64Array = keys.by_ref().take(rows.len()).map(Some).collect();
        let g: Int64Array = rows.iter().map(|(g, _, _)| (*g > 0).then_some(*g)).collect();
        let t: StringArray = rows.iter().map(|(_, t, _)| t.clone()).collect();
        let n: Float64Array = rows.iter().map(|(_, _, n)| Some(*n)).collect();
        RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(k), Arc::new(g), Arc::new(t), Arc::new(n)]).unwrap()
    };
    let partitions = items.iter().map(|batches| batches.iter().map(&mut batch).collect()).collect();
    MemTable::try_new(Arc::clone(&schema), partitions).unwrap()
}

/// The rows of the last statement, each value as text.
async fn rows(session: &Session, sql: &str) -> Result<Vec<Vec<String>>, String> {
    let failed = |error| format!("{sql}: {error}");
    let mut rows = Vec::new();
    for statement in session.statements(sql).map_err(failed)? {
        let frame = session.run(statement).await.map_err(failed)?;
        rows.clear();
        for batch in frame.collect().await.map_err(failed)? {
            let options = FormatOptions::default().with_null("NULL");
            let columns: Vec<_> =
                batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
            rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row).to_string()).collect()));
        }
    }
    Ok(rows)
}

fn counted(rows: &[Vec<String>]) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    for row in rows {
        *counts.entry(row.as_slice()).or_default() += 1;
    }
    counts
}

/// Whether every row of `some` is in `all`, as often.
fn within(some: &[Vec<String>], all: &[Vec<String>]) -> bool {
    let all = counted(all);
    counted(some).iter().all(|(row, count)| all.get(row).is_some_and(|most| count <= most))
}

/// The named columns of each row.
fn columns(rows: &[Vec<String>], chosen: &[usize]) -> Vec<Vec<String>> {
    rows.iter().map(|row| chosen.iter().map(|&column| row[column].clone()).collect()).collect()
}

async fn check(session: &Session, case: &Case) -> Result<(), TestCaseError> {
    session.context().deregister_table("items").unwrap();
    session.context().register_table("items", Arc::new(table(&case.items))).unwrap();
    let settings = format!(
        "SET debut.model = 'vectors'; SET datafusion.execution.batch_size = {}; \
         SET datafusion.execution.target_partitions = {}; SET datafusion.optimizer.prefer_existing_sort = {}",
        case.batch_size, case.partitions, case.prefer_existing_sort
    );
    rows(session, &settings).await.map_err(TestCaseError::fail)?;
    let query = &case.query;
    // What DataFusion itself refuses is nothing to compare with; a run with many such cases fails.
    let plain = rows(session, &query.plain()).await.map_err(TestCaseError::reject)?;
    let unlimited = match query.plain_and_unlimited() {
        Some(sql) => &rows(session, &sql).await.map_err(TestCaseError::reject)?,
        None => &plain,
    };
    let found = rows(session, &query.with_models()).await.map_err(TestCaseError::fail)?;
    prop_assert_eq!(found.len(), plain.len(), "{}", query.with_models());
    match &query.order {
        Order::Total => prop_assert_eq!(&found, &plain, "{}", query.with_models()),
        Order::Keys(keys) => prop_assert_eq!(columns(&found, keys), columns(&plain, keys), "{}", query.with_models()),
        Order::Ascending(column) => {
            let keys: Vec<f64> = found.iter().map(|row| row[*column].parse().unwrap()).collect();
            prop_assert!(keys.is_sorted(), "{:?}: {}", keys, query.with_models());
        }
        Order::Any => {}
    }
    let comparable: Vec<usize> = match (&query.order, found.first()) {
        (Order::Ascending(random), Some(row)) => (0..row.len()).filter(|column| column != random).collect(),
        (_, row) => (0..row.map_or(0, Vec::len)).collect(),
    };
    // What a limit leaves of equals is not determined, but it is part of what there is without the limit.
    let (found, unlimited) = (columns(&found, &comparable), columns(unlimited, &comparable));
    prop_assert!(within(&found, &unlimited), "{}: {:?} of {:?}", query.with_models(), found, unlimited);
    Ok(())
}

fn config() -> ProptestConfig {
    // The default reads PROPTEST_CASES.
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 200 };
    ProptestConfig {
        cases,
        max_global_rejects: cases / 10,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[test]
fn calls_give_what_plain_functions_give() {
    let runtime = Runtime::new().unwrap();
    let session = models::session();
    let outcome = TestRunner::new(config()).run(&cases(), |case| runtime.block_on(check(&session, &case)));
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
