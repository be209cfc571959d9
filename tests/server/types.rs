//! Values in text, as PostgreSQL prints them.

use crate::*;

/// A value, as a client that wants text sees it.
async fn value(client: &Client, sql: &str) -> String {
    rows(client, &format!("SELECT {sql} AS v")).await.remove(0)
}

#[tokio::test]
async fn values_are_printed_as_postgresql_prints_them() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    for (sql, expected) in [
        ("true", "t"),
        ("NULL", "~"),
        ("arrow_cast(255, 'UInt8')", "255"),
        ("arrow_cast('18446744073709551615', 'UInt64')", "18446744073709551615"),
        ("arrow_cast(0.1, 'Float32')", "0.1"),
        ("CAST('NaN' AS DOUBLE)", "NaN"),
        ("CAST('-inf' AS DOUBLE)", "-Infinity"),
        ("1e300", "1e300"),
        ("CAST(1.5 AS DOUBLE)", "1.5"),
        ("CAST('-12.340' AS DECIMAL(10, 3))", "-12.340"),
        (
            "CAST('12345678901234567890123456789012345.678' AS DECIMAL(38, 3))",
            "12345678901234567890123456789012345.678",
        ),
        ("arrow_cast('1.5', 'Decimal256(60, 2)')", "1.50"),
        ("arrow_cast('é', 'Utf8View')", "é"),
        ("arrow_cast('d', 'Dictionary(Int32, Utf8)')", "d"),
        ("arrow_cast(x'00ff', 'BinaryView')", "\\x00ff"),
        ("DATE '2026-01-31'", "2026-01-31"),
        ("DATE '0001-01-01'", "0001-01-01"),
        ("TIME '01:02:03.5'", "01:02:03.5"),
        ("TIMESTAMP '2026-01-31 01:02:03.123456789'", "2026-01-31 01:02:03.123456"),
        ("TIMESTAMP '1969-12-31 23:59:59.5'", "1969-12-31 23:59:59.5"),
        ("arrow_cast('2026-01-31T01:02:03+02:00', 'Timestamp(ms, \"+02:00\")')", "2026-01-30 23:02:03+00"),
        ("INTERVAL '1 year 2 months -3 days 4 hours'", "1 year 2 mons -3 days +04:00:00"),
        ("INTERVAL '0 seconds'", "00:00:00"),
        ("arrow_cast(-1500, 'Duration(ms)')", "-00:00:01.5"),
        ("CAST(NULL AS INTERVAL)", "~"),
        ("[1, NULL, 3]", "{1,NULL,3}"),
        ("['a b', 'c', 'null', '', 'q\"\\', NULL]", "{\"a b\",c,\"null\",\"\",\"q\\\"\\\\\",NULL}"),
        ("arrow_cast([1.0, 2.5], 'FixedSizeList(2, Float32)')", "{1,2.5}"),
        ("[[1, 2], NULL]", "[[1,2],null]"),
        ("named_struct('a', 1, 'b', 'x', 'c', NULL)", "{\"a\":1,\"b\":\"x\",\"c\":null}"),
        ("MAP {'k': 1}", "{\"k\":1}"),
    ] {
        assert_eq!(value(&client, sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn vectors_are_arrays_or_pgvectors() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    let vector = "arrow_cast([1.0, -0.5], 'FixedSizeList(2, Float32)')";
    client.simple_query("SET debut.vector_output = 'pgvector'").await.unwrap();
    assert_eq!(value(&client, vector).await, "[1,-0.5]");
    assert_eq!(value(&client, &format!("l2_distance({vector}, [1.0, 0.5])")).await, "1");
    client.simple_query("RESET debut.vector_output").await.unwrap();
    assert_eq!(value(&client, vector).await, "{1,-0.5}");
    assert_eq!(code(&client, "SET debut.vector_output = 'binary'").await, "22023");
}

#[tokio::test]
async fn what_has_no_type_is_an_error_that_names_the_column() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    let far = "SELECT arrow_cast(9223372036854775807, 'Timestamp(s)') AS far";
    assert_eq!(code(&client, far).await, "22008");
    assert_eq!(rows(&client, "SELECT 1").await, ["1"]);
}
