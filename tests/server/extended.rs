//! The extended protocol, as drivers speak it: prepared statements, parameters, portals.

use futures::TryStreamExt;
use tokio_postgres::types::Type;

use crate::*;

#[tokio::test]
async fn parameters_are_values_and_never_sql() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    client.simple_query("CREATE VIEW t AS VALUES ('a', 1), ('b', 2)").await.unwrap();
    let evil = "a'; DROP TABLE t; --";
    assert_eq!(client.query("SELECT * FROM t WHERE column1 = $1", &[&evil]).await.unwrap().len(), 0);
    let row = client.query_one("SELECT $1, length($1), $2 + 1", &[&evil, &41_i64]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, i32>(1), row.get::<_, i64>(2)), (evil, 20, 42));
    let row = client
        .query_one("SELECT column2 FROM t WHERE column1 = $1 AND column2 >= $2 LIMIT $3", &[&"b", &2_i64, &1_i64]);
    assert_eq!(row.await.unwrap().get::<_, i64>(0), 2);
}

#[tokio::test]
async fn types_are_found_where_the_client_gives_none() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    let prepared =
        client.prepare("SELECT value AS v FROM generate_series(1, 10) WHERE value > $1 AND $2 = 'x'").await.unwrap();
    assert_eq!(prepared.params(), [Type::INT8, Type::TEXT]);
    assert_eq!((prepared.columns()[0].name(), prepared.columns()[0].type_()), ("v", &Type::INT8));
    let prepared = client.prepare("SELECT CAST($1 AS DOUBLE), $2::date").await.unwrap();
    assert_eq!(prepared.params(), [Type::FLOAT8, Type::DATE]);
    let typed = client.prepare_typed("SELECT $1", &[Type::INT4]).await.unwrap();
    assert_eq!(client.query_one(&typed, &[&7_i32]).await.unwrap().get::<_, i32>(0), 7);
    assert_eq!(client.query_one(&typed, &[&None::<i32>]).await.unwrap().get::<_, Option<i32>>(0), None);
    assert_eq!(told(&client.prepare("SELECT $0").await.unwrap_err()).0, "42P02");
    assert_eq!(told(&client.prepare("SELECT 1; SELECT 2").await.unwrap_err()).0, "42601");
}

#[tokio::test]
async fn what_the_engine_must_see_can_be_a_parameter() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    let sql = "SELECT count(*) FROM generate_series(1, $1)";
    let counted = client.prepare_typed(sql, &[Type::INT8]).await.unwrap();
    for count in [3_i64, 5] {
        assert_eq!(client.query_one(&counted, &[&count]).await.unwrap().get::<_, i64>(0), count);
    }
    // Beside such a parameter, another has the type that the statement converts it to.
    let sql =
        "SELECT count(*) FROM generate_series(1, $1) WHERE value > CAST($2 AS BIGINT) AND $3::date > '2026-01-01'";
    let prepared = client.prepare_typed(sql, &[Type::INT8]).await.unwrap();
    assert_eq!(prepared.params(), [Type::INT8, Type::INT8, Type::DATE]);
    let counted = client.prepare_typed(sql, &[Type::INT8, Type::INT8, Type::TEXT]).await.unwrap();
    let counted = client.query_one(&counted, &[&9_i64, &5_i64, &"2026-02-01"]).await.unwrap();
    assert_eq!(counted.get::<_, i64>(0), 4);
    client
        .simple_query("CREATE VIEW v AS SELECT 1 AS id, arrow_cast([1.0, 2.0], 'FixedSizeList(2, Float32)') AS vector")
        .await
        .unwrap();
    let row = client.query_one("SELECT l2_distance(vector, $1) FROM v", &[&vec![1.0_f32, 0.0]]).await.unwrap();
    assert!((row.get::<_, f32>(0) - 2.0).abs() < 1e-6);
}

#[tokio::test]
async fn the_query_of_a_score_is_a_text() {
    let home = support::small_home();
    let server = Server::in_home(home.path(), &[]);
    let client = server.connect().await;
    client.simple_query("SET debut.model = 'small'; CREATE VIEW v AS SELECT embed('a mug') AS vector").await.unwrap();
    let prepared = client.prepare("SELECT score($1, vector) FROM v").await.unwrap();
    assert_eq!(prepared.params(), [Type::TEXT]);
    assert!(client.query_one(&prepared, &[&"a mug"]).await.unwrap().get::<_, f32>(0) > 0.99);
}

#[tokio::test]
async fn portals_give_as_many_rows_as_are_asked_for() {
    let server = Server::start(&[]);
    let mut client = server.connect().await;
    let transaction = client.transaction().await.unwrap();
    let sql = "SELECT value FROM generate_series(1, 9) WHERE value <= $1";
    let portal = transaction.bind(sql, &[&5_i64]).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let rows = transaction.query_portal(&portal, 2).await.unwrap();
        seen.push(rows.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>());
    }
    assert_eq!(seen, [vec![1, 2], vec![3, 4], vec![5], vec![]]);
    transaction.commit().await.unwrap();
    // As psycopg's named cursors: the query has values, and the fetch has a format.
    let transaction = client.transaction().await.unwrap();
    transaction
        .execute("DECLARE c CURSOR FOR SELECT value FROM generate_series(1, 9) WHERE value > $1", &[&6_i64])
        .await
        .unwrap();
    let rows = transaction.query("FETCH FORWARD 2 FROM c", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>(), [7, 8]);
    transaction.rollback().await.unwrap();
}

#[tokio::test]
async fn an_error_is_passed_over_until_the_next_sync() {
    let server = Server::start(&[]);
    let mut socket = server.socket();
    socket.write_all(&startup("ada")).unwrap();
    read_until(&mut socket, b'Z');
    let parse = |sql: &str| message(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"].concat());
    let execute = [message(b'B', b"\0\0\0\0\0\0\0\0"), message(b'E', b"\0\0\0\0\0")].concat();
    let sync = message(b'S', b"");
    let all =
        [parse("SELECT nothing"), execute.clone(), parse("SELECT 1"), sync.clone(), parse("SELECT 1"), execute, sync];
    socket.write_all(&all.concat()).unwrap();
    let kinds = |messages: Vec<(u8, Vec<u8>)>| messages.iter().map(|(kind, _)| char::from(*kind)).collect::<String>();
    assert_eq!(kinds(read_until(&mut socket, b'Z')), "EZ");
    assert_eq!(kinds(read_until(&mut socket, b'Z')), "12DCZ");
    // Who waits for an error after a Flush is told.
    socket.write_all(&[parse("SELECT nothing"), message(b'H', b"")].concat()).unwrap();
    read_until(&mut socket, b'E');
    socket.write_all(&message(b'S', b"")).unwrap();
    assert_eq!(kinds(read_until(&mut socket, b'Z')), "Z");
    // What is not there.
    for (missing, code) in [
        (message(b'B', b"\0none\0\0\0\0\0\0\0"), "26000"),
        (message(b'D', b"Pnone\0"), "34000"),
        (message(b'E', b"none\0\0\0\0\0"), "34000"),
        (message(b'B', b"\0\0\0\0\0\x01\0\0\0\x011\0\0"), "08P01"),
    ] {
        socket.write_all(&[missing, message(b'S', b"")].concat()).unwrap();
        let answer = read_until(&mut socket, b'Z');
        assert_eq!(field(&answer[0], b'C'), code);
    }
}

#[tokio::test]
async fn statements_are_kept_until_they_are_given_up() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    let prepared = client.prepare("SELECT 1").await.unwrap();
    assert_eq!(client.query(&prepared, &[]).await.unwrap().len(), 1);
    client.simple_query("DEALLOCATE ALL").await.unwrap();
    assert_eq!(told(&client.query(&prepared, &[]).await.unwrap_err()).0, "26000");
    client.simple_query("PREPARE p(BIGINT) AS SELECT $1 + 1").await.unwrap();
    assert_eq!(rows(&client, "EXECUTE p(2)").await, ["3"]);
    client.simple_query("DEALLOCATE p").await.unwrap();
    assert_eq!(code(&client, "DEALLOCATE p").await, "26000");
    assert_eq!(client.query("SHOW server_version", &[]).await.unwrap()[0].get::<_, &str>(0), "16.6");
    assert_eq!(client.execute("SET work_mem = '1MB'", &[]).await.unwrap(), 0);
}

#[tokio::test]
async fn rows_stream_and_a_reader_can_stop() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    let sql = "SELECT value FROM generate_series(1, 1000000000000)";
    let stream = client.query_raw(sql, std::iter::empty::<i32>()).await.unwrap();
    let mut stream = std::pin::pin!(stream);
    for expected in 1..=1000_i64 {
        assert_eq!(stream.try_next().await.unwrap().unwrap().get::<_, i64>(0), expected);
    }
    client.cancel_token().cancel_query(NoTls).await.unwrap();
    let ended = loop {
        match stream.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it has an end"),
            Err(error) => break error,
        }
    };
    assert_eq!(told(&ended).0, "57014");
    assert_eq!(rows(&client, "SELECT 1").await, ["1"]);
}
