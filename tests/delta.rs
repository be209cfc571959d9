//! Delta tables, the user's way: that one which `refresh` keeps equals its query after every edit, that kills, other writers and new
//! columns leave the old version or the new one, which types it holds, and how a session reads it, served or not.

#![cfg(all(unix, feature = "delta"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::util::pretty::pretty_format_batches;
use datafusion::common::Result;
use debut::engine::{Access, Engine, EngineOptions, Session};
use debut::home::Home;
use debut::inference::Models;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoArrow;
use deltalake_core::protocol::SaveMode;
use deltalake_core::{DeltaTable, DeltaTableBuilder, ensure_table_uri};
use proptest::test_runner::{RngAlgorithm, TestRng};
use rand::RngExt;
use tables::{Place, QUERY, assert_is_one_state, kill_after, text, write_source};

mod support;
#[path = "support/tables.rs"]
mod tables;

fn delta(statement: &str) -> String {
    let delta = statement.replace("key => 'id'", "key => 'id', format => 'delta'");
    assert_ne!(delta, statement);
    delta
}

fn refresh(query: &str) -> String {
    delta(&tables::refresh(query))
}

fn state(state: usize) -> String {
    delta(&tables::state(state))
}

/// With the number of the version, and why everything was computed.
fn refresh_and_say(query: &str, keep: &str) -> String {
    let columns = "added, changed, unchanged, removed, rows";
    let said = refresh(query).replace(columns, "changed, rows, version, reason");
    said.replace("keep => '0 seconds'", &format!("keep => '{keep}'"))
}

/// Names of the files in the folder of the table.
fn parts(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.path("table")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.first().map(String::as_str), Some("_delta_log"));
    names.split_off(1)
}

/// Runs what needs the Delta library itself: another program than Debut.
fn others<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

async fn load(place: &Place, version: Option<u64>) -> DeltaTable {
    let url = ensure_table_uri(place.path("table").to_str().unwrap()).unwrap();
    let builder = DeltaTableBuilder::from_url(url).unwrap();
    match version {
        Some(version) => builder.with_version(version).load().await.unwrap(),
        None => builder.load().await.unwrap(),
    }
}

/// The files that the log says a version has.
fn files(place: &Place, version: Option<u64>) -> Vec<String> {
    others(async {
        let table = load(place, version).await;
        let mut names: Vec<_> = table
            .get_file_uris()
            .unwrap()
            .map(|uri| uri.rsplit_once('/').map(|(_, name)| name.to_owned()).unwrap())
            .collect();
        names.sort();
        names
    })
}

#[test]
fn a_table_equals_its_query_after_every_edit() {
    tables::equals_its_query_after_every_edit(&refresh, |place| {
        assert_eq!(parts(place), files(place, None), "nothing old is kept");
        let manifests = fs::read_dir(place.path(".table.refresh/manifests")).unwrap().count();
        assert_eq!((manifests, place.path(".table.refresh/first").exists()), (1, false));
    });
}

#[test]
fn a_kill_leaves_the_old_state_or_the_new_one() {
    tables::survives_kills(&state);
}

/// A table appears as a whole.
#[test]
fn a_kill_of_the_first_refresh_leaves_no_table_or_all_of_it() {
    let place = Place::new();
    let begun = Instant::now();
    place.good(&state(0));
    let whole = begun.elapsed();
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for _ in 0..4 {
        for folder in ["table", ".table.refresh"] {
            fs::remove_dir_all(place.path(folder)).unwrap();
        }
        let mut command = place.command(&state(0));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        kill_after(child, whole.mul_f64(random.random_range(0.5..1.0)));
        if place.path("table").exists() {
            assert_is_one_state(&place, "table/", [0, 0]);
        }
        place.good(&state(0));
        assert_is_one_state(&place, "table/", [0, 0]);
        assert_eq!((place.staged("table"), parts(&place)), (0, files(&place, None)));
    }
}

/// The steps of a commit, at each of which it is as if a kill had come.
#[test]
fn what_a_kill_leaves_at_each_step_is_put_right() {
    let place = Place::new();
    let query = |title: &str| format!("SELECT value AS id, '{title}' AS title FROM generate_series(1, 10)");
    let title = || place.good("SELECT count(*) AS n, min(title) AS a, max(title) AS b FROM 'table/'");
    // Before the first version took its place.
    fs::create_dir_all(place.path(".table.refresh/first/_delta_log")).unwrap();
    fs::create_dir_all(place.path(".table.refresh/manifests/0")).unwrap();
    place.good(&refresh(&query("a")));
    assert_eq!(title(), "10,a,a\n");
    // The next one is written, and its parts are in the folder; the log does not know of it.
    fs::create_dir_all(place.path(".table.refresh/manifests/1")).unwrap();
    fs::write(place.path("table/part-1-00000.parquet"), "half").unwrap();
    fs::write(place.path("table/_delta_log/00000000000000000001.json#0"), "half").unwrap();
    fs::write(place.path("table/notes.parquet"), "somebody's").unwrap();
    assert_eq!(title(), "10,a,a\n");
    place.good(&refresh(&query("b")));
    assert_eq!(title(), "10,b,b\n");
    assert_eq!(parts(&place), [vec!["notes.parquet".to_owned()], files(&place, None)].concat());
    // The log knows of it, and nothing was cleaned up: neither what is staged, nor what is old.
    let state = place.path(".table.refresh/manifests/1");
    fs::create_dir_all(place.path(".table.refresh/manifests/0")).unwrap();
    for file in ["manifest.json", "state.parquet"] {
        fs::copy(state.join(file), place.path(".table.refresh/manifests/0").join(file)).unwrap();
    }
    let part = files(&place, None).remove(0);
    fs::hard_link(place.path("table").join(&part), place.path(".table.refresh/staging").join(&part)).unwrap();
    assert_eq!(place.good(&refresh(&query("b"))), "0,0,10,0,10\n");
    assert_eq!((title(), place.staged("table")), ("10,b,b\n".to_owned(), 0));
    place.good(&refresh(&query("c")));
    assert_eq!(title(), "10,c,c\n");
}

/// What a killed refresh left for a link to a folder of Parquet files has types that Delta lacks.
#[test]
fn parts_of_another_format_are_not_used() {
    let place = Place::new();
    let query = "SELECT value AS id, embed('item ' || value, 'small') AS v FROM generate_series(1, 10)";
    place.good(&tables::refresh(query));
    let (part, staging) = (place.path("table/part-1-00000.parquet"), place.path(".table.refresh/staging"));
    fs::copy(part, staging.join("part-1-00000.parquet")).unwrap();
    fs::copy(place.path(".table.refresh/manifests/1/state.parquet"), staging.join("part-1-00000.state")).unwrap();
    for folder in ["versions", "manifests"] {
        fs::remove_dir_all(place.path(".table.refresh").join(folder)).unwrap();
    }
    fs::remove_file(place.path("table")).unwrap();
    assert_eq!(place.good(&refresh(query)), "10,0,0,0,10\n");
    assert_eq!(place.good("SELECT DISTINCT arrow_typeof(v) LIKE 'List%' AS l FROM 'table/*.parquet'"), "true\n");
    assert_eq!(place.good("SELECT DISTINCT arrow_typeof(v) LIKE 'FixedSizeList(32 x%' AS l FROM 'table/'"), "true\n");
}

#[test]
fn the_log_is_one_that_others_read() {
    let place = Place::new();
    write_source(&place, &(0..30).map(|id| (id, Some(format!("item {id}")))).collect());
    // More entries than are put together.
    for round in 0..12 {
        let query = format!("SELECT id, title, {round} AS round, embed(title, 'small') AS vector FROM 'source.json'");
        let said = place.good(&refresh_and_say(&query, "0 seconds"));
        let (changed, why) = if round == 0 { (0, "the table is new") } else { (30, "the query changed") };
        assert_eq!(said, format!("{changed},30,{round},{why}\n"));
    }
    assert!(place.path("table/_delta_log/_last_checkpoint").exists());
    let (columns, actions) = others(async {
        let table = load(&place, None).await;
        assert_eq!(table.version(), Some(11));
        let columns: arrow::datatypes::Schema = table.snapshot().unwrap().schema().as_ref().try_into_arrow().unwrap();
        (columns, fs::read_to_string(place.path("table/_delta_log/00000000000000000011.json")).unwrap())
    });
    let metadata = columns.field_with_name("vector").unwrap().metadata();
    assert!(metadata["debut.model"].starts_with("small@") && metadata["debut.width"] == "32", "{metadata:?}");
    assert!(actions.contains(r#""txn":{"appId":"debut.refresh","version":11"#), "{actions}");
    assert!(!actions.contains("metaData"), "the columns are those that they were: {actions}");
    // A session reads vectors as such, and each query what is newest.
    let printed = place.good(&format!(
        "CREATE EXTERNAL TABLE t STORED AS DELTATABLE LOCATION 'table';
         CREATE TABLE before AS SELECT min(round) AS a, max(round) AS b, min(array_length(vector)) AS w FROM t;
         CREATE TABLE found AS SELECT count(*) AS n FROM vector_search('t', 'item 3', 3, 'vector');
         CREATE TABLE done AS {};
         SELECT a, b, w, n, rows, (SELECT min(round) FROM t WHERE id > 3) AS now FROM before, found, done",
        refresh("SELECT id, title, 99 AS round, embed(title, 'small') AS vector FROM 'source.json'")
    ));
    assert_eq!(printed, "11,11,32,3,30,99\n");
}

#[test]
fn new_columns_are_a_version_of_their_own() {
    let place = Place::new();
    let keep = "2 days";
    let select = |columns: &str| format!("SELECT value AS id, {columns} FROM generate_series(1, 10)");
    place.good(&refresh_and_say(&select("md5('a') AS t, [1.0, 2.0] AS v"), keep));
    let said = place.good(&refresh_and_say(&select("md5('a') AS t, [1.0] AS v, 7 AS n"), keep));
    assert_eq!(said, "10,10,1,the columns changed\n");
    let said = place.good(&refresh_and_say(&select("to_timestamp_seconds(7) AS t"), keep));
    assert_eq!(said, "10,10,2,the columns changed\n");
    assert_eq!(place.good("SELECT * FROM 'table/' WHERE id = 3"), "3,1970-01-01T00:00:07\n");
    // What is kept is read at the version that it was of.
    let names = |version| {
        others(async {
            let table = load(&place, Some(version)).await;
            let schema = table.snapshot().unwrap().schema();
            schema.fields().map(|field| field.name().clone()).collect::<Vec<_>>().join(" ")
        })
    };
    assert_eq!([0, 1, 2].map(names), ["id t v", "id t v n", "id t"]);
    for version in 0..3 {
        let kept = files(&place, Some(version));
        assert!(!kept.is_empty() && kept.iter().all(|name| parts(&place).contains(name)), "{version}: {kept:?}");
    }
    place.good(&refresh_and_say(&select("to_timestamp_seconds(8) AS t"), "0 seconds"));
    assert_eq!(parts(&place), files(&place, None));
}

#[test]
fn what_others_wrote_is_not_lost() {
    let place = Place::new();
    let query = |title: &str| format!("SELECT value AS id, '{title}' AS title FROM generate_series(1, 10)");
    place.good(&refresh(&query("a")));
    place.good(&refresh_and_say(&query("b"), "2 days"));
    // Entries that change no file are none of ours, and no obstacle.
    others(async {
        let properties = [("delta.logRetentionDuration".to_owned(), "interval 40 days".to_owned())].into();
        load(&place, None).await.set_tbl_properties().with_properties(properties).await.unwrap();
        let vacuum = load(&place, None).await.vacuum().with_retention_period(chrono::Duration::zero());
        vacuum.with_enforce_retention_duration(false).await.unwrap();
    });
    let before = others(load_version(&place));
    assert!(before > 2 && parts(&place).len() == 1, "{before}");
    let said = place.good(&refresh_and_say(&query("c"), "0 seconds"));
    assert!(said.starts_with(&format!("10,10,{},", before + 1)), "{said}");
    others(async {
        let ids = Arc::new(Int64Array::from(vec![11]));
        let titles = Arc::new(StringArray::from(vec!["theirs"]));
        let rows = RecordBatch::try_from_iter([("id", ids as _), ("title", titles as _)]).unwrap();
        load(&place, None).await.write([rows]).with_save_mode(SaveMode::Append).await.unwrap();
    });
    let message = place.bad(&refresh(&query("d")));
    assert!(message.contains("somebody else changed the Delta table 'table' since its version"), "{message}");
    assert!(message.contains("which refresh did not write"), "{message}");
    assert_eq!(place.good("SELECT count(*) AS n, max(title) AS t FROM 'table/'"), "11,theirs\n");
    // With what they wrote taken back it goes on.
    others(async { load(&place, None).await.restore().with_version_to_restore(before + 1).await.unwrap() });
    assert_eq!(place.good(&refresh(&query("d"))), "0,10,0,0,10\n");
    assert_eq!(place.good("SELECT count(*) AS n, max(title) AS t FROM 'table/'"), "10,d\n");
    // Rows that somebody deleted are not ours any more either.
    others(async { load(&place, None).await.delete().with_predicate("id = 3").await.unwrap() });
    let message = place.bad(&refresh(&query("d")));
    assert!(message.contains("somebody else changed"), "{message}");
    assert_eq!(place.good("SELECT count(*) AS n FROM 'table/'"), "9\n");
}

async fn load_version(place: &Place) -> u64 {
    load(place, None).await.version().unwrap()
}

#[test]
fn a_table_stays_what_it_is() {
    let place = Place::new();
    let (parquet, id) = (tables::refresh, "SELECT 1 AS id");
    place.good(&parquet(id));
    let message = place.bad(&refresh(id));
    assert!(message.contains("'table' is a link to a folder of Parquet files, and format => 'delta'"), "{message}");
    place.good(&refresh(id).replace("'table/'", "'log'"));
    let message = place.bad(&parquet(id).replace("'table/'", "'log'"));
    assert!(message.contains("'log' is a Delta table, and format => 'parquet'"), "{message}");
    // Neither a folder nor a Delta table of somebody else.
    fs::create_dir(place.path("mine")).unwrap();
    let theirs = place.path("theirs");
    others(async {
        let ids = RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(vec![1])) as _)]).unwrap();
        let url = ensure_table_uri(theirs.to_str().unwrap()).unwrap();
        DeltaTableBuilder::from_url(url).unwrap().build().unwrap().write([ids]).await.unwrap();
    });
    for target in ["mine", "theirs"] {
        let message = place.bad(&refresh(id).replace("'table/'", &format!("'{target}'")));
        assert!(message.contains(&format!("'{target}' is there already, and was not made by refresh")), "{message}");
        assert!(!place.path(&format!(".{target}.refresh")).exists());
    }
    assert_eq!(place.good("SELECT id FROM './theirs'"), "1\n", "which is read all the same");
    // Nobody but refresh writes into it.
    let table = "CREATE EXTERNAL TABLE t STORED AS DELTATABLE LOCATION 'log'";
    let message = place.bad(&format!("{table}; INSERT INTO t VALUES (2)"));
    assert!(message.to_lowercase().contains("insert"), "{message}");
    let message = place.bad("COPY (SELECT 2 AS id) TO 'log/' STORED AS PARQUET");
    assert!(message.contains("would remove"), "{message}");
    assert_eq!(place.good("SELECT id FROM 'log/'"), "1\n");
    for (statement, said) in [
        ("CREATE EXTERNAL TABLE t (id INT) STORED AS DELTATABLE LOCATION 'log'", "takes neither columns nor options"),
        ("CREATE EXTERNAL TABLE t STORED AS DELTATABLE LOCATION 'mine'", "cannot read the Delta table"),
        ("CREATE EXTERNAL TABLE t STORED AS DELTATABLE LOCATION 'http://localhost/t'", "from a folder on a local disk"),
    ] {
        let message = place.bad(statement);
        assert!(message.contains(said), "{statement}: {message}");
    }
}

#[test]
fn types_that_delta_lacks_are_stored_as_others_or_refused() {
    let place = Place::new();
    let query = "SELECT arrow_cast(value, 'UInt64') AS id, arrow_cast('t', 'Dictionary(Int32, Utf8)') AS word,
                 arrow_cast('b', 'BinaryView') AS bytes, arrow_cast(200, 'UInt8') AS small,
                 arrow_cast(value * 1000, 'Timestamp(Nanosecond, Some(\"+02:00\"))') AS at,
                 arrow_cast(1.25, 'Decimal128(9, 2)') AS price, CASE WHEN value > 1 THEN arrow_cast([1.0, 2.0],
                 'FixedSizeList(2, Float32)') END AS v, named_struct('a', [arrow_cast(1, 'UInt16')]) AS s
                 FROM generate_series(1, 3)";
    place.good(&refresh(query));
    let typed = "SELECT id, word, CAST(bytes AS VARCHAR) AS b, small, arrow_typeof(small) AS t, to_unixtime(at) AS at, price,
                 v[2] AS v, arrow_typeof(v) LIKE 'FixedSizeList(2 x%' AS f, s['a'][1] AS a FROM 'table/' ORDER BY id LIMIT 2";
    assert_eq!(place.good(typed), "1,t,b,200,Int16,0,1.25,,true,1\n2,t,b,200,Int16,0,1.25,2.0,true,1\n");
    // Keys are found again, and what is put together has them too.
    assert_eq!(place.good(&refresh(query)), "0,0,3,0,3\n");
    let more = query.replace("generate_series(1, 3)", "generate_series(2, 5)");
    assert_eq!(place.good(&refresh(&more)), "2,0,2,1,4\n");
    for (column, said) in [
        ("NULL AS c", "it has no type"),
        ("INTERVAL '1 day' AS c", "are not stored in one"),
        ("1 AS \"a b\"", "names have no spaces"),
        ("arrow_cast(1001, 'Timestamp(Nanosecond, None)') AS c", "finer than microseconds"),
        ("arrow_cast('18446744073709551615', 'UInt64') AS c", "cannot be stored as Int64"),
    ] {
        let message = place.bad(&refresh(&format!("SELECT 1 AS id, {column}")));
        assert!(message.contains(said), "{column}: {message}");
    }
    assert_eq!(place.good("SELECT count(*) AS n FROM 'table/'"), "4\n");
}

/// Files of more than a few kilobytes cannot be written: as on a full disk, in the middle.
#[test]
fn a_disk_that_takes_no_more_leaves_what_was_there() {
    let place = Place::new();
    place.good(&refresh("SELECT 1 AS id, md5('1') AS t"));
    let inner =
        place.command(&refresh("SELECT value AS id, md5(CAST(value AS VARCHAR)) AS t FROM generate_series(1, 50000)"));
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"])
        .arg(inner.get_program())
        .args(inner.get_args());
    command.current_dir(place.folder.path()).env("DEBUT_HOME", place.home.path());
    let output = command.output().unwrap();
    let message = text(&output);
    assert!(!output.status.success() && message.contains("File too large"), "{message}");
    assert_eq!(place.good("SELECT id FROM 'table/'"), "1\n");
    assert_eq!(place.good(&refresh("SELECT 2 AS id, md5('1') AS t")), "1,0,0,1,1\n");
}

/// Sessions of a server that serves the folder `served` of the place.
fn served(place: &Place, writable: bool) -> Session {
    let models = Arc::new(Models::new(Home::at(place.home.path())));
    let engine = Engine::open(models, &EngineOptions { offline: true, ..EngineOptions::default() }).unwrap();
    engine.session(&Access::served(&[place.path("served")], writable).unwrap()).unwrap()
}

async fn rows(session: &Session, sql: &str) -> Result<String> {
    let mut batches = Vec::new();
    for statement in session.statements(sql)? {
        batches = session.run(statement).await?.collect().await?;
    }
    Ok(pretty_format_batches(&batches)?.to_string())
}

/// A log may name any file; a served session reads those that are served.
#[tokio::test(flavor = "multi_thread")]
async fn a_served_session_stays_in_its_folders() {
    let place = Place::new();
    let statement = |target: &str| refresh("SELECT 7 AS id").replace("'table/'", &format!("'{target}'"));
    fs::create_dir(place.path("served")).unwrap();
    for target in ["served/inside", "served/named", "outside"] {
        place.good(&statement(target));
    }
    let part = place.path("outside").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let secret = part.into_iter().find(|path| path.extension().is_some_and(|end| end == "parquet")).unwrap();
    // Logs that name the file outside: by its path, by its location, and by a link.
    let rewrite = |table: &str, path: &str| {
        let from = place.path("served/named/_delta_log/00000000000000000000.json");
        let log = place.path("served").join(table).join("_delta_log");
        fs::create_dir_all(&log).unwrap();
        let text = fs::read_to_string(from).unwrap();
        let text = text.replace("\"path\":\"part-0-00000.parquet\"", &format!("\"path\":\"{path}\""));
        assert!(text.contains(path), "{text}");
        fs::write(log.join("00000000000000000000.json"), text).unwrap();
    };
    let secret = secret.to_str().unwrap();
    rewrite("by_path", secret);
    rewrite("by_location", &format!("file://{secret}"));
    rewrite("by_dots", "../../outside/part-0-00000.parquet");
    rewrite("by_link", "link.parquet");
    symlink(secret, place.path("served/by_link/link.parquet")).unwrap();
    fs::create_dir(place.path("served/by_log")).unwrap();
    symlink(place.path("outside/_delta_log"), place.path("served/by_log/_delta_log")).unwrap();
    fs::copy(secret, place.path("served/by_log/part-0-00000.parquet")).unwrap();
    symlink(place.path("outside"), place.path("served/by_folder")).unwrap();

    for name in ["by_path", "by_location", "by_link", "by_log", "by_folder"] {
        assert_eq!(place.good(&format!("SELECT id FROM 'served/{name}'")), "7\n", "{name}: who may read everything");
    }

    let (reader, writer) = (served(&place, false), served(&place, true));
    for session in [&reader, &writer] {
        for name in ["inside", "named"] {
            assert!(rows(session, &format!("SELECT * FROM './{name}'")).await.unwrap().contains("| 7 "), "{name}");
            let table = format!("CREATE EXTERNAL TABLE {name} STORED AS DELTATABLE LOCATION '{name}'");
            let found = rows(session, &format!("{table}; SELECT * FROM {name}")).await.unwrap();
            assert!(found.contains("| 7 "), "{found}");
            let refused = rows(session, &format!("INSERT INTO {name} VALUES (8)")).await.unwrap_err().to_string();
            assert!(refused.to_lowercase().contains("insert"), "{refused}");
        }
        let outside = place.path("outside");
        let names = ["by_path", "by_location", "by_dots", "by_link", "by_log", "by_folder"];
        let names = names.iter().map(|name| format!("./{name}")).chain([outside.to_str().unwrap().to_owned()]);
        for (number, name) in names.enumerate() {
            let table = format!("CREATE EXTERNAL TABLE x{number} STORED AS DELTATABLE LOCATION '{name}'");
            for sql in [format!("SELECT * FROM '{name}'"), format!("{table}; SELECT * FROM x{number}")] {
                let found = rows(session, &sql).await;
                assert!(found.is_err(), "{sql}: {found:?}");
            }
        }
    }
    let refused = rows(&reader, &statement("new")).await.unwrap_err().to_string();
    assert!(refused.contains("refresh is not allowed here"), "{refused}");
    rows(&writer, &statement("new")).await.unwrap();
    assert!(rows(&reader, "SELECT * FROM './new'").await.unwrap().contains("| 7 "));
    assert!(
        rows(&writer, &statement("../outside")).await.is_err() && rows(&writer, &statement("by_folder")).await.is_err()
    );
    let names: BTreeMap<_, _> =
        place.path("outside").read_dir().unwrap().map(|entry| (entry.unwrap().path(), ())).collect();
    assert_eq!(names.len(), 2, "nothing was written outside: {names:?}");
    assert!(Path::new(secret).exists());
}

#[test]
fn the_model_sees_only_what_changed() {
    let place = Place::new();
    let mut source: BTreeMap<_, _> = (0..100).map(|id| (id, Some(format!("item {id}")))).collect();
    write_source(&place, &source);
    place.good(&refresh(QUERY));
    source.insert(7, Some("another".to_owned()));
    write_source(&place, &source);
    let plan = place.good(&format!("SET debut.cache = 'off'; EXPLAIN ANALYZE {}", refresh(QUERY)));
    let line = plan.lines().find(|line| line.contains("InferExec")).unwrap();
    let count = line.split_once("distinct_inputs=").unwrap().1;
    assert_eq!(count.split(|c: char| !c.is_ascii_digit()).next(), Some("1"), "{line}");
}
