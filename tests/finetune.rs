//! `finetune` the user's way: SQL in, a version out, on a small encoder; and what a killed process leaves behind.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Float64Type, UInt64Type};
use debut::engine::Session;
use debut::home::Home;
use tempfile::TempDir;

mod support;

/// Titles whose first word says their kind; `kind` is 0, 1 or 2.
const PRODUCTS: &str = "SELECT value AS item_id,
    CASE value % 3 WHEN 0 THEN 'red' WHEN 1 THEN 'steel' ELSE 'paper' END || ' ' ||
    CASE value % 7 WHEN 0 THEN 'mug' WHEN 1 THEN 'spade' WHEN 2 THEN 'lamp' WHEN 3 THEN 'bag'
                   WHEN 4 THEN 'box' WHEN 5 THEN 'clock' ELSE 'card' END || ' number ' || value AS text,
    value % 3 AS kind FROM generate_series(1, 120)";

/// Customers buy products of one kind.
const BOUGHT: &str = "SELECT u.value AS user_id, p.value AS item_id,
    to_timestamp_seconds(1767225600 + (u.value * 7 + p.value) * 3600) AS timestamp
    FROM generate_series(1, 30) u CROSS JOIN generate_series(1, 120) p
    WHERE p.value % 3 = u.value % 3 AND (u.value * 31 + p.value * 17) % 5 = 0";

fn session(home: &TempDir) -> Session {
    support::session_at(Home::at(home.path()))
}

async fn rows(session: &Session, sql: &str) -> Result<Vec<RecordBatch>, String> {
    let mut rows = Vec::new();
    for statement in session.statements(sql).map_err(|error| error.to_string())? {
        let frame = session.run(statement).await.map_err(|error| error.to_string())?;
        rows = frame.collect().await.map_err(|error| error.to_string())?;
    }
    Ok(rows)
}

async fn shop(session: &Session) {
    rows(session, &format!("CREATE TABLE products AS {PRODUCTS}; CREATE TABLE bought AS {BOUGHT}")).await.unwrap();
}

/// What a training came to.
#[derive(Debug, Clone, PartialEq)]
struct Curve {
    train: Vec<Option<f64>>,
    validation: Vec<Option<f64>>,
    metric: Vec<Option<f64>>,
    version: Option<String>,
    message: Option<String>,
}

async fn finetune(session: &Session, arguments: &str) -> Result<Curve, String> {
    let batches = rows(session, &format!("CALL finetune(base => 'small', {arguments})")).await?;
    let batches = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    let floats = |name: &str| {
        let column = batches.column_by_name(name).unwrap().as_primitive::<Float64Type>().clone();
        column.iter().collect::<Vec<_>>()
    };
    let last = |name: &str| {
        let column = batches.column_by_name(name).unwrap();
        let texts = arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8).unwrap();
        let texts = texts.as_string::<i32>();
        texts.iter().last().flatten().map(str::to_owned)
    };
    let epochs = batches.column_by_name("epoch").unwrap();
    let epochs = arrow::compute::cast(epochs, &arrow::datatypes::DataType::UInt64).unwrap();
    let epochs: Vec<u64> = epochs.as_primitive::<UInt64Type>().values().to_vec();
    assert_eq!(epochs, (0..epochs.len() as u64).collect::<Vec<_>>(), "a row per epoch, from 0");
    Ok(Curve {
        train: floats("train_loss"),
        validation: floats("validation_loss"),
        metric: floats("metric"),
        version: last("version"),
        message: last("message"),
    })
}

const SHOP: &str = "interactions => (SELECT * FROM bought), items => (SELECT item_id, text FROM products)";
const KINDS: &str = "examples => (SELECT text, 'kind ' || kind AS label FROM products)";

#[tokio::test(flavor = "multi_thread")]
async fn every_method_learns_and_is_published() {
    let home = support::small_home();
    let session = session(&home);
    shop(&session).await;
    for method in ["head", "bitfit", "lora", "adapter", "prefix", "adalora", "top_layers", "full"] {
        let width = if method == "adapter" { " width => 8," } else { "" };
        let arguments = format!(
            "model => 'kinds-{method}', objective => 'classification', method => '{method}', {KINDS}, epochs => 3,{width}
             batch_size => 16, learning_rate => 0.005, validation => 0.2, publish => 'always'"
        );
        let curve = finetune(&session, &arguments).await.unwrap_or_else(|error| panic!("{method}: {error}"));
        let version = format!("kinds-{method}@1");
        assert_eq!(curve.version.as_deref(), Some(version.as_str()), "{method}: {curve:?}");
        let losses: Vec<f64> = curve.train.iter().copied().flatten().collect();
        assert!(losses.len() == 3 && losses[2] < losses[0], "{method}: {curve:?}");
        let sql = format!(
            "SELECT avg(CASE WHEN c['label'] = 'kind ' || kind THEN 1.0 ELSE 0.0 END) AS a
             FROM (SELECT kind, classify(text, 'kinds-{method}') AS c FROM products)"
        );
        let batch = &rows(&session, &sql).await.unwrap()[0];
        let right = batch.column(0).as_primitive::<Float64Type>().value(0);
        assert!(right > 0.5, "{method}: {right} of the labels are right");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_objective_learns() {
    let home = support::small_home();
    let session = session(&home);
    shop(&session).await;
    let numbers = "examples => (SELECT text, kind * 2.5 AS label FROM products)";
    let pairs = "examples => (SELECT a.text, b.text AS other, CASE WHEN a.kind = b.kind THEN 1.0 ELSE 0.0 END AS label
                 FROM products a JOIN products b ON (a.item_id * 7 + b.item_id) % 40 = 0)";
    for (objective, inputs) in
        [("contrastive", SHOP), ("bce", SHOP), ("bpr", SHOP), ("regression", numbers), ("similarity", pairs)]
    {
        let arguments = format!(
            "model => 'by-{objective}', objective => '{objective}', method => 'full', {inputs}, epochs => 3,
             learning_rate => 0.003, batch_size => 16"
        );
        let curve = finetune(&session, &arguments).await.unwrap_or_else(|error| panic!("{objective}: {error}"));
        let losses: Vec<f64> = curve.train.iter().copied().flatten().collect();
        assert!(losses[2] < losses[0], "{objective}: {curve:?}");
        // A better version, or the reason why not.
        assert!(
            curve.version.is_some() || curve.message.as_ref().is_some_and(|text| text.contains("not published")),
            "{objective}: {curve:?}"
        );
    }
    let sql =
        "SELECT arrow_typeof(predict(text, 'by-regression')), predict(NULL, 'by-regression') FROM products LIMIT 1";
    assert_eq!(rows(&session, sql).await.unwrap()[0].num_rows(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_curve() {
    let arguments = format!(
        "model => 'm', objective => 'contrastive', {SHOP}, epochs => 2, dropout => 0.1, accumulate => 2, batch_size => 8,
         seed => 7, publish => 'always'"
    );
    let mut curves = Vec::new();
    for _ in 0..2 {
        let home = support::small_home();
        let session = session(&home);
        shop(&session).await;
        curves.push(finetune(&session, &arguments).await.unwrap());
    }
    assert_eq!(curves[0], curves[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_better_is_published() {
    let home = support::small_home();
    let session = session(&home);
    shop(&session).await;
    let good = format!(
        "model => 'm', objective => 'classification', {KINDS}, epochs => 4, learning_rate => 0.01,
                        method => 'full', validation => 0.3"
    );
    let first = finetune(&session, &good).await.unwrap();
    assert_eq!(first.version.as_deref(), Some("m@1"), "{first:?}");
    // The same again is no better than what is in use, which is what it makes.
    let bad = format!(
        "model => 'm', objective => 'classification', {KINDS}, epochs => 1, learning_rate => 0.000001,
                       method => 'bitfit', validation => 0.3"
    );
    let second = finetune(&session, &bad).await.unwrap();
    assert_eq!(second.version, None, "{second:?}");
    assert!(second.message.as_ref().unwrap().contains("not published"), "{second:?}");
    assert_eq!(
        second.metric[0],
        first.metric.iter().copied().flatten().max_by(f64::total_cmp),
        "m@1 is what has to be beaten"
    );
    // It goes on from a version of its own.
    let on =
        format!("model => 'm', base => 'm', objective => 'classification', {KINDS}, epochs => 1, publish => 'always'");
    let batches = rows(&session, &format!("CALL finetune({on})")).await.unwrap();
    assert!(!batches.is_empty());
    let versions = rows(&session, "SELECT version FROM debut.model_versions WHERE name = 'm' ORDER BY version").await;
    let versions: usize = versions.unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(versions, 2);
    let runs = rows(&session, "SELECT status FROM debut.training_runs").await.unwrap();
    assert_eq!(runs.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn training_goes_on_every_night() {
    let home = support::small_home();
    let session = session(&home);
    shop(&session).await;
    for (method, more) in [("adapter", ", width => 8"), ("prefix", ", length => 4"), ("lora", ""), ("bitfit", "")] {
        for (base, night) in [("small", 1), (method, 2)] {
            let sql = format!(
                "CALL finetune(base => '{base}', model => '{method}', objective => 'contrastive', method => '{method}'{more},
                               {SHOP}, epochs => 1, publish => 'always', since => '2026-01-02', replay => 0.5)"
            );
            rows(&session, &sql).await.unwrap_or_else(|error| panic!("{method}, night {night}: {error}"));
        }
        rows(&session, &format!("SELECT embed('red mug', '{method}@2')")).await.unwrap();
    }
    let wider =
        format!("CALL finetune(base => 'adapter', model => 'adapter', method => 'adapter', width => 9, {SHOP})");
    let error = rows(&session, &wider).await.unwrap_err();
    assert!(error.contains("width is 9, but must be 8, as in the base"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_shares_the_weights_of_its_base() {
    use std::os::unix::fs::MetadataExt;
    let home = support::small_home();
    let session = session(&home);
    shop(&session).await;
    let arguments =
        format!("objective => 'contrastive', {SHOP}, epochs => 2, learning_rate => 0.01, publish => 'always'");
    finetune(&session, &format!("model => 'merged', {arguments}")).await.unwrap();
    finetune(&session, &format!("model => 'delta', keep => 'delta', {arguments}")).await.unwrap();
    let mut vectors = Vec::new();
    for model in ["merged", "delta"] {
        let batch = &rows(&session, &format!("SELECT embed('steel lamp number 2', '{model}') AS v")).await.unwrap()[0];
        let values = batch.column(0).as_fixed_size_list().values().as_primitive::<Float32Type>().values().to_vec();
        vectors.push(values);
    }
    assert!(vectors[0].iter().zip(&vectors[1]).all(|(a, b)| (a - b).abs() < 1e-4), "{vectors:?}");
    // Files that are not links to the base's are few and small.
    let own = |model: &str| -> u64 {
        let folder = home.path().join(format!("models/models--{model}/snapshots/1/onnx"));
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
        files.filter(|file| file.nlink() == 1).map(|file| file.len()).sum()
    };
    let base = home.path().join("models/models--small/snapshots/1/onnx/model.onnx.data");
    if base.exists() {
        assert!(own("delta") < own("merged"), "{} and {}", own("delta"), own("merged"));
    }
    // Training goes on from it, and it outlives its base.
    rows(&session, "DROP MODEL small").await.unwrap();
    let on =
        format!("base => 'delta', model => 'on', objective => 'contrastive', {SHOP}, epochs => 1, publish => 'always'");
    assert!(!rows(&session, &format!("CALL finetune({on})")).await.unwrap().is_empty());
    rows(&session, "SELECT embed('red mug', 'on'), embed('red mug', 'delta')").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_data_are_named() {
    let home = support::small_home();
    let session = session(&home);
    shop(&session).await;
    for (arguments, expected) in [
        ("objective => 'classification', examples => (SELECT text, 'one' AS label FROM products)", "one"),
        ("objective => 'classification', examples => (SELECT text, NULL::VARCHAR AS label FROM products)", "NULL"),
        ("objective => 'classification', examples => (SELECT text, item_id AS label FROM products)", "label"),
        (
            "objective => 'classification', examples => (SELECT NULL::VARCHAR AS text, kind AS label FROM products)",
            "text",
        ),
        ("objective => 'classification', examples => (SELECT text, kind AS label FROM products WHERE false)", "row"),
        (
            "objective => 'bce', interactions => (SELECT user_id, item_id, 0 AS label FROM bought),
          items => (SELECT item_id, text FROM products)",
            "positive",
        ),
        (
            "objective => 'bpr', interactions => (SELECT user_id, item_id + 1000 AS item_id FROM bought),
          items => (SELECT item_id, text FROM products)",
            "item",
        ),
        ("objective => 'classification', examples => (SELECT text AS title, kind AS label FROM products)", "'text'"),
        ("objective => 'regression', examples => (SELECT text, 'NaN'::DOUBLE AS label FROM products)", "label"),
    ] {
        let error = finetune(&session, &format!("model => 'm', {arguments}")).await.unwrap_err();
        assert!(error.contains(expected) && error.contains("finetune"), "{arguments}: {error}");
    }
    // A rate that no training survives: the step is named, and nothing is published.
    let wild = "model => 'm', objective => 'regression', examples => (SELECT text, kind AS label FROM products),
                method => 'head', learning_rate => 100, clip => 0, optimizer => 'sgd', epochs => 100, warmup => 0";
    let error = finetune(&session, wild).await.unwrap_err();
    assert!(error.contains("training step") && error.contains("lower the learning rate"), "{error}");
    assert!(rows(&session, "SELECT embed('x', 'm')").await.unwrap_err().contains("no model 'm'"));
    let failed = rows(&session, "SELECT problem FROM debut.training_runs WHERE status = 'failed'").await.unwrap();
    assert_eq!(failed.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_dropped_stops_and_can_be_gone_on_with() {
    use futures::StreamExt;
    let home = support::small_home();
    let session = session(&home);
    shop(&session).await;
    let sql =
        format!("CALL finetune(base => 'small', model => 'm', objective => 'contrastive', {SHOP}, epochs => 200)");
    let statement = session.statements(&sql).unwrap().remove(0);
    let mut stream = session.run(statement).await.unwrap().execute_stream().await.unwrap();
    stream.next().await.unwrap().unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    let status = rows(&session, "SELECT status FROM debut.training_runs").await.unwrap();
    let status = arrow::compute::cast(status[0].column(0), &arrow::datatypes::DataType::Utf8).unwrap();
    assert_eq!(status.as_string::<i32>().value(0), "cancelled");
    assert!(rows(&session, "SELECT embed('x', 'm')").await.is_err(), "nothing was published");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_died_behind_its_publication_is_not_made_twice() {
    let home = support::small_home();
    let session = session(&home);
    shop(&session).await;
    let night = |base: &str| {
        format!("CALL finetune(base => '{base}', model => 'm', {SHOP}, epochs => 1, seed => 5, publish => 'always')")
    };
    rows(&session, &night("small")).await.unwrap();
    rows(&session, &night("m")).await.unwrap();
    // As a kill between the last two steps leaves it: the version is there, and the run does not know.
    let mut runs: Vec<_> = fs::read_dir(home.path().join("runs")).unwrap().map(|run| run.unwrap().path()).collect();
    runs.sort_by_key(|run| fs::metadata(run.join("run.json")).unwrap().modified().unwrap());
    let file = runs.last().unwrap().join("run.json");
    let mut info: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    info["status"] = "running".into();
    info["outcome"] = serde_json::Value::Null;
    info["finished_at"] = serde_json::Value::Null;
    fs::write(&file, info.to_string()).unwrap();

    rows(&session, &night("m")).await.unwrap();
    let count = async |sql: &str| rows(&session, sql).await.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>();
    assert_eq!(count("SELECT version FROM debut.model_versions WHERE name = 'm'").await, 2);
    assert_eq!(count("SELECT run FROM debut.training_runs WHERE status = 'finished' AND published = 'm@2'").await, 1);
    // The next night goes on.
    rows(&session, &night("m")).await.unwrap();
    assert_eq!(count("SELECT version FROM debut.model_versions WHERE name = 'm'").await, 3);
}

/// A training in a process of its own.
fn spawn(home: &Path, folder: &Path) -> Child {
    let sql = format!(
        "CREATE TABLE products AS {PRODUCTS}; CREATE TABLE bought AS {BOUGHT};
         CALL finetune(base => 'small', model => 'm', objective => 'contrastive', method => 'lora', dropout => 0.1, {SHOP},
                       epochs => 12, batch_size => 8, publish => 'always', seed => 3)"
    );
    Command::new(env!("CARGO_BIN_EXE_debut"))
        .args(["sql", "--format", "csv", "-c", &sql])
        .env("DEBUT_HOME", home)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_table_that_is_cut_off_does_not_cut_off_the_training() {
    let (folder, home) = (tempfile::tempdir().unwrap(), support::small_home());
    let sql = format!(
        "CREATE TABLE products AS {PRODUCTS}; CREATE TABLE bought AS {BOUGHT};
         CALL finetune(base => 'small', model => 'm', {SHOP}, epochs => 4, publish => 'always')"
    );
    let answer = Command::new(env!("CARGO_BIN_EXE_debut"))
        .args(["sql", "--max-rows", "2", "-c", &sql])
        .env("DEBUT_HOME", home.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let shown = String::from_utf8(answer.stdout).unwrap();
    assert!(answer.status.success() && shown.contains("m@1"), "{shown}");
    // The run as a page.
    let report = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_debut"))
            .arg("report")
            .args(arguments)
            .env("DEBUT_HOME", home.path())
            .output()
            .unwrap()
    };
    let runs = fs::read_dir(home.path().join("runs")).unwrap().map(|entry| entry.unwrap().file_name());
    let run = runs.map(|name| name.into_string().unwrap()).next().unwrap();
    let page = folder.path().join("run.html");
    assert!(report(&[&run, "-o", page.to_str().unwrap()]).status.success());
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains("<svg") && html.contains("m@1") && !html.contains("<script"));
    assert!(!report(&["nothing"]).status.success());
}

/// The columns of a curve that do not tell the time.
fn curve(csv: &str) -> Vec<String> {
    csv.lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .map(|line| line.split(',').take(6).collect::<Vec<_>>().join(","))
        .collect()
}

#[test]
fn a_killed_training_leaves_a_whole_registry_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let whole = support::small_home();
    let answer = spawn(whole.path(), folder.path()).wait_with_output().unwrap();
    let expected = curve(&String::from_utf8(answer.stdout).unwrap());
    assert!(answer.status.success() && expected.len() == 13, "{}", String::from_utf8_lossy(&answer.stderr));

    let killed = support::small_home();
    let session = session(&killed);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut last = None;
    for attempt in 0..10_u64 {
        let mut child = spawn(killed.path(), folder.path());
        // Later every time, so that it dies in other places: before the first step, in an epoch, while writing.
        std::thread::sleep(Duration::from_millis(150 + 170 * attempt));
        child.kill().unwrap();
        let answer = child.wait_with_output().unwrap();
        if answer.status.success() {
            last = Some(answer);
        }
        // No version, or a whole one.
        let versions = runtime.block_on(rows(&session, "SELECT version FROM debut.model_versions WHERE name = 'm'"));
        if versions.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>() > 0 {
            runtime.block_on(rows(&session, "SELECT embed('red mug', 'm')")).unwrap();
        }
    }
    let answer = match last {
        Some(answer) => answer,
        None => spawn(killed.path(), folder.path()).wait_with_output().unwrap(),
    };
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let found = curve(&String::from_utf8(answer.stdout).unwrap());
    assert_eq!(found, expected, "a run that was killed ends like one that was not");
}
