//! Arrow Flight SQL as its clients meet it: sessions, results, parameters, lists of tables, and those who may not.

use std::sync::Arc;
use std::time::Instant;

use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, SqlInfo, XdbcDataType,
};
use arrow_flight::{FlightInfo, Ticket};
use datafusion::arrow::array::{AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Float32Type, Int64Type, Schema, UInt64Type};
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};

use crate::*;

type FlightClient = FlightSqlServiceClient<Channel>;

async fn client(server: &Server) -> FlightClient {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.flight)).unwrap();
    FlightSqlServiceClient::new(endpoint.connect().await.unwrap())
}

async fn read(client: &mut FlightClient, info: FlightInfo) -> Result<Vec<RecordBatch>, FlightError> {
    let ticket: Ticket = info.endpoint[0].ticket.clone().unwrap();
    let stream = client.do_get(ticket).await?;
    stream.try_collect().await
}

async fn query(client: &mut FlightClient, sql: &str) -> Result<Vec<RecordBatch>, FlightError> {
    let info = client.execute(sql.to_owned(), None).await?;
    read(client, info).await
}

fn one(batches: &[RecordBatch]) -> i64 {
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn results_are_arrow_in_types_that_every_client_reads() {
    let server = Server::start(&[]);
    let mut client = client(&server).await;
    let sql = "SELECT arrow_cast('é', 'Utf8View') AS view, arrow_cast('d', 'Dictionary(Int32, Utf8)') AS word,
               arrow_cast([1.5, 2.5], 'FixedSizeList(2, Float32)') AS vector, CAST(NULL AS BIGINT) AS nothing
               FROM generate_series(1, 20000)";
    let info = client.execute(sql.to_owned(), None).await.unwrap();
    let promised = info.clone().try_decode_schema().unwrap();
    let batches = read(&mut client, info).await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);
    let batch = &batches[0];
    assert_eq!(promised.fields(), batch.schema().fields());
    assert_eq!(batch.column(0).as_string::<i32>().value(7), "é");
    assert_eq!(batch.column(1).as_string::<i32>().value(7), "d");
    let vector = batch.column(2).as_fixed_size_list().value(0);
    assert_eq!(vector.as_primitive::<Float32Type>().values().as_ref(), [1.5, 2.5]);
    assert_eq!(batch.column(3).null_count(), batch.num_rows());
    assert_eq!(
        query(&mut client, "SELECT 1 WHERE false").await.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(),
        0
    );
}

#[tokio::test]
async fn a_session_belongs_to_a_connection() {
    let server = Server::start(&["--offline"]);
    let (mut first, mut second) = (client(&server).await, client(&server).await);
    query(&mut first, "SET debut.model = 'shop'").await.unwrap();
    query(&mut first, "CREATE VIEW v AS SELECT 7 AS n").await.unwrap();
    let mut models = Vec::new();
    for client in [&mut first, &mut second] {
        models.push(query(client, "SELECT embed('a')").await.unwrap_err().to_string());
    }
    assert!(models[0].contains("'shop'") && models[1].contains("'all-MiniLM-L6-v2'"), "{models:?}");
    assert_eq!(one(&query(&mut first, "SELECT n FROM v").await.unwrap()), 7);
    let error = query(&mut second, "SELECT n FROM v").await.unwrap_err().to_string();
    assert!(error.contains("there is no table 'v'"), "{error}");
}

#[tokio::test]
async fn parameters_are_values_whatever_is_in_them() {
    let server = Server::start(&[]);
    let mut client = client(&server).await;
    let mut prepared = client.prepare("SELECT ? AS text, CAST(? AS BIGINT) + 1 AS n".to_owned(), None).await.unwrap();
    assert_eq!(prepared.parameter_schema().unwrap().fields().len(), 2);
    let hostile = "'; DROP VIEW v; -- $1 ?";
    let schema =
        Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8, true), Field::new("b", DataType::Int64, true)]));
    let values = RecordBatch::try_new(
        schema,
        vec![
            Arc::new(StringArray::from(vec![hostile])),
            Arc::new(datafusion::arrow::array::Int64Array::from(vec![41])),
        ],
    );
    prepared.set_parameters(values.unwrap()).unwrap();
    let info = prepared.execute().await.unwrap();
    let batches = read(&mut client, info).await.unwrap();
    assert_eq!(batches[0].column(0).as_string::<i32>().value(0), hostile);
    assert_eq!(batches[0].column(1).as_primitive::<Int64Type>().value(0), 42);
    let error = prepared.execute().await;
    assert!(error.is_ok(), "what was bound stays bound");
    prepared.close().await.unwrap();
    let error = client.prepare("SELECT ?, $1".to_owned(), None).await.unwrap_err().to_string();
    assert!(error.contains("either all ?"), "{error}");
}

#[tokio::test]
async fn the_types_of_parameters_are_found() {
    let server = Server::start(&[]);
    let mut client = client(&server).await;
    query(
        &mut client,
        "CREATE VIEW v AS SELECT arrow_cast([1, 0], 'FixedSizeList(2, Float32)') AS vector, 'a' AS name",
    )
    .await
    .unwrap();
    let sql = "SELECT cosine_distance(vector, ?) AS distance FROM v WHERE name = ? AND CAST(? AS DOUBLE) < 1 LIMIT ?";
    let prepared = client.prepare(sql.to_owned(), None).await.unwrap();
    let types: Vec<_> =
        prepared.parameter_schema().unwrap().fields().iter().map(|field| field.data_type().clone()).collect();
    let vector = DataType::new_fixed_size_list(DataType::Float32, 2, true);
    assert_eq!(types, [vector, DataType::Utf8, DataType::Float64, DataType::Int64]);
    assert_eq!(prepared.dataset_schema().unwrap().field(0).name(), "distance");
    // What it says, it takes.
    let mut prepared = prepared;
    let vector = datafusion::common::ScalarValue::FixedSizeList(Arc::new(
        datafusion::arrow::array::FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
            [Some([Some(0.0), Some(1.0)])],
            2,
        ),
    ));
    let values = RecordBatch::try_from_iter([
        ("$1", vector.to_array().unwrap()),
        ("$2", Arc::new(StringArray::from(vec!["a"])) as _),
        ("$3", Arc::new(datafusion::arrow::array::Float64Array::from(vec![0.5])) as _),
        ("$4", Arc::new(datafusion::arrow::array::Int64Array::from(vec![1])) as _),
    ]);
    prepared.set_parameters(values.unwrap()).unwrap();
    let info = prepared.execute().await.unwrap();
    let rows = read(&mut client, info).await.unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_strangers_take_no_place() {
    let server = Server::with_users(&["--max-connections", "2"]);
    let strangers: Vec<_> = (0..4).map(|_| std::net::TcpStream::connect(server.flight).unwrap()).collect();
    let mut first = client(&server).await;
    first.handshake("ada", "pass wörd").await.unwrap();
    let mut second = client(&server).await;
    second.handshake("ada", "pass wörd").await.unwrap();
    let mut third = client(&server).await;
    let error = third.handshake("ada", "pass wörd").await.unwrap_err().to_string();
    assert!(error.contains("too many clients already"), "{error}");
    assert_eq!(one(&query(&mut second, "SELECT 1").await.unwrap()), 1);
    drop(first);
    // The place comes back, and the client that was refused gets it.
    let begun = Instant::now();
    while third.handshake("ada", "pass wörd").await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "places are not given back");
    }
    assert_eq!(one(&query(&mut third, "SELECT 1").await.unwrap()), 1);
    drop(strangers);
}

#[tokio::test]
async fn what_does_something_is_done_without_a_second_call() {
    let server = Server::start(&["--read-write"]);
    let mut client = client(&server).await;
    client.execute("CREATE VIEW v AS SELECT 7 AS n".to_owned(), None).await.unwrap();
    assert_eq!(one(&query(&mut client, "SELECT n FROM v").await.unwrap()), 7);
    let copied = client.execute("COPY (SELECT * FROM generate_series(1, 5)) TO 'five.parquet'".to_owned(), None).await;
    assert!(server.path("data/five.parquet").exists());
    let count = read(&mut client, copied.unwrap()).await.unwrap();
    assert_eq!(count[0].column(0).as_primitive::<UInt64Type>().value(0), 5);
    assert_eq!(client.execute_update("COPY (SELECT 1) TO 'one.parquet'".to_owned(), None).await.unwrap(), 1);
    query(&mut client, "PREPARE p AS SELECT count(*) FROM 'five.parquet'").await.unwrap();
    assert_eq!(one(&query(&mut client, "EXECUTE p").await.unwrap()), 5);
}

#[tokio::test]
async fn a_statement_that_nests_too_deep_does_not_end_the_server() {
    let server = Server::start(&[]);
    let mut client = client(&server).await;
    for deep in [format!("SELECT 1{}", " + 1".repeat(100_000)), format!("SELECT {}true", "NOT ".repeat(2_000))] {
        let error = query(&mut client, &deep).await.unwrap_err().to_string();
        assert!(error.contains("deep, and 1500 is the most"), "{error}");
        assert!(client.prepare(deep, None).await.is_err());
    }
    assert_eq!(one(&query(&mut client, &format!("SELECT 1{}", " + 1".repeat(500))).await.unwrap()), 501);
}

#[tokio::test]
async fn tables_are_listed_with_their_columns() {
    let server = Server::start(&[]);
    let mut client = client(&server).await;
    query(&mut client, "CREATE VIEW sold AS SELECT 'a' AS item, 1.5 AS price").await.unwrap();
    let info = client.get_catalogs().await.unwrap();
    let catalogs = read(&mut client, info).await.unwrap();
    assert_eq!(catalogs[0].column(0).as_string::<i32>().value(0), "datafusion");
    let wanted = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: Some("de%".into()) };
    let info = client.get_db_schemas(wanted).await.unwrap();
    let schemas = read(&mut client, info).await.unwrap();
    assert_eq!(schemas[0].column(1).as_string::<i32>().value(0), "debut");
    let wanted = CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: None,
        table_name_filter_pattern: Some("sold".into()),
        table_types: vec!["VIEW".into()],
        include_schema: true,
    };
    let info = client.get_tables(wanted).await.unwrap();
    let tables = read(&mut client, info).await.unwrap();
    assert_eq!(tables.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    assert!(tables[0].column_by_name("table_schema").is_some());
    let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerName]).await.unwrap();
    assert_eq!(read(&mut client, info).await.unwrap()[0].num_rows(), 1);
    let info = client.get_table_types().await.unwrap();
    assert_eq!(read(&mut client, info).await.unwrap()[0].num_rows(), 3);
}

#[tokio::test]
async fn only_who_logs_in_is_served() {
    let server = Server::with_users(&[]);
    let mut stranger = client(&server).await;
    let error = query(&mut stranger, "SELECT 1").await.unwrap_err();
    assert!(error.to_string().contains("log in with a name and a password"), "{error}");
    for (name, password) in [("ada", "wrong"), ("eve", "pass wörd"), ("", "")] {
        let error = stranger.handshake(name, password).await.unwrap_err();
        assert!(error.to_string().contains("the name or the password is wrong"), "{error}");
    }
    stranger.set_token("made up".to_owned());
    assert!(query(&mut stranger, "SELECT 1").await.is_err());
    let mut ada = client(&server).await;
    ada.handshake("ada", "pass wörd").await.unwrap();
    assert_eq!(one(&query(&mut ada, "SELECT 1").await.unwrap()), 1);
    // Who is removed is out at the next call, however well the token was signed.
    let users = server.path("users");
    let mut remove = command(&server.folder);
    let removed = remove.args(["user", "remove", "ada", "--users", users.to_str().unwrap()]).status().unwrap();
    assert!(removed.success());
    assert!(query(&mut ada, "SELECT 1").await.is_err());
}

#[tokio::test]
async fn what_is_not_read_any_more_is_not_computed() {
    let server = Server::start(&[]);
    let mut client = client(&server).await;
    let info = client.execute(format!("SELECT * FROM ({LONG}) UNION ALL SELECT 1"), None).await.unwrap();
    let ticket: Ticket = info.endpoint[0].ticket.clone().unwrap();
    let stream = client.do_get(ticket).await;
    // Whether the first message came or not: whoever listened is gone.
    drop(stream);
    drop(client);
    let begun = Instant::now();
    // It stops computing: two looks at the clock of its threads that show nothing.
    loop {
        let before = server.computed();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        if server.computed() - before < std::time::Duration::from_millis(30) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "it goes on computing");
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_cancelled() {
    let server = Server::start(&["--statement-timeout", "200ms"]);
    let mut client = client(&server).await;
    let error = query(&mut client, LONG).await.unwrap_err().to_string();
    assert!(error.contains("statement-timeout"), "{error}");
    assert_eq!(one(&query(&mut client, "SELECT 1").await.unwrap()), 1);
}

#[tokio::test]
async fn files_outside_what_is_served_are_not_read() {
    let server = Server::start(&[]);
    let mut client = client(&server).await;
    for sql in [
        "SELECT * FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/x.parquet'",
        "CREATE EXTERNAL TABLE p STORED AS CSV LOCATION '/etc/passwd'",
    ] {
        let error = query(&mut client, sql).await.unwrap_err().to_string();
        assert!(
            error.contains("not served") || error.contains("not in what is served") || error.contains("not allowed"),
            "{sql}: {error}"
        );
    }
}

#[tokio::test]
async fn keys_are_listed_as_none_and_types_by_their_names() {
    let server = Server::start(&[]);
    let mut client = client(&server).await;
    let (catalog, db_schema, table) = (None, None, "t".to_string());
    let primary =
        CommandGetPrimaryKeys { catalog: catalog.clone(), db_schema: db_schema.clone(), table: table.clone() };
    let exported =
        CommandGetExportedKeys { catalog: catalog.clone(), db_schema: db_schema.clone(), table: table.clone() };
    let imported = CommandGetImportedKeys { catalog, db_schema, table };
    let crossed = CommandGetCrossReference {
        pk_catalog: None,
        pk_db_schema: None,
        pk_table: "t".to_string(),
        fk_catalog: None,
        fk_db_schema: None,
        fk_table: "u".to_string(),
    };
    let infos = [
        (client.get_primary_keys(primary).await.unwrap(), 6),
        (client.get_exported_keys(exported).await.unwrap(), 13),
        (client.get_imported_keys(imported).await.unwrap(), 13),
        (client.get_cross_reference(crossed).await.unwrap(), 13),
    ];
    for (info, columns) in infos {
        assert_eq!(info.clone().try_decode_schema().unwrap().fields().len(), columns);
        let rows: usize = read(&mut client, info).await.unwrap().iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, 0);
    }
    for (data_type, expected) in [(None, 14), (Some(XdbcDataType::XdbcBigint as i32), 1)] {
        let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type }).await.unwrap();
        let promised = info.clone().try_decode_schema().unwrap();
        let types = read(&mut client, info).await.unwrap();
        assert_eq!((types[0].num_rows(), types[0].schema().fields()), (expected, promised.fields()));
        assert!(types[0].column(0).as_string::<i32>().iter().flatten().any(|name| name == "BIGINT"));
    }
}
