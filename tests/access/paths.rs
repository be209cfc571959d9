//! No path, however it is written, reads or writes outside of what is served.

use std::fs;

use debut::engine::Session;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Runtime;

use crate::{CANARY, Fixture, files, rows};
use arrow::util::pretty::pretty_format_batches;

/// Statements with `?` for the path.
const STATEMENTS: [&str; 9] = [
    "SELECT * FROM '?'",
    "SELECT * FROM (SELECT * FROM '?') AS t",
    "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '?'; SELECT * FROM t",
    "CREATE EXTERNAL TABLE t (secret VARCHAR) STORED AS CSV PARTITIONED BY (year) LOCATION '?'; SELECT * FROM t",
    "CREATE EXTERNAL TABLE t (secret VARCHAR) STORED AS CSV LOCATION '?'; INSERT INTO t VALUES ('x')",
    "COPY (SELECT 'x' AS secret) TO '?' STORED AS CSV",
    "CREATE VIEW v AS SELECT * FROM '?'; SELECT * FROM v",
    "SELECT arrow_cast(read_file('?'), 'Utf8')",
    "SELECT arrow_cast(try_read_file(path)['value'], 'Utf8') FROM (SELECT '?' AS path)",
];

/// Paths that lead outside, or try to, in ways that a parser may overlook. `ROOT` is the folder above what is served.
fn paths() -> impl Strategy<Value = String> {
    let start = prop::sample::select(vec![
        "",
        "./",
        "/",
        "//",
        "ROOT/",
        "ROOT/served/",
        "//ROOT/served/",
        "file:",
        "file://ROOT/",
        "file://ROOT/served/",
        "FILE://ROOT/served/",
        "file:ROOT/served/",
        "file://localhostROOT/served/",
        "file:///./ROOT/served/",
        " ROOT/served/",
        "file:////ROOT/served/",
        "file:\\\\ROOT\\served\\",
    ]);
    let part = prop::sample::select(vec![
        "..",
        ".",
        "",
        "served",
        "outside",
        "canary.csv",
        "away",
        "away.csv",
        "sales",
        "year=2026",
        "year=2027",
        "*",
        "*.csv",
        "%2e%2e",
        "%2E.",
        "..%2foutside",
        "%2e%2e%2foutside",
        "..%5coutside",
        "..\\outside",
        "\\..",
        "away%2fcanary.csv",
        "canary%2ecsv",
        "?anary.csv",
        "[c]anary.csv",
        "..;",
        "...",
        "OUTSIDE",
        "away/..",
        "products.csv",
        "new.csv",
        "%00",
        "~",
        "**",
        "canary.csv#",
        "canary.csv?x",
        "canary.csv%00.csv",
        "．．",
        "%c0%ae%c0%ae",
        " .. ",
    ]);
    (start, prop::collection::vec(part, 1..6), any::<bool>())
        .prop_map(|(start, parts, folder)| format!("{start}{}{}", parts.join("/"), if folder { "/" } else { "" }))
}

async fn check(
    fixture: &Fixture,
    session: &Session,
    sql: &str,
    outside: &[std::path::PathBuf],
) -> Result<(), TestCaseError> {
    let said = match rows(session, sql).await {
        Ok(rows) => pretty_format_batches(&rows).unwrap().to_string(),
        Err(error) => error.to_string(),
    };
    prop_assert!(!said.contains(CANARY), "{}: {}", sql, said);
    prop_assert_eq!(&files(&fixture.path("outside")), outside, "{}", sql);
    prop_assert!(!fixture.path("new.csv").exists(), "{}", sql);
    let canary = fs::read_to_string(fixture.path("outside/canary.csv")).unwrap();
    prop_assert!(canary.contains(CANARY), "{}", sql);
    Ok(())
}

#[test]
fn no_path_leads_outside() {
    let runtime = Runtime::new().unwrap();
    let fixture = Fixture::new();
    let outside = files(&fixture.path("outside"));
    let root = fixture.text("");
    let root = root.trim_end_matches('/');
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 400 };
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let cases = (paths(), prop::sample::select(STATEMENTS.to_vec()), any::<bool>());
    let outcome = TestRunner::new(config).run(&cases, |(path, statement, writable)| {
        let session = if writable { fixture.writer() } else { fixture.reader() };
        let path = path.replace("ROOT", root).replace('\'', "''");
        runtime.block_on(check(&fixture, &session, &statement.replace('?', &path), &outside))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// The canary is found by the same statements where everything may be read: the test above can fail.
#[test]
fn the_canary_can_be_found() {
    let fixture = Fixture::new();
    let session = fixture.engine.session(&debut::engine::Access::everything()).unwrap();
    let served = fixture.text("served");
    for path in ["../outside/canary.csv", "away.csv", "away/*.csv", "sales/../away/canary.csv"] {
        for statement in &STATEMENTS[..3] {
            let sql = format!("DROP TABLE IF EXISTS t; {}", statement.replace('?', &format!("{served}/{path}")));
            let rows = Runtime::new().unwrap().block_on(rows(&session, &sql)).unwrap();
            assert!(pretty_format_batches(&rows).unwrap().to_string().contains(CANARY), "{sql}");
        }
        for statement in STATEMENTS[7..].iter().filter(|_| !path.contains('*')) {
            let sql = statement.replace('?', &format!("{served}/{path}"));
            let rows = Runtime::new().unwrap().block_on(rows(&session, &sql)).unwrap();
            assert!(pretty_format_batches(&rows).unwrap().to_string().contains(CANARY), "{sql}");
        }
    }
}
