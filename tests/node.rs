//! The inference node as a whole: properties that hold for any table, bounded memory, cancellation.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Int64Type, Schema};
use datafusion::catalog::MemTable;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use datafusion::prelude::SessionContext;
use debut::engine::{Access, Engine, EngineOptions, Session};
use debut::home::Home;
use debut::inference::Models;
use debut_udfs::config::Switch;
use futures::StreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;

mod support;

/// A home with a small model named `small`, and the runtime of the shared home.
static HOME: LazyLock<TempDir> = LazyLock::new(support::small_home);

fn session(options: &EngineOptions) -> Session {
    // The tests share a home, and it is the model's work that they look at.
    let options = EngineOptions { cache: Switch::Off, ..options.clone() };
    let engine = Engine::open(Arc::new(Models::new(Home::at(HOME.path()))), &options).unwrap();
    engine.session(&Access::everything()).unwrap()
}

async fn plan(session: &Session, sql: &str) -> Arc<dyn ExecutionPlan> {
    let mut plan = None;
    for statement in session.statements(sql).unwrap() {
        plan = Some(session.run(statement).await.unwrap().create_physical_plan().await.unwrap());
    }
    plan.unwrap()
}

async fn rows(session: &Session, sql: &str) -> Vec<RecordBatch> {
    let mut rows = Vec::new();
    for statement in session.statements(sql).unwrap() {
        rows = session.run(statement).await.unwrap().collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    rows
}

fn vector(batch: &RecordBatch, column: usize, row: usize) -> Option<Vec<f32>> {
    let column = batch.column(column).as_fixed_size_list();
    column.is_valid(row).then(|| column.value(row).as_primitive::<Float32Type>().values().to_vec())
}

/// A table of ragged batches: ids in order, texts of every sort, in one of the Arrow types of text.
fn table(batches: &[Vec<Option<String>>], data_type: &DataType) -> MemTable {
    let schema =
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("t", data_type.clone(), true)]));
    let mut next = 0_i64;
    let batches = batches.iter().map(|texts| {
        let ids = Int64Array::from_iter_values(next..next + texts.len() as i64);
        next += texts.len() as i64;
        let texts: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(ids), cast(&texts, data_type).unwrap()]).unwrap()
    });
    MemTable::try_new(Arc::clone(&schema), vec![batches.collect()]).unwrap()
}

fn texts() -> impl Strategy<Value = Vec<Vec<Option<String>>>> {
    let text = prop_oneof![
        1 => Just(None),
        1 => Just(Some(String::new())),
        3 => "[a-d]{1,3}( [a-d]{1,3}){0,3}".prop_map(Some),
        2 => "\\PC{0,60}".prop_map(Some),
        1 => "(红|蓝|cup |tea ){0,80}".prop_map(Some),
    ];
    prop::collection::vec(prop::collection::vec(text, 0..12), 1..6)
}

fn text_types() -> impl Strategy<Value = DataType> {
    prop_oneof![
        Just(DataType::Utf8),
        Just(DataType::LargeUtf8),
        Just(DataType::Utf8View),
        Just(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// A row's vector is that of its text alone, whatever stands beside it; rows keep their order.
    #[test]
    fn batched_equals_single_and_order_is_kept(
        batches in texts(), data_type in text_types(), budget in prop_oneof![Just(1), Just(64), Just(4096)],
    ) {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let session = session(&EngineOptions::default());
            session.context().register_table("texts", Arc::new(table(&batches, &data_type))).unwrap();
            rows(&session, &format!("SET debut.model = 'small'; SET debut.max_batch_tokens = {budget}")).await;
            let expected: Vec<Option<String>> = batches.iter().flatten().cloned().collect();
            let mut alone: HashMap<String, Vec<f32>> = HashMap::new();
            for text in expected.iter().flatten() {
                if !alone.contains_key(text) {
                    let made = rows(&session, &format!("SELECT embed('{}')", text.replace('\'', "''"))).await;
                    alone.insert(text.clone(), vector(&made[0], 0, 0).unwrap());
                }
            }
            let mut next = 0;
            for batch in rows(&session, "SELECT id, embed(t) FROM texts").await {
                for row in 0..batch.num_rows() {
                    prop_assert_eq!(batch.column(0).as_primitive::<Int64Type>().value(row), next as i64);
                    match (&expected[next], vector(&batch, 1, row)) {
                        (None, None) => {}
                        (Some(text), Some(made)) => {
                            for (a, b) in made.iter().zip(&alone[text]) {
                                prop_assert!((a - b).abs() < 1e-5, "{:?}: {} {}", text, a, b);
                            }
                        }
                        (text, made) => prop_assert!(false, "{:?} gave {:?}", text, made),
                    }
                    next += 1;
                }
            }
            prop_assert_eq!(next, expected.len());
            Ok(())
        })?;
    }
}

/// What a model reads is in its `debut.json`: texts are refused while the query is planned. A model of bytes is refused
/// when it is opened, for want of a preprocessor, and as the base of a training on texts.
#[tokio::test]
async fn a_model_of_bytes_reads_no_texts() {
    let home = support::small_home();
    let session = support::session_at(Home::at(home.path()));
    let failed = async |sql: &str| {
        let frame = session.run(session.statements(sql).unwrap().remove(0)).await;
        match frame {
            Ok(frame) => frame.collect().await.unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    };
    let models = Models::new(Home::at(home.path()));
    let file = models.registry().resolve("small").unwrap().path.join("debut.json");
    let manifest = fs::read_to_string(&file).unwrap();
    fs::write(&file, manifest.replacen('{', "{\"modality\": \"bytes\",", 1)).unwrap();
    let pictures = r#"{"size": {"height": 8, "width": 8}, "resample": 2, "do_normalize": false}"#;
    fs::write(file.with_file_name("preprocessor_config.json"), pictures).unwrap();
    for (sql, wanted) in [
        ("EXPLAIN SELECT embed('a mug', 'small')", "embed: model 'small@1' reads bytes, and '"),
        (
            "SELECT embed(v, 'small') FROM (VALUES (X'00')) AS t(v)",
            "the graph of model 'small@1' needs the input 'input_ids' (",
        ),
        (
            "SELECT * FROM finetune(base => 'small', model => 'tuned', objective => 'contrastive',
                 interactions => (SELECT 1 AS user_id, 2 AS item_id, TIMESTAMP '2026-01-01' AS timestamp),
                 items => (SELECT 2 AS item_id, 'a mug' AS text))",
            "objective 'contrastive' learns from texts, and base 'small@1' reads pictures",
        ),
    ] {
        let message = failed(sql).await;
        assert!(message.contains(wanted), "{sql}: {message}");
    }
}

fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// 300,000 distinct texts stream through a node that would hold 40 MB of vectors if it kept them all.
#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_flat() {
    let session = session(&EngineOptions::default());
    let sql = "SELECT embed('item ' || value, 'small') FROM generate_series(1, 300000)";
    let plan = plan(&session, sql).await;
    let mut stream = execute_stream(plan, session.context().task_ctx()).unwrap();
    let (mut seen, mut settled) = (0, None);
    while let Some(batch) = stream.next().await {
        seen += batch.unwrap().num_rows();
        if seen >= 150_000 {
            settled.get_or_insert_with(resident_bytes);
        }
    }
    assert_eq!(seen, 300_000);
    let growth = resident_bytes().saturating_sub(settled.unwrap());
    assert!(growth < 32 << 20, "{growth} bytes more after the second half");
}

/// Dropping a query's stream ends its work: the model serves the next query at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_query_stops() {
    let session = session(&EngineOptions::default());
    let long = "SELECT embed(repeat('cup ', 40) || value, 'small') FROM generate_series(1, 10000000)";
    let mut stream = execute_stream(plan(&session, long).await, session.context().task_ctx()).unwrap();
    assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
    drop(stream);
    // Ten million texts would take minutes; the bound only tells "stopped" from "still at it".
    let begun = Instant::now();
    rows(&session, "SELECT embed(column1, 'small') FROM (VALUES ('cup'), ('mug'))").await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// What the node holds counts against the session's limit.
#[tokio::test(flavor = "multi_thread")]
async fn memory_is_reserved() {
    let session = session(&EngineOptions { memory_limit: Some(1 << 20), ..EngineOptions::default() });
    let sql = "SELECT embed('item ' || value, 'small') FROM generate_series(1, 100000)";
    let mut stream = execute_stream(plan(&session, sql).await, session.context().task_ctx()).unwrap();
    let mut outcome = Ok(());
    while let Some(batch) = stream.next().await {
        if let Err(error) = batch {
            outcome = Err(error.to_string());
            break;
        }
    }
    let message = outcome.unwrap_err();
    assert!(message.contains("InferExec"), "{message}");
}

/// The plans that an EXPLAIN prints.
async fn report(session: &Session, sql: &str) -> String {
    let batches = rows(session, sql).await;
    let plans = batches.iter().map(|batch| cast(batch.column(1), &DataType::Utf8).unwrap());
    plans.flat_map(|plans| plans.as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Each distinct text of a query is run once, and the node says what it did.
#[tokio::test(flavor = "multi_thread")]
async fn explain_analyze_reports_the_work() {
    let session = session(&EngineOptions::default());
    let sql =
        "EXPLAIN ANALYZE SELECT embed('item ' || CAST(value % 100 AS VARCHAR), 'small') FROM generate_series(1, 50000)";
    let report = report(&session, sql).await;
    let line = report.lines().find(|line| line.contains("InferExec")).expect("the node is in the plan");
    for part in [
        "distinct_inputs=100",
        "output_rows=50",
        "device=cpu",
        "tokens=",
        "batches=",
        "padding=",
        "preprocessing_time=",
        "inference_time=",
    ] {
        assert!(line.contains(part), "{part} is not in: {line}");
    }
}

/// A constant vector is shown by its first numbers, in every plan; the query is run with all of them.
#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_the_beginning_of_a_vector() {
    let session = session(&EngineOptions::default());
    let sql = "SELECT value FROM generate_series(1, 10)
               WHERE cosine_distance(embed('item ' || value, 'small'), embed('cup', 'small')) > 0.1";
    let cup = vector(&rows(&session, "SELECT embed('cup', 'small')").await[0], 0, 0).unwrap();
    let beginning = format!("[{:?}, {:?}, {:?}, ... {} numbers]", cup[0], cup[1], cup[2], cup.len());
    for explain in ["EXPLAIN", "EXPLAIN VERBOSE", "EXPLAIN ANALYZE", "EXPLAIN FORMAT PGJSON"] {
        let plans = report(&session, &format!("{explain} {sql}")).await;
        assert!(plans.contains(&beginning), "{beginning} is not in the plans of {explain}: {plans}");
        assert!(!plans.contains(&format!("{:?}", cup[3])), "{explain} shows a fourth number: {plans}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plan_reads_twice_is_embedded_once() {
    let session = session(&EngineOptions::default());
    let sql = "WITH e AS (SELECT value AS id, embed('item ' || value, 'small') AS v FROM generate_series(1, 300))
               SELECT a.id, count(*) FROM e a JOIN e b ON cosine_distance(a.v, b.v) < 0.5 GROUP BY a.id";
    let plan = plan(&session, sql).await;
    let mut stream = execute_stream(Arc::clone(&plan), session.context().task_ctx()).unwrap();
    let mut groups = 0;
    while let Some(batch) = stream.next().await {
        groups += batch.unwrap().num_rows();
    }
    assert_eq!(groups, 300, "every text is near itself");
    let (mut nodes, mut texts) = (0, 0);
    plan.apply(|node| {
        if node.name() == "InferExec" {
            nodes += 1;
            texts += node.metrics().unwrap().sum_by_name("distinct_inputs").unwrap().as_usize();
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .unwrap();
    assert_eq!((nodes, texts), (2, 300));
}

/// What DataFusion makes of a script's last statement; without a session, on its own.
async fn optimized(session: Option<&Session>, script: &[&str]) -> String {
    let context = session.map_or_else(SessionContext::new, |session| session.context().clone());
    let (query, before) = script.split_last().unwrap();
    for sql in before {
        context.sql(sql).await.unwrap().collect().await.unwrap();
    }
    context.sql(query).await.unwrap().into_optimized_plan().unwrap().display_indent_schema().to_string()
}

#[tokio::test]
async fn a_query_without_calls_is_planned_as_ever() {
    let table = "CREATE TABLE t AS VALUES (1, 'a', {x: 1}), (2, 'b', {x: 2})";
    for query in [
        "SELECT sum(column1) OVER (PARTITION BY column2 ORDER BY column3['x']), sum(column1) OVER (ORDER BY column2) FROM t",
        "SELECT s['x'] FROM (SELECT column3 AS s, column2 AS c FROM t WHERE column1 > 1) WHERE c <> 'a'",
        "SELECT s['x'] AS x FROM (SELECT column3 AS s, column1 FROM t) ORDER BY column1 LIMIT 1",
        "SELECT column1 FROM t WHERE column1 IN (SELECT max(column1) FROM t GROUP BY column2)",
        "SELECT a.column1, b.column2 FROM t a LEFT JOIN t b ON a.column1 = b.column1 AND b.column2 LIKE 'a%'",
    ] {
        let script = [table, query];
        let session = session(&EngineOptions::default());
        assert_eq!(optimized(Some(&session), &script).await, optimized(None, &script).await, "{query}");
    }
}

/// A copy of a million vectors is to take the memory of some: row groups are small, and a file that is sorted is not sorted again.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_vectors_is_written_as_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let session = session(&EngineOptions::default());
    let (texts, vectors) = (path("texts.parquet"), path("vectors.parquet"));
    let sorted = "SELECT value AS n, 'text ' || value AS t FROM generate_series(1, 300000) ORDER BY n";
    rows(&session, &format!("COPY ({sorted}) TO '{texts}'")).await;
    let file = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&texts).unwrap()).unwrap();
    let groups = file.metadata().row_groups().iter().map(|group| group.num_rows()).collect::<Vec<_>>();
    assert_eq!(groups, [131_072, 131_072, 37_856]);

    let split =
        "SET datafusion.optimizer.repartition_file_min_size = 0; SET datafusion.execution.target_partitions = 4";
    let copy = format!("{split}; COPY (SELECT n, embed(t, 'small') FROM '{texts}') TO '{vectors}'");
    let plan = displayable(plan(&session, &copy).await.as_ref()).indent(false).to_string();
    assert!(plan.contains("SortPreservingMergeExec") && plan.contains("InferExec"), "{plan}");
    assert!(!plan.contains("SortExec"), "{plan}");
}

/// Vectors keep the model's name in Parquet, and another model's are told apart when they are read again.
#[tokio::test(flavor = "multi_thread")]
async fn files_remember_the_model() {
    let session = session(&EngineOptions::default());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vectors.parquet");
    let file = file.display();
    rows(&session, &format!("COPY (SELECT embed('cup', 'small') AS v) TO '{file}'")).await;
    let other = support::repository("tests/reference/models/bert-cls");
    rows(&session, &format!("CREATE MODEL other FROM '{}'", other.display())).await;
    let same = rows(&session, &format!("SELECT cosine_distance(v, embed('cup', 'small')) FROM '{file}'")).await;
    assert!(same[0].column(0).as_primitive::<Float32Type>().value(0) < 1e-6);
    let statement = format!("SELECT cosine_distance(v, embed('cup', 'other')) FROM '{file}'");
    let statement = session.statements(&statement).unwrap().remove(0);
    let message = session.run(statement).await.unwrap_err().to_string();
    assert!(message.contains("small@1") && message.contains("other@1"), "{message}");
}

/// Product pictures as a shop has them: JPEG in colour and in grey, some with colours at half the size.
#[tokio::test]
async fn every_real_picture_is_read() {
    let Some(file) = support::shared_data("fashion.parquet") else { return };
    support::pictures::add_color_model(HOME.path());
    let session = session(&EngineOptions::default());
    let sql = format!(
        "SELECT count(*), count(r['value']), count(r['error']) FROM (SELECT try_embed(image, 'color') AS r FROM '{}')",
        file.display()
    );
    let counted = rows(&session, &sql).await;
    let counts: Vec<i64> = counted[0].columns().iter().map(|c| c.as_primitive::<Int64Type>().value(0)).collect();
    assert_eq!(counts, [2500, 2500, 0]);
}

/// Pictures have no tokens that would be padded; how long they take to be decoded is apart from the model's own time.
#[tokio::test(flavor = "multi_thread")]
async fn explain_analyze_of_pictures_counts_no_tokens() {
    support::pictures::add_color_model(HOME.path());
    let session = session(&EngineOptions::default());
    let folder = support::repository("tests/reference/images");
    let sql = format!(
        "EXPLAIN ANALYZE SELECT embed(read_file('{}/' || name), 'color') FROM (VALUES ('wide.png'), ('tall.png'), ('wide.png')) AS t(name)",
        folder.display()
    );
    let report = report(&session, &sql).await;
    let line = report.lines().find(|line| line.contains("InferExec")).expect("the node is in the plan");
    for part in ["distinct_inputs=2", "batches=1", "preprocessing_time=", "inference_time="] {
        assert!(line.contains(part), "{part} is not in: {line}");
    }
    assert!(!line.contains("tokens=") && !line.contains("padding="), "{line}");
}
