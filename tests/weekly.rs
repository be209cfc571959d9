//! Incremental learning the user's way: `since => 'last'` for encoders and recommenders, on a small encoder and shops made by SQL.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use debut::engine::Session;
use debut::home::Home;
use tempfile::TempDir;

mod support;

use support::sql::{number, rows, try_rows};

async fn fails(session: &Session, sql: &str, parts: &[&str]) {
    let error = try_rows(session, sql).await.expect_err(sql);
    assert!(parts.iter().all(|part| error.contains(part)), "{sql}\ngave: {error}\nnot: {parts:?}");
}

/// The last row of a training: version, message and metric.
async fn trained(session: &Session, sql: &str) -> (Option<String>, String, f64) {
    let all = rows(session, sql).await;
    let last = all.slice(all.num_rows() - 1, 1);
    let text = |name: &str| {
        let column = cast(last.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
        column.as_string::<i32>().iter().next().flatten().map(str::to_owned)
    };
    let metric = last.column_by_name("metric").unwrap().as_primitive::<Float64Type>();
    let metric = if metric.is_null(0) { f64::NAN } else { metric.value(0) };
    (text("version"), text("message").unwrap_or_default(), metric)
}

fn manifest(home: &TempDir, version: &str) -> serde_json::Value {
    let (name, number) = version.split_once('@').unwrap();
    let path = home.path().join(format!("models/models--{name}/snapshots/{number}/debut.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Titles whose first word says their kind. Those of January are of the kinds 0, 1 and 2, those of February of 3 and 4.
const TITLES: &str = "SELECT value AS id, CASE kind WHEN 0 THEN 'red' WHEN 1 THEN 'steel' WHEN 2 THEN 'paper' WHEN 3 THEN 'green'
    ELSE 'glass' END || ' ' || CASE value % 5 WHEN 0 THEN 'mug' WHEN 1 THEN 'spade' WHEN 2 THEN 'lamp' WHEN 3 THEN 'bag'
    ELSE 'box' END || ' number ' || value AS text, 'kind ' || kind AS label,
    to_timestamp_seconds(1767225600 + value * 3600 * 4) AS timestamp, value > 180 AS is_new
    FROM (SELECT value, CASE WHEN value <= 180 THEN value % 3 ELSE 3 + value % 2 END AS kind FROM generate_series(1, 360) s)";

async fn titles() -> (TempDir, Session) {
    let home = support::small_home();
    let session = support::session_at(Home::at(home.path()));
    rows(&session, &format!("CREATE TABLE titles AS {TITLES}")).await;
    (home, session)
}

fn classify(model: &str, examples: &str, more: &str) -> String {
    format!(
        "CALL finetune(model => '{model}', objective => 'classification', method => 'full', epochs => 4, batch_size => 16,
         learning_rate => 0.005, examples => (SELECT text, label, timestamp FROM titles WHERE {examples}), {more})"
    )
}

async fn right(session: &Session, model: &str, which: &str) -> f64 {
    let sql = format!(
        "SELECT avg(CASE WHEN classify(text, '{model}')['label'] = label THEN 1.0 ELSE 0.0 END) FROM titles WHERE {which}"
    );
    number(session, &sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_goes_on_and_a_replay_share_keeps_what_it_knew() {
    let (home, session) = titles().await;
    let first = classify("a", "NOT is_new", "base => 'small', publish => 'always', split => 'time'");
    let (version, message, _) = trained(&session, &first).await;
    assert_eq!(version.as_deref(), Some("a@1"), "{message}");
    // The latest tenth is held out: it is new to the next training. Titles are four hours apart.
    let written = manifest(&home, "a@1");
    let until = 1_767_225_600_000_000i64 + 162 * 4 * 3_600_000_000 + 1;
    assert_eq!(written["training"]["until"]["time"].as_i64(), Some(until), "{written}");
    assert_eq!(
        (written["training"]["objective"].as_str(), written["training"]["method"].as_str()),
        (Some("classification"), Some("full"))
    );
    let before = right(&session, "a", "NOT is_new").await;
    assert!(before > 0.9, "{before}");
    // The same model under another name, to forget with.
    let folder = |name: &str| home.path().join(format!("models/models--{name}"));
    let copied = std::process::Command::new("cp").arg("-r").arg(folder("a")).arg(folder("b")).status().unwrap();
    assert!(copied.success());

    // What came since has two kinds that the version does not know, and none of those that it knows.
    let new = "id > 162";
    let on = |model: &str, replay: &str| {
        classify(model, "true", &format!("since => 'last', replay => {replay}, publish => 'always'"))
    };
    let (version, message, _) = trained(&session, &on("a", "0.5")).await;
    assert_eq!(version.as_deref(), Some("a@2"), "{message}");
    assert!(message.contains("its accuracy is") || message.is_empty(), "{message}");
    let (version, message, _) = trained(&session, &on("b", "0")).await;
    assert_eq!(version.as_deref(), Some("b@2"), "{message}");
    let (kept, forgot) = (right(&session, "a", "id <= 162").await, right(&session, "b", "id <= 162").await);
    assert!(kept > 0.9 && kept > forgot, "{kept} with a replay share of 0.5, {forgot} without");
    for model in ["a", "b"] {
        let learnt = right(&session, model, "is_new").await;
        assert!(learnt > 0.8 && right(&session, &format!("{model}@1"), new).await < 0.2, "{model}: {learnt}");
    }
    // It began where the version in use was, and not at the base.
    let source = manifest(&home, "a@2")["source"].as_str().unwrap().to_owned();
    assert!(source.starts_with("finetune of a@1"), "{source}");

    // Without anything new nothing is trained; a version of before, which says no moment, is named.
    let until = "id <= 324";
    let call = classify("a", until, "since => 'last'");
    fails(&session, &call, &["there is nothing new: a@2, in use", "2026-02-", "324 rows"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_better_by_more_than_chance_does_not_take_the_place() {
    let (_home, session) = titles().await;
    rows(&session, &classify("c", "NOT is_new", "base => 'small', publish => 'always', split => 'time'")).await;
    // Rows like those that it knows: there is nothing to be better at.
    let same = "SELECT text, label, timestamp FROM titles WHERE NOT is_new UNION ALL
                SELECT text, label, timestamp + INTERVAL '60 days' FROM titles WHERE NOT is_new AND id % 3 > 0";
    let call = format!(
        "CALL finetune(model => 'c', objective => 'classification', method => 'full', epochs => 1, learning_rate => 0.00001,
         examples => ({same}), since => 'last', validation => 0.3)"
    );
    let (version, message, _) = trained(&session, &call).await;
    assert_eq!(version, None, "{message}");
    for part in ["not published: its accuracy is", "that of c@1, in use,", "it is better by", "95% interval"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let in_use = "SELECT count(*) FROM debut.model_versions WHERE name = 'c'";
    assert_eq!(number(&session, in_use).await, 1.0);
    // Kinds that it does not know are: both metrics are told.
    let call = classify("c", "true", "since => 'last', replay => 0.5, validation => 0.3");
    let (version, message, _) = trained(&session, &call).await;
    assert_eq!(version.as_deref(), Some("c@2"), "{message}");
    assert!(message.contains("its accuracy is") && message.contains("that of c@1, in use, 0."), "{message}");
    // And back.
    rows(&session, "ALTER MODEL c USE VERSION 1").await;
    let in_use = "SELECT CAST(version AS BIGINT) FROM debut.model_versions WHERE name = 'c' AND in_use";
    assert_eq!(number(&session, in_use).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_go_on_says_why() {
    let (home, session) = titles().await;
    let last = "since => 'last'";
    fails(&session, &classify("d", "true", last), &["'d' that is in use, and there is none", "train it without since"])
        .await;
    fails(&session, &classify("small", "true", last), &["small@1 does not say when", "base => 'small@1'"]).await;
    let sql = format!("EXPLAIN {}", classify("d", "true", last));
    fails(&session, &sql, &["there is none"]).await;
    rows(&session, &classify("d", "NOT is_new", "base => 'small', publish => 'always'")).await;
    let other = classify("d", "true", last).replace("'full'", "'lora'");
    fails(&session, &other, &["d@1, which was trained with method => 'full'", "this call says 'lora'"]).await;
    let other =
        classify("d", "true", last).replace("'classification'", "'regression'").replace("label, ", "id AS label, ");
    fails(&session, &other, &["objective => 'classification'"]).await;
    let timeless = classify("d", "true", last).replace("label, timestamp", "label");
    fails(&session, &timeless, &["no column 'timestamp'"]).await;
    let integers = classify("d", "true", last).replace("label, timestamp", "label, id AS timestamp");
    fails(&session, &integers, &["since = 'last'", "were times", "these are integers"]).await;
    fails(&session, &classify("d", "true", "since => 'last', replay => 0.5, validation => 0.9"), &["held out"]).await;

    // A manifest of before has no record, and is read all the same.
    let path = home.path().join("models/models--d/snapshots/1/debut.json");
    let mut written: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert!(written.as_object_mut().unwrap().remove("training").is_some());
    std::fs::write(&path, serde_json::to_vec(&written).unwrap()).unwrap();
    assert!(right(&session, "d", "NOT is_new").await > 0.5);
    fails(&session, &classify("d", "true", last), &["d@1 does not say when its training data ended"]).await;
    // With a time and a base it goes on all the same.
    rows(&session, &classify("d", "true", "base => 'd', since => '2026-01-31', publish => 'always'")).await;
}

/// Items 1 to 120, launched one every second day from 2025-01-01.
const PRODUCTS: &str = "SELECT value AS item_id,
    CASE value % 3 WHEN 0 THEN 'red' WHEN 1 THEN 'steel' ELSE 'paper' END || ' ' ||
    CASE value % 7 WHEN 0 THEN 'mug' WHEN 1 THEN 'spade' WHEN 2 THEN 'lamp' WHEN 3 THEN 'bag'
                   WHEN 4 THEN 'box' WHEN 5 THEN 'clock' ELSE 'card' END || ' number ' || value AS text,
    1.0 + value % 11 AS price,
    to_timestamp_seconds(1735689600 + value * 2 * 86400) AS launched_at FROM generate_series(1, 120)";

/// Customers 1 to 60 buy items of one kind, some weeks after their launch; from May on, of the next kind.
const BOUGHT: &str = "SELECT u.value AS user_id, p.value AS item_id,
    to_timestamp_seconds(1735689600 + (p.value * 2 + (u.value * 13 + p.value) % 30) * 86400) AS timestamp
    FROM generate_series(1, 60) u CROSS JOIN generate_series(1, 120) p
    WHERE p.value % 3 = (u.value + CASE WHEN p.value > 60 THEN 1 ELSE 0 END) % 3 AND (u.value * 31 + p.value * 17) % 5 > 1";

fn recommend(model: &str, until: &str, more: &str) -> String {
    format!(
        "CALL finetune(model => '{model}', objective => 'recommend', epochs => 2, factors => 8, neighbours => 10, window => 50,
         interactions => (SELECT * FROM bought WHERE timestamp < '{until}'),
         items => (SELECT * FROM products WHERE launched_at < '{until}'), {more})"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recommender_goes_on_like_one_that_is_trained_anew() {
    let home = support::small_home();
    let session = support::session_at(Home::at(home.path()));
    rows(&session, &format!("CREATE TABLE products AS {PRODUCTS}; CREATE TABLE bought AS {BOUGHT}")).await;
    rows(&session, &recommend("shop", "2025-05-01", "base => 'small', publish => 'always'")).await;
    let (version, message, _) = trained(&session, &recommend("shop", "2025-07-15", "since => 'last'")).await;
    assert_eq!(version.as_deref(), Some("shop@2"), "{message}");
    for part in [
        "users took for the first time from 2025-06-",
        "that of shop@1, in use, 0.",
        "is better by 0.",
        "goes on from shop@1",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let written = manifest(&home, "shop@2");
    assert_eq!(written["trained_until"], written["training"]["until"]["time"], "{written}");
    rows(&session, &recommend("anew", "2025-07-15", "base => 'small', publish => 'always'")).await;

    // On what came after all of them: better than the old version, and near one that is trained from the start.
    let recall = |model: &'static str| {
        format!(
            "SELECT value FROM evaluate(model => '{model}', k => 20, resamples => 0, since => '2025-07-15',
             interactions => (SELECT * FROM bought WHERE timestamp >= '2025-07-15'),
             items => (SELECT item_id, text, price, launched_at FROM products))
             WHERE method LIKE '{name}@%' AND metric = 'recall' AND candidates = 'all' AND segment = 'all' LIMIT 1",
            name = model.split('@').next().unwrap_or_default()
        )
    };
    let old = number(&session, &recall("shop@1")).await;
    let (new, anew) = (number(&session, &recall("shop")).await, number(&session, &recall("anew")).await);
    assert!(new > old + 0.1, "{new}, and {old} of the old version");
    assert!(new > 0.9 * anew, "{new}, and {anew} of one that was trained anew");

    // The new weeks alone are refused, and so is nothing new, and what is other.
    let weeks = recommend("shop", "2025-08-15", "since => 'last'")
        .replace("WHERE timestamp <", "WHERE timestamp > '2025-07-01' AND timestamp <");
    fails(&session, &weeks, &["needs all interactions", "shop@2, in use, knows"]).await;
    let call = recommend("shop", "2025-07-15", "since => 'last'");
    fails(&session, &call, &["there is nothing new: shop@2, in use, was trained on interactions up to 2025-07-14"])
        .await;
    let other = recommend("shop", "2025-08-15", "since => 'last'").replace("factors => 8", "factors => 4");
    fails(&session, &other, &["shop@2, which has factors => 8, and this call has 4"]).await;
    let other = recommend("shop", "2025-08-15", "since => 'last', method => 'lora'");
    fails(&session, &other, &["shop@2, which was trained with method => 'full'"]).await;
    fails(&session, &recommend("none", "2025-08-15", "since => 'last'"), &["'none' that is in use, and there is none"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_population_stability_index_is_what_numpy_says() {
    let cases: serde_json::Value =
        serde_json::from_slice(&std::fs::read(support::repository("tests/reference/psi.json")).unwrap()).unwrap();
    let session = support::session();
    for case in cases.as_array().unwrap() {
        let of = |side: &str, is_new: bool| {
            let values = case[side].as_array().unwrap().iter();
            values.map(|value| format!("({}, {is_new})", value.to_string().replace('"', "'"))).collect::<Vec<_>>()
        };
        let rows_of = [of("reference", false), of("new", true)].concat().join(", ");
        rows(&session, &format!("CREATE OR REPLACE TABLE two AS SELECT * FROM (VALUES {rows_of}) AS t(x, is_new)"))
            .await;
        let bins = case["bins"].as_u64().map_or_else(String::new, |bins| format!(", {bins}"));
        // In groups too, and put together of the states of several partitions.
        for sql in [
            format!("SELECT psi(x, is_new{bins}) FROM two"),
            format!(
                "SELECT max(p) FROM (SELECT psi(x, is_new{bins}) AS p FROM two CROSS JOIN generate_series(1, 3) AS g(n) GROUP BY g.n)"
            ),
        ] {
            let (found, expected) = (number(&session, &sql).await, case["found"].as_f64().unwrap());
            assert!((found - expected).abs() < 1e-9, "{sql}: {found}, not {expected}");
        }
    }
}
