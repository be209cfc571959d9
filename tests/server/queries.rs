//! The simple protocol: texts of statements, their results, and what goes wrong.

use std::time::Instant;

use tokio_postgres::SimpleQueryMessage;

use crate::*;

#[tokio::test]
async fn several_statements_in_one_text() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    let sql = "CREATE VIEW t AS SELECT 1 AS a; ; SELECT a, 'é;' AS b FROM t; -- ;\n SELECT NULL WHERE false; EXPLAIN SELECT 1";
    let messages = client.simple_query(sql).await.unwrap();
    let tags: Vec<u64> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::CommandComplete(count) => Some(*count),
            _ => None,
        })
        .collect();
    assert_eq!(tags, [0, 1, 0, 0]);
    assert_eq!(text(&messages)[0], "1|é;");
    assert_eq!(text(&client.simple_query(" ; -- nothing").await.unwrap()), [""; 0]);
}

#[test]
fn an_empty_text_has_an_answer_of_its_own() {
    let server = Server::start(&[]);
    let mut socket = server.socket();
    socket.write_all(&startup("ada")).unwrap();
    read_until(&mut socket, b'Z');
    socket.write_all(&message(b'Q', b";\0")).unwrap();
    let kinds: Vec<u8> = read_until(&mut socket, b'Z').iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, b"IZ");
}

#[tokio::test]
async fn errors_have_codes_and_places_and_the_rest_of_the_text_is_not_run() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    for (sql, expected) in [
        ("SELEC 1", "42601"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT nothing", "42703"),
        ("SELECT no_such_function(1)", "42883"),
        ("SELECT 1 / 0", "22012"),
        ("SELECT CAST('x' AS INT)", "22P02"),
        ("SELECT $1", "42P02"),
        ("SET client_encoding = 'LATIN1'", "22023"),
        ("SET no_such_setting = 1", "42704"),
        ("SET datafusion.runtime.memory_limit = '100G'", "42501"),
        ("RESET datafusion.runtime.memory_limit", "42501"),
        ("FETCH 1 FROM c", "34000"),
        ("COPY t FROM STDIN", "42601"),
    ] {
        let found = code(&client, sql).await;
        assert!(found == expected || (sql.starts_with("COPY") && found.starts_with(['0', '4'])), "{sql}: {found}");
    }
    let error = client.simple_query("SELECT 1;\n SELECT * FROM t WHERE )").await.unwrap_err();
    let position = error.as_db_error().unwrap().position().unwrap();
    assert!(matches!(position, tokio_postgres::error::ErrorPosition::Original(place) if *place > 11), "{position:?}");
    assert!(client.simple_query("SELECT 1 / 0; CREATE VIEW made AS SELECT 1").await.is_err());
    assert_eq!(code(&client, "SELECT * FROM made").await, "42P01");
    assert_eq!(rows(&client, "SELECT 2").await, ["2"]);
}

/// What is said of the session's model, which is nowhere.
async fn model(client: &Client) -> String {
    told(&client.simple_query("SELECT embed('a')").await.unwrap_err()).1
}

#[tokio::test]
async fn settings_are_the_sessions_own() {
    let server = Server::start(&["--offline"]);
    let (one, other) = (server.connect().await, server.connect().await);
    one.simple_query("SET debut.model = 'mine'; SET work_mem = '1MB'; CREATE VIEW t AS SELECT 1").await.unwrap();
    assert!(model(&one).await.contains("'mine'"));
    assert!(model(&other).await.contains("'all-MiniLM-L6-v2'"));
    assert_eq!(rows(&other, "SHOW work_mem").await, ["4MB"]);
    assert_eq!(code(&other, "SELECT * FROM t").await, "42P01");
    one.simple_query("RESET ALL").await.unwrap();
    assert!(model(&one).await.contains("'all-MiniLM-L6-v2'"));
    one.simple_query("DISCARD ALL").await.unwrap();
    assert_eq!(code(&one, "SELECT * FROM t").await, "42P01");
}

#[tokio::test]
async fn a_client_begins_with_settings() {
    let server = Server::start(&["--offline"]);
    let mut config = server.config();
    config.application_name("walk").options("-c statement_timeout=5s -c debut.model=mine");
    let client = connect(&config).await.unwrap();
    assert_eq!(rows(&client, "SHOW application_name").await, ["walk"]);
    assert_eq!(rows(&client, "SHOW statement_timeout").await, ["5000"]);
    assert!(model(&client).await.contains("'mine'"));
    config.options("-c debut.nothing=1");
    assert!(connect(&config).await.is_err());
}

#[tokio::test]
async fn transactions_have_their_states() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    client.simple_query("BEGIN ISOLATION LEVEL SERIALIZABLE; SET LOCAL work_mem = '9MB'").await.unwrap();
    assert_eq!(rows(&client, "SHOW work_mem").await, ["9MB"]);
    assert_eq!(code(&client, "SELECT 1 / 0").await, "22012");
    for refused in ["SELECT 1", "BEGIN", "SHOW work_mem"] {
        assert_eq!(code(&client, refused).await, "25P02", "{refused}");
    }
    client.simple_query("ROLLBACK").await.unwrap();
    assert_eq!(rows(&client, "SHOW work_mem").await, ["4MB"]);
    client.simple_query("BEGIN; SAVEPOINT a").await.unwrap();
    assert_eq!(code(&client, "SELECT nothing").await, "42703");
    client.simple_query("ROLLBACK TO SAVEPOINT a").await.unwrap();
    assert_eq!(rows(&client, "SELECT 1").await, ["1"]);
    client.simple_query("COMMIT").await.unwrap();
}

#[tokio::test]
async fn cursors_give_rows_as_they_are_asked_for() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    assert_eq!(code(&client, "DECLARE c CURSOR FOR SELECT 1").await, "25P01");
    client
        .simple_query("BEGIN; DECLARE c NO SCROLL CURSOR FOR SELECT value FROM generate_series(1, 100000000)")
        .await
        .unwrap();
    assert_eq!(rows(&client, "FETCH 2 FROM c").await, ["1", "2"]);
    client.simple_query("MOVE 10000 FROM c").await.unwrap();
    assert_eq!(rows(&client, "FETCH NEXT FROM c").await, ["10003"]);
    client.simple_query("DECLARE d CURSOR FOR SELECT 7").await.unwrap();
    assert_eq!(rows(&client, "FETCH ALL FROM d").await, ["7"]);
    assert_eq!(rows(&client, "FETCH ALL FROM d").await, [""; 0]);
    assert_eq!(rows(&client, "CLOSE d; FETCH 1 FROM c").await, ["10004"]);
    client.simple_query("COMMIT").await.unwrap();
    assert_eq!(code(&client, "FETCH 1 FROM c").await, "34000");
    client.simple_query("DECLARE held CURSOR WITH HOLD FOR SELECT 5").await.unwrap();
    assert_eq!(rows(&client, "FETCH 1 FROM held").await, ["5"]);
}

/// Whether the server computes nothing for a while.
async fn rests(server: &Server) -> bool {
    let before = server.computed();
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.computed() < before + Duration::from_millis(200)
}

#[tokio::test]
async fn a_cancelled_statement_ends_and_the_session_goes_on() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    let cancel = client.cancel_token();
    let begun = Instant::now();
    let (ran, _) = tokio::join!(client.simple_query(LONG), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cancel.cancel_query(NoTls).await.unwrap();
    });
    assert_eq!(told(&ran.unwrap_err()), ("57014".into(), "canceling statement due to user request".into()));
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(rows(&client, "SELECT 1").await, ["1"]);
    assert!(rests(&server).await);
}

#[tokio::test]
async fn a_statement_has_its_time_and_so_have_its_rows() {
    let server = Server::start(&["--statement-timeout", "2s"]);
    let client = server.connect().await;
    assert_eq!(code(&client, LONG).await, "57014");
    client.simple_query("SET statement_timeout = 300").await.unwrap();
    let begun = Instant::now();
    assert_eq!(code(&client, LONG).await, "57014");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // Rows that come for ever end, too.
    assert_eq!(code(&client, "SELECT value FROM generate_series(1, 1000000000000)").await, "57014");
    client.simple_query("SET statement_timeout = 0").await.unwrap();
    assert_eq!(rows(&client, "SHOW statement_timeout").await, ["2000"]);
    assert!(rests(&server).await);
}

#[tokio::test]
async fn who_goes_away_leaves_nothing_that_computes() {
    let server = Server::start(&[]);
    // Scans, and joins that make many rows of few: those whose filter keeps none give nothing for minutes.
    for sql in [
        LONG,
        "SELECT value FROM generate_series(1, 1000000000000)",
        "SELECT count(*) FROM generate_series(1, 1000000) a(v) JOIN generate_series(1, 1000000) b(v) ON a.v % 2 = b.v % 2",
        "SELECT count(*) FROM generate_series(1, 1000000) a(v) JOIN generate_series(1, 1000000) b(v)
         ON a.v % 2 = b.v % 2 AND a.v * 3 + b.v < 0",
        "SELECT count(*) FROM generate_series(1, 1000000) a(v) LEFT JOIN generate_series(1, 1000000) b(v)
         ON a.v % 2 = b.v % 2 AND a.v * 3 + b.v < 0",
        "SELECT count(*) FROM generate_series(1, 1000000) a(v) JOIN generate_series(1, 1000000) b(v) ON a.v + b.v < 0",
        "SELECT count(*) FROM generate_series(1, 1000000) a(v), generate_series(1, 1000000) b(v) WHERE sin(a.v + b.v) > 2",
        "SELECT count(*) FROM (SELECT unnest(range(1, 1000)) FROM generate_series(1, 1000000000))",
        // What reads everything first: each batch takes long, and none is given.
        "SELECT v FROM generate_series(1, 1000000000) a(v) ORDER BY sin(v) LIMIT 1000000",
        "SELECT array_length(array_agg(v ORDER BY sin(v))) FROM generate_series(1, 10000000) a(v)",
    ] {
        let mut socket = server.socket();
        socket.write_all(&startup("ada")).unwrap();
        read_until(&mut socket, b'Z');
        let before = server.computed();
        socket.write_all(&message(b'Q', format!("{sql}\0").as_bytes())).unwrap();
        let begun = Instant::now();
        while server.computed() < before + Duration::from_millis(100) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(begun.elapsed() < PATIENCE, "{sql} does not run");
        }
        drop(socket);
        let begun = Instant::now();
        let mut computed = server.computed();
        // A hundred milliseconds in which nothing is computed, soon.
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = server.computed();
            if now.saturating_sub(computed) <= Duration::from_millis(10) {
                break;
            }
            computed = now;
            assert!(begun.elapsed() < Duration::from_secs(3), "{sql} goes on");
        }
    }
}
