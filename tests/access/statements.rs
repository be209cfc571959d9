//! Tables of statements: hostile ones, each with its refusal, and honest ones.

use std::fs;
use std::path::PathBuf;

use debut::engine::{Access, EngineOptions};

use crate::{CANARY, Fixture, count, files, message, offline, rows, shown, support};

const READS: &str = "is not allowed here: this session may only read";
const OUTSIDE: &str = "is not in what is served; the files of this session are in '";
const TRAINING: &str = "finetune(objective => 'recommend', model => 'm', items => (SELECT 1 AS item_id, 'a' AS text),
    interactions => (SELECT 1 AS user_id, 1 AS item_id, TIMESTAMP '2026-01-01' AS timestamp))";

const REFRESH: &str = "refresh(source => (SELECT 1 AS id), target => 'vectors', key => 'id')";

/// Statements that read, write or change what is not the session's, whether or not it may write.
fn hostile(fixture: &Fixture) -> Vec<(String, &'static str)> {
    let outside = fixture.text("outside/canary.csv");
    let folder = fixture.text("outside");
    let served = fixture.text("served");
    let mut statements = Vec::new();
    for location in [
        "/etc/passwd",
        "/etc/no-such-file",
        "../outside/canary.csv",
        "./../outside/canary.csv",
        "sales/../../outside/canary.csv",
        "away.csv",
        "away/canary.csv",
        "away/no-such-file.csv",
        "nowhere.csv",
        "no-such-file.csv",
        "../outside/*.csv",
        "away/*.csv",
        "/*/passwd",
        "/",
        "../",
        "..",
        "file:///etc/passwd",
        "file:/etc/passwd",
        "file://localhost/etc/passwd",
        "FILE:///etc/passwd",
        "s3://bucket/items.csv",
        "gs://bucket/items.csv",
        "az://bucket/items.csv",
        "http://127.0.0.1:1/items.csv",
        "https://localhost/items.csv",
        "hf:owner/model",
        "memory:///x.csv",
        "//etc/passwd",
        "/proc/self/environ",
        outside.as_str(),
        folder.as_str(),
        &format!("{served}/../outside/canary.csv"),
        &format!("//{served}/../outside/canary.csv"),
        &format!("file://{served}/%2e%2e/outside/canary.csv"),
        &format!("file://{served}/..%2foutside/canary.csv"),
        &format!("file://{served}/../outside/canary.csv"),
        &format!("file://{outside}"),
        &format!("{}x/canary.csv", served),
        &served.to_uppercase(),
    ] {
        for statement in [
            format!("SELECT * FROM '{location}'"),
            format!("SELECT (SELECT count(*) FROM '{location}')"),
            format!("WITH c AS (SELECT * FROM '{location}') SELECT * FROM c"),
            format!("EXPLAIN SELECT * FROM '{location}'"),
            format!("DESCRIBE '{location}'"),
            format!("CREATE VIEW v AS SELECT * FROM '{location}'"),
            format!("PREPARE p AS SELECT * FROM '{location}'"),
            format!("SELECT * FROM vector_search('{location}', 'x', 1)"),
        ] {
            // A name without a dot or a slash is a table's.
            if location.contains(['.', '/']) {
                statements.push((statement, OUTSIDE));
            }
        }
    }
    for location in
        ["/etc/passwd", "away.csv", "../outside/canary.csv", "s3://bucket/items.csv", "https://localhost/x.csv"]
    {
        let table = format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{location}'");
        statements.push((format!("EXPLAIN {table}"), OUTSIDE));
        statements.push((table, OUTSIDE));
    }
    for (statement, said) in [
        (
            "CREATE UNBOUNDED EXTERNAL TABLE t (a INT) STORED AS CSV LOCATION 'products.csv'",
            "UNBOUNDED EXTERNAL TABLE is not",
        ),
        (
            "CREATE EXTERNAL TABLE t (a INT) STORED AS CSV LOCATION '/etc/passwd' OPTIONS ('unbounded' 'true')",
            "UNBOUNDED EXTERNAL TABLE is not",
        ),
        ("PREPARE p AS CREATE TABLE t AS SELECT 1", "not allowed here"),
        ("CREATE FUNCTION f(INT) RETURNS INT RETURN $1", "CREATE FUNCTION is not allowed here"),
        ("DROP FUNCTION abs", "DROP FUNCTION is not allowed here"),
        ("SET datafusion.runtime.memory_limit = '1T'", "datafusion.runtime.memory_limit cannot be changed here"),
        ("SET datafusion.runtime.temp_directory = '/etc'", "datafusion.runtime.temp_directory cannot be changed here"),
        ("SET datafusion.runtime.max_temp_directory_size = '1T'", "cannot be changed here"),
        ("RESET datafusion.runtime.memory_limit", "datafusion.runtime.memory_limit cannot be changed here"),
        ("SET debut.offline = false", "debut.offline cannot be changed here"),
        ("SET debut.device = 'cuda'", "debut.device cannot be changed here"),
        ("SET debut.max_batch_tokens = 1000000000", "debut.max_batch_tokens cannot be changed here"),
        ("SET datafusion.sql_parser.recursion_limit = 1000000", "recursion_limit cannot be changed here"),
        ("SET datafusion.catalog.location = '/etc'", "datafusion.catalog.location cannot be changed here"),
        (
            "SET datafusion.execution.batch_size = 1000000000",
            "batch_size is a number up to 65536 here, not '1000000000'",
        ),
        ("SET datafusion.execution.target_partitions = 100000", "target_partitions is a number up to 256 here"),
        ("SELECT * FROM embed_everything('/etc/passwd')", "embed_everything"),
    ] {
        statements.push((statement.to_owned(), said));
    }
    statements
}

#[tokio::test]
async fn what_is_not_the_sessions_is_refused() {
    let fixture = Fixture::new();
    for session in [fixture.reader(), fixture.writer()] {
        for (sql, said) in hostile(&fixture) {
            let message = message(&session, &sql).await;
            assert!(message.contains(said), "{sql}: {message}");
            assert!(!message.contains(CANARY), "{sql}: {message}");
        }
        assert_eq!(shown(&session, "SHOW TABLES").await.matches(" public ").count(), 0, "something was made");
    }
}

#[tokio::test]
async fn a_session_that_reads_writes_nothing() {
    let fixture = Fixture::new();
    let session = fixture.reader();
    rows(&session, "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'products.csv'").await.unwrap();
    let before = files(fixture.root.path());
    for (sql, said) in [
        ("CREATE TABLE n AS SELECT 1".to_owned(), "CREATE TABLE n"),
        ("CREATE OR REPLACE TABLE t (a INT)".to_owned(), "CREATE TABLE t"),
        ("SELECT 1 AS a INTO n".to_owned(), "CREATE TABLE n"),
        ("COPY (SELECT 1) TO 'new.csv'".to_owned(), "COPY"),
        ("COPY t TO '/etc/new.csv'".to_owned(), "COPY"),
        ("EXPLAIN COPY (SELECT 1) TO 'new.csv'".to_owned(), "COPY"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO 'new.csv'".to_owned(), "COPY"),
        ("INSERT INTO t VALUES (3, 'x')".to_owned(), "INSERT INTO"),
        ("INSERT OVERWRITE t VALUES (3, 'x')".to_owned(), "INSERT OVERWRITE"),
        ("EXPLAIN ANALYZE INSERT INTO t VALUES (3, 'x')".to_owned(), "INSERT INTO"),
        ("PREPARE p AS INSERT INTO t VALUES (3, 'x')".to_owned(), "INSERT INTO"),
        ("DELETE FROM t".to_owned(), "DELETE"),
        ("UPDATE t SET id = 4".to_owned(), "UPDATE"),
        ("CREATE MODEL m FROM 'products.csv'".to_owned(), "CREATE MODEL"),
        ("CREATE MODEL m FROM 'hf:owner/name'".to_owned(), "CREATE MODEL"),
        ("DROP MODEL m".to_owned(), "DROP MODEL"),
        ("DROP MODEL IF EXISTS m".to_owned(), "DROP MODEL"),
        ("SELECT * FROM create_model('m', '/etc')".to_owned(), "CREATE MODEL"),
        ("SELECT (SELECT count(*) FROM drop_model('m', true))".to_owned(), "DROP MODEL"),
        ("WITH c AS (SELECT * FROM drop_model('m', true)) SELECT * FROM c".to_owned(), "DROP MODEL"),
        ("CREATE VIEW v AS SELECT * FROM create_model('m', 'x')".to_owned(), "CREATE MODEL"),
        ("PREPARE p AS SELECT * FROM drop_model('m', true)".to_owned(), "DROP MODEL"),
        ("EXPLAIN ANALYZE SELECT * FROM drop_model('m', true)".to_owned(), "DROP MODEL"),
        ("SELECT * FROM t, LATERAL (SELECT * FROM drop_model('m', true))".to_owned(), "DROP MODEL"),
        (format!("SELECT * FROM {TRAINING}"), "finetune"),
        (format!("CALL {TRAINING}"), "finetune"),
        ("SELECT * FROM evaluate(model => 'm')".to_owned(), "evaluate"),
        (format!("EXPLAIN ANALYZE SELECT * FROM {TRAINING}"), "finetune"),
        (format!("SELECT 1 WHERE EXISTS (SELECT 1 FROM {TRAINING})"), "finetune"),
        (format!("SELECT * FROM {REFRESH}"), "refresh"),
        (format!("CALL {REFRESH}"), "refresh"),
        (format!("EXPLAIN SELECT * FROM {REFRESH}"), "refresh"),
        (format!("EXPLAIN ANALYZE SELECT * FROM {REFRESH}"), "refresh"),
        (format!("SELECT (SELECT rows FROM {REFRESH})"), "refresh"),
        (format!("CREATE VIEW v AS SELECT * FROM {REFRESH}"), "refresh"),
        (format!("PREPARE p AS SELECT * FROM {REFRESH}"), "refresh"),
        (format!("WITH c AS (SELECT * FROM {TRAINING}) SELECT * FROM c"), "finetune"),
        (format!("CREATE VIEW v AS SELECT * FROM {TRAINING}"), "finetune"),
        (format!("PREPARE p AS SELECT * FROM {TRAINING}"), "finetune"),
    ] {
        let message = message(&session, &sql).await;
        assert!(message.contains(&format!("{said} {READS}")), "{sql}: {message}");
    }
    assert_eq!(files(fixture.root.path()), before);

    // Nor where DataFusion's context is asked behind the session's back.
    for sql in ["COPY (SELECT 1) TO 'new.csv'", "INSERT INTO t VALUES (3, 'x')"] {
        let message = session.context().sql(sql).await.unwrap().collect().await.unwrap_err().to_string();
        assert!(message.contains(READS), "{sql}: {message}");
    }
    let message = session.context().sql(&format!("SELECT * FROM {TRAINING}")).await.unwrap_err().to_string();
    assert!(message.contains(READS), "{message}");
}

#[tokio::test]
async fn outside_and_not_there_are_told_by_one_message() {
    let fixture = Fixture::new();
    let session = fixture.reader();
    for (there, not_there) in [
        ("outside/canary.csv", "outside/absent.csv"),
        ("served/away/canary.csv", "served/away/absent.csv"),
        ("served/away.csv", "served/none.csv"),
        ("outside", "nothere"),
    ] {
        let (there, not_there) = (fixture.text(there), fixture.text(not_there));
        for sql in [
            "SELECT * FROM '?'",
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '?'",
            "SELECT * FROM vector_search('?', 'x', 1)",
        ] {
            let first = message(&session, &sql.replace('?', &there)).await;
            let second = message(&session, &sql.replace('?', &not_there)).await;
            assert_eq!(first.replace(&there, "FILE"), second.replace(&not_there, "FILE"), "{sql}");
        }
    }
    // A folder of the process is no hint.
    let message = message(&session, "SELECT * FROM src").await;
    assert!(!message.contains("./src"), "{message}");
}

#[tokio::test]
async fn what_tools_send_is_allowed() {
    let fixture = Fixture::new();
    let served = fixture.text("served");
    for session in [fixture.reader(), fixture.writer()] {
        for sql in [
            "SELECT 1",
            "SELECT version()",
            "SELECT * FROM 'products.csv'",
            "SELECT * FROM './products.csv'",
            "SELECT * FROM 'same.csv'",
            "SELECT * FROM '*.csv' LIMIT 1",
            &format!("SELECT * FROM '{served}/products.csv'"),
            &format!("SELECT * FROM 'file://{served}/products.csv'"),
            "SELECT * FROM 'sales/../products.csv'",
            "DESCRIBE 'products.csv'",
            "CREATE EXTERNAL TABLE products STORED AS CSV LOCATION 'products.csv' OPTIONS ('format.has_header' 'true')",
            "CREATE EXTERNAL TABLE sales STORED AS CSV PARTITIONED BY (year) LOCATION 'sales/' OPTIONS ('has_header' 'true')",
            "SELECT sum(id), year FROM sales GROUP BY year",
            "CREATE VIEW recent AS SELECT * FROM sales WHERE year = '2026'",
            "CREATE OR REPLACE VIEW recent AS SELECT * FROM sales WHERE year > '2025'",
            "CREATE VIEW \"a.b\" AS SELECT 1",
            "SELECT * FROM \"a.b\"",
            "SELECT * FROM recent r JOIN products p ON p.id = r.id",
            "EXPLAIN SELECT * FROM recent",
            "EXPLAIN ANALYZE SELECT * FROM recent",
            "EXPLAIN FORMAT TREE SELECT 1",
            "SHOW TABLES",
            "SHOW COLUMNS FROM products",
            "SHOW ALL",
            "SHOW datafusion.execution.time_zone",
            "SHOW FUNCTIONS",
            "SHOW CREATE TABLE recent",
            "DESCRIBE products",
            "SELECT * FROM information_schema.columns WHERE table_schema = 'public'",
            "SELECT * FROM information_schema.tables",
            "SELECT * FROM information_schema.df_settings",
            "SHOW MODELS",
            "SELECT * FROM debut.models",
            "SELECT * FROM debut.training_runs",
            "SELECT * FROM debut.jobs",
            "SET TIME ZONE = '+02:00'",
            "SET datafusion.execution.batch_size = 1024",
            "SET datafusion.execution.target_partitions = 4",
            "SET datafusion.optimizer.prefer_hash_join = false",
            "SET datafusion.sql_parser.dialect = 'postgresql'",
            "RESET datafusion.execution.batch_size",
            "SET debut.model = 'other'",
            "PREPARE p (INT) AS SELECT * FROM products WHERE id = $1",
            "EXECUTE p (1)",
            "DEALLOCATE p",
            "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT * FROM n",
            "VALUES (1, 'a'), (2, 'b')",
            "SELECT * FROM generate_series(1, 3)",
            "SELECT a.id FROM products a WHERE EXISTS (SELECT 1 FROM products b WHERE b.id = a.id) ORDER BY 1 LIMIT 1",
            "CREATE SCHEMA s",
            "CREATE VIEW s.v AS SELECT 1",
            "DROP SCHEMA s CASCADE",
            "DROP VIEW recent",
            "DROP TABLE products",
            "DROP TABLE IF EXISTS products",
        ] {
            rows(&session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        // Each statement is a transaction of its own: who serves the session answers these, and the access lets them pass.
        for sql in ["START TRANSACTION READ ONLY", "COMMIT", "ROLLBACK"] {
            session.plan(session.statements(sql).unwrap().remove(0)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_listing_leaves_out_what_links_lead_to() {
    let fixture = Fixture::new();
    let session = fixture.reader();
    let sales =
        "CREATE EXTERNAL TABLE s STORED AS CSV PARTITIONED BY (year) LOCATION 'sales/' OPTIONS ('has_header' 'true')";
    rows(&session, sales).await.unwrap();
    let found = shown(&session, "SELECT * FROM s ORDER BY year, id").await;
    assert!(
        found.contains("2025") && found.contains("2026") && !found.contains("2027") && !found.contains(CANARY),
        "{found}"
    );
    // Of the files that end in .csv, two lead outside or nowhere, and two are one.
    assert_eq!(count(&session, "SELECT * FROM '*.csv'").await, 4);
}

#[tokio::test]
async fn a_session_that_writes_does_so_where_it_is_served() {
    let fixture = Fixture::new();
    let session = fixture.writer();
    rows(&session, "COPY (SELECT 7 AS id) TO 'new/a.csv'").await.unwrap();
    assert_eq!(fs::read_to_string(fixture.path("served/new/a.csv")).unwrap(), "id\n7\n");
    let table = "CREATE EXTERNAL TABLE t (id INT) STORED AS PARQUET LOCATION 'later/'";
    rows(&session, &format!("{table}; INSERT INTO t VALUES (1), (2); COPY t TO 'parts/' STORED AS PARQUET"))
        .await
        .unwrap();
    assert_eq!(count(&session, "SELECT * FROM t").await, 2);
    assert_eq!(count(&session, "SELECT * FROM 'parts/'").await, 2);

    assert_eq!(count(&session, &format!("SELECT * FROM {REFRESH}")).await, 1);
    assert_eq!(count(&session, "SELECT * FROM './vectors'").await, 1);
    assert_eq!(count(&session, "SELECT * FROM 'vectors/*.parquet'").await, 1);
    for sql in ["COPY (SELECT 1) TO 'vectors/' STORED AS PARQUET", "COPY (SELECT 1) TO './.vectors.refresh/x.csv'"] {
        let message = message(&session, sql).await;
        assert!(message.contains("only refresh(...) writes there"), "{sql}: {message}");
    }

    let before = files(fixture.root.path());
    for location in [
        "/etc/new",
        "../outside/new",
        "away/new",
        "s3://bucket/new",
        "../new",
        "../",
        "..",
        "/",
        "file:///etc/new",
        "*",
    ] {
        let sql = format!("SELECT * FROM refresh(source => (SELECT 1 AS id), target => '{location}', key => 'id')");
        let message = message(&session, &sql).await;
        let refusals = [OUTSIDE, "names no folder that could be written", "is no folder on a local disk"];
        assert!(refusals.iter().any(|refusal| message.contains(refusal)), "{location}: {message}");
    }
    // A link that leads away is not followed.
    let away = format!("SELECT * FROM {}", REFRESH.replace("'vectors'", "'away'"));
    assert!(message(&session, &away).await.contains("was not made by refresh"));
    for location in [
        "/etc/new.csv",
        "../outside/new.csv",
        "away/new.csv",
        "away.csv",
        "nowhere.csv",
        "s3://bucket/new.csv",
        "../new.csv",
    ] {
        for sql in ["COPY (SELECT 1) TO '?'", "EXPLAIN ANALYZE COPY (SELECT 1) TO '?'"] {
            let message = message(&session, &sql.replace('?', location)).await;
            assert!(message.contains(OUTSIDE), "{location}: {message}");
        }
    }
    assert_eq!(files(fixture.root.path()), before);
}

#[tokio::test]
async fn a_model_is_made_of_served_files() {
    let fixture = Fixture::new();
    let session = fixture.writer();
    let source = support::repository("tests/reference/models/bert-mean-normalize");
    for folder in ["served/model", "outside/model", "served/linked"] {
        fs::create_dir_all(fixture.path(folder)).unwrap();
    }
    for entry in fs::read_dir(&source).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            for folder in ["served/model", "outside/model"] {
                fs::copy(entry.path(), fixture.path(folder).join(entry.file_name())).unwrap();
            }
            let to = fixture.path("outside/model").join(entry.file_name());
            std::os::unix::fs::symlink(to, fixture.path("served/linked").join(entry.file_name())).unwrap();
        } else {
            copy_folder(&entry.path(), &fixture.path("served/model").join(entry.file_name()));
        }
    }
    let outside = fixture.text("outside/model");
    for (location, said) in [
        (outside.as_str(), OUTSIDE),
        ("../outside/model", OUTSIDE),
        ("away/model", OUTSIDE),
        ("hf:owner/name", OUTSIDE),
        ("absent", OUTSIDE),
        ("linked", "whose files are not all in what is served"),
    ] {
        for sql in [
            "CREATE MODEL m FROM '?'",
            "SELECT * FROM create_model('m', '?')",
            "EXPLAIN SELECT * FROM create_model('m', '?')",
        ] {
            let message = message(&session, &sql.replace('?', location)).await;
            assert!(message.contains(said), "{sql} {location}: {message}");
        }
    }
    // A graph at the top of what is served would have its tokenizer looked for above.
    fs::write(fixture.path("served/model.onnx"), "").unwrap();
    let message = message(&session, "CREATE MODEL m FROM 'model.onnx'").await;
    assert!(message.contains("whose files are not all in what is served"), "{message}");
    assert_eq!(count(&session, "CREATE MODEL m FROM 'model'").await, 1);
    assert_eq!(count(&session, "DROP MODEL m").await, 1);
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn sessions_share_limits_and_no_settings() {
    let fixture = Fixture::with_options(&EngineOptions { memory_limit: Some(1 << 20), ..offline() });
    let (first, second) = (fixture.reader(), fixture.reader());
    rows(&first, "SET debut.model = 'other'; SET datafusion.format.null = 'none'; CREATE VIEW v AS SELECT 1")
        .await
        .unwrap();
    assert!(shown(&first, "SHOW datafusion.format.null").await.contains("none"));
    assert!(!shown(&second, "SHOW datafusion.format.null").await.contains("none"));
    assert!(message(&first, "SELECT embed('a')").await.contains("'other'"));
    assert!(!message(&second, "SELECT embed('a')").await.contains("'other'"));
    assert!(message(&second, "SELECT * FROM v").await.contains("not found"));
    let pools = [&first, &second].map(|session| session.context().runtime_env());
    assert!(std::sync::Arc::ptr_eq(&pools[0].memory_pool, &pools[1].memory_pool));
    assert!(std::sync::Arc::ptr_eq(&pools[0].disk_manager, &pools[1].disk_manager));

    // The file that one session's statement adds is in the other's next answer.
    let writer = fixture.writer();
    let sales = "CREATE EXTERNAL TABLE s STORED AS CSV LOCATION 'sales/' OPTIONS ('has_header' 'true')";
    for session in [&first, &second] {
        rows(session, sales).await.unwrap();
        assert_eq!(count(session, "SELECT * FROM s").await, 3);
    }
    rows(&writer, "COPY (SELECT 9 AS id) TO 'sales/year=2026/b.csv'").await.unwrap();
    assert_eq!(count(&second, "SELECT * FROM s").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn spilling_has_an_end() {
    let sort = "SET datafusion.execution.target_partitions = 1; \
                SELECT value % 1000 AS k, repeat('x', 200) || value AS t FROM generate_series(1, 200000) ORDER BY t";
    let options = EngineOptions { memory_limit: Some(20 << 20), spill_limit: Some(1 << 20), ..offline() };
    let fixture = Fixture::with_options(&options);
    let message = message(&fixture.reader(), sort).await;
    assert!(message.contains("disk") && message.contains("exceeded"), "{message}");
    let fixture = Fixture::with_options(&EngineOptions { memory_limit: Some(20 << 20), ..offline() });
    assert_eq!(count(&fixture.reader(), sort).await, 200_000);
    let limit = fixture.reader().context().runtime_env().disk_manager.max_temp_directory_size();
    assert_eq!(limit, debut::engine::SERVED_SPILL_LIMIT);
}

#[tokio::test]
async fn no_folders_no_files() {
    let fixture = Fixture::new();
    let session = fixture.engine.session(&Access::served(&[] as &[PathBuf], true).unwrap()).unwrap();
    assert_eq!(count(&session, "SELECT 1").await, 1);
    for sql in ["SELECT * FROM '/etc/passwd'", "COPY (SELECT 1) TO 'x.csv'", "SELECT * FROM 'Cargo.toml'"] {
        assert!(message(&session, sql).await.contains("this session reads no files"), "{sql}");
    }
}
