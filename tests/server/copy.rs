//! `COPY ... TO STDOUT`, by which psql's `\copy` and the drivers' copy functions export what they query.

use futures::TryStreamExt;

use crate::*;

async fn copied(client: &Client, sql: &str) -> String {
    let stream = client.copy_out(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let parts: Vec<_> = stream.try_collect().await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    String::from_utf8(parts.concat()).unwrap()
}

#[tokio::test]
async fn rows_are_exported_as_text_and_csv() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    let values = "(VALUES (1, 'a,b', CAST(NULL AS DOUBLE)), (2, E'x\\ty', 1.5), (3, '', 2.0)) AS t (id, name, price)";
    client.simple_query(&format!("CREATE VIEW t AS SELECT * FROM {values}")).await.unwrap();
    assert_eq!(copied(&client, "COPY t TO STDOUT").await, "1\ta,b\t\\N\n2\tx\\ty\t1.5\n3\t\t2\n");
    let csv = "COPY (SELECT * FROM t ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)";
    assert_eq!(copied(&client, csv).await, "id,name,price\n1,\"a,b\",\n2,x\ty,1.5\n3,\"\",2\n");
    assert_eq!(
        copied(&client, "COPY t (name, id) TO STDOUT csv delimiter ';' null 'none'").await,
        "a,b;1\nx\ty;2\n;3\n"
    );
    assert_eq!(copied(&client, "COPY (SELECT 1 WHERE false) TO STDOUT").await, "");
    let vectors = "COPY (SELECT arrow_cast([1.5, 2.5], 'FixedSizeList(2, Float32)')) TO STDOUT csv";
    assert_eq!(copied(&client, vectors).await, "\"{1.5,2.5}\"\n");
    // The catalog is exported like everything else.
    let names = "COPY (SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = 'public') TO STDOUT";
    assert_eq!(copied(&client, names).await, "public\n");
    let many = copied(&client, "COPY (SELECT value FROM generate_series(1, 100000)) TO STDOUT").await;
    assert_eq!((many.lines().count(), many.lines().last()), (100_000, Some("100000")));
}

#[tokio::test]
async fn the_simple_protocol_tells_how_many_rows_there_were() {
    let server = Server::start(&[]);
    let mut socket = server.socket();
    socket.write_all(&startup("ada")).unwrap();
    read_until(&mut socket, b'Z');
    socket.write_all(&message(b'Q', b"COPY (VALUES (1), (2)) TO STDOUT csv header; SELECT 3\0")).unwrap();
    let kinds: Vec<_> = read_until(&mut socket, b'Z').into_iter().collect();
    let of = |kind: u8| kinds.iter().filter(|(it, _)| *it == kind).map(|(_, body)| body.clone()).collect::<Vec<_>>();
    assert_eq!(kinds.iter().map(|(kind, _)| *kind as char).collect::<String>(), "HdddcCTDCZ");
    assert_eq!(of(b'H')[0], [0, 0, 1, 0, 0]);
    assert_eq!(of(b'd')[1..], [b"1\n".to_vec(), b"2\n".to_vec()]);
    assert_eq!(of(b'C')[0], b"COPY 2\0");
    // An error among the rows ends them, and not the session.
    let wrong = "COPY (SELECT 1 / (3 - value) FROM generate_series(1, 5)) TO STDOUT\0";
    socket.write_all(&message(b'Q', wrong.as_bytes())).unwrap();
    let messages = read_until(&mut socket, b'Z');
    assert!(messages.iter().any(|(kind, _)| *kind == b'E') && !messages.iter().any(|(kind, _)| *kind == b'c'));
    socket.write_all(&message(b'Q', b"SELECT 1\0")).unwrap();
    assert!(read_until(&mut socket, b'Z').iter().any(|(kind, _)| *kind == b'D'));
}

#[tokio::test]
async fn what_cannot_be_copied_is_refused() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    client.simple_query("CREATE VIEW t AS SELECT 1 AS a").await.unwrap();
    for (sql, expected) in [
        ("COPY t FROM STDIN", "0A000"),
        ("COPY t TO STDOUT (FORMAT binary)", "0A000"),
        ("COPY none TO STDOUT", "42P01"),
        ("COPY (CREATE VIEW v AS SELECT 1) TO STDOUT", "42601"),
        ("COPY (SELECT 1; SELECT 2) TO STDOUT", "42601"),
        ("COPY (SELECT * FROM '/etc/passwd') TO STDOUT", "42000"),
    ] {
        assert_eq!(code(&client, sql).await, expected, "{sql}");
    }
    assert_eq!(rows(&client, "SELECT a FROM t").await, ["1"]);
}
