//! Values in binary, both ways: what drivers send and read.

use tokio_postgres::types::{FromSqlOwned, ToSql, Type};

use crate::*;

/// Sends a value as the type of `sql`'s one parameter and reads it back.
async fn echo<T: ToSql + FromSqlOwned + Sync>(client: &Client, pg_type: Type, value: T) -> T {
    let statement = client.prepare_typed("SELECT $1", &[pg_type]).await.unwrap();
    client.query_one(&statement, &[&value]).await.unwrap().get(0)
}

/// Reads a value in binary.
async fn read<T: FromSqlOwned>(client: &Client, sql: &str) -> T {
    client.query_one(&format!("SELECT {sql}"), &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
}

#[tokio::test]
async fn values_come_back_as_they_went() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    assert!(echo(&client, Type::BOOL, true).await);
    assert_eq!(echo(&client, Type::INT2, -7_i16).await, -7);
    assert_eq!(echo(&client, Type::INT4, i32::MIN).await, i32::MIN);
    assert_eq!(echo(&client, Type::INT8, i64::MAX).await, i64::MAX);
    assert_eq!(echo(&client, Type::FLOAT4, f32::MIN_POSITIVE).await, f32::MIN_POSITIVE);
    assert!(echo(&client, Type::FLOAT8, f64::NAN).await.is_nan());
    assert_eq!(echo(&client, Type::TEXT, "é'\"".to_string()).await, "é'\"");
    assert_eq!(echo(&client, Type::BYTEA, vec![0_u8, 255]).await, [0, 255]);
    assert_eq!(echo(&client, Type::INT8, None::<i64>).await, None);
    assert_eq!(echo(&client, Type::FLOAT4_ARRAY, vec![1.5_f32, -0.0]).await, [1.5, -0.0]);
    assert_eq!(echo(&client, Type::TEXT_ARRAY, vec![Some("a".to_string()), None]).await, [Some("a".to_string()), None]);
    assert_eq!(echo(&client, Type::INT4_ARRAY, Vec::<i32>::new()).await, Vec::<i32>::new());
}

#[tokio::test]
async fn what_the_engine_computes_is_read_in_binary() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    assert_eq!(read::<Vec<f32>>(&client, "arrow_cast([1.0, 2.5], 'FixedSizeList(2, Float32)')").await, [1.0, 2.5]);
    assert_eq!(read::<String>(&client, "arrow_cast('d', 'Dictionary(Int32, Utf8View)')").await, "d");
    assert_eq!(read::<i16>(&client, "arrow_cast(200, 'UInt8')").await, 200);
    assert_eq!(read::<i64>(&client, "arrow_cast(4000000000, 'UInt32')").await, 4_000_000_000);
    assert_eq!(read::<Vec<Option<i64>>>(&client, "[1, NULL]").await, [Some(1), None]);
    assert_eq!(read::<Option<i64>>(&client, "CAST(NULL AS BIGINT)").await, None);
    // PostgreSQL's own counts: microseconds and days since 2000.
    let time = read::<std::time::SystemTime>(&client, "TIMESTAMP '2000-01-01 00:00:01'").await;
    assert_eq!(time, std::time::UNIX_EPOCH + Duration::from_secs(946_684_801));
    let zoned =
        read::<std::time::SystemTime>(&client, "arrow_cast('2000-01-01T00:00:01+01:00', 'Timestamp(ms, \"+01:00\")')")
            .await;
    assert_eq!(zoned, std::time::UNIX_EPOCH + Duration::from_secs(946_681_201));
}
