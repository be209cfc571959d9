//! [`super`] through SQL, against a server on the loopback device that answers as S3 and plain HTTP do.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use datafusion::common::Result;

use crate::engine::{Access, Engine, EngineOptions};
use crate::home::Home;
use crate::inference::Models;

const FILE: &str = "id,title\n1,teapot\n2,lamp\n";

/// Answers every path with [`FILE`], but those with "secret" with a refusal, and remembers what was asked, in small letters.
/// Ends with the process.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &seen);
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, seen: &Mutex<Vec<String>>) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    let request: Vec<_> = lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
    let Some(first) = request.first() else { return };
    let range = request.iter().find_map(|line| line.strip_prefix("range: bytes="));
    let (status, head, body) = match range.and_then(|range| range.split_once('-')) {
        _ if first.contains("secret") => ("403 Forbidden", String::new(), ""),
        Some((start, end)) => {
            let start: usize = start.parse().unwrap();
            let end = end.parse::<usize>().map_or(FILE.len(), |end| (end + 1).min(FILE.len()));
            let head = format!("Content-Range: bytes {start}-{}/{}\r\n", end - 1, FILE.len());
            ("206 Partial Content", head, &FILE[start..end])
        }
        None => ("200 OK", String::new(), FILE),
    };
    let body = if first.starts_with("head ") { ("", body.len()) } else { (body, body.len()) };
    seen.lock().unwrap().push(request.join("\n"));
    let date = "Sat, 28 Nov 2026 00:00:00 GMT";
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{head}Content-Length: {}\r\nLast-Modified: {date}\r\nETag: \"1\"\r\nConnection: close\r\n\r\n{}",
        body.1, body.0
    )
    .unwrap();
}

/// The number of rows that the last statement of a script gives.
async fn rows(sql: &str) -> Result<usize> {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(Arc::new(Models::new(Home::at(folder.path()))), &EngineOptions::default())?;
    let session = engine.session(&Access::everything())?;
    let mut rows = 0;
    for statement in session.statements(sql)? {
        rows = session.run(statement).await?.count().await?;
    }
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_read_with_the_keys_of_the_options() {
    let server = Server::start();
    let sql = |more: &str| {
        format!(
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 's3://shop/items.csv' OPTIONS ('format.has_header' 'true',
             'aws.endpoint' 'http://{}', 'aws.allow_http' 'true', 'aws.region' 'eu-west-3'{more}); SELECT id FROM t",
            server.address
        )
    };
    let keys = ", 'aws.access_key_id' 'AKIATEST', 'aws.secret_access_key' 'secret'";
    assert_eq!(rows(&sql(keys)).await.unwrap(), 2);
    let requests = server.requests();
    assert!(!requests.is_empty());
    for request in &requests {
        assert!(request.contains(" /shop/items.csv "), "{request}");
        assert!(request.contains("credential=akiatest/") && request.contains("/eu-west-3/s3/"), "{request}");
    }

    // A public bucket: nothing is signed, and no metadata service is asked for keys.
    assert_eq!(rows(&sql(", 'aws.skip_signature' 'true'")).await.unwrap(), 2);
    let requests = server.requests().split_off(requests.len());
    assert!(!requests.is_empty() && requests.iter().all(|request| !request.contains("authorization")), "{requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_reads_a_url_without_a_table() {
    let server = Server::start();
    let sql = format!("SELECT title FROM 'http://{}/items.csv' WHERE id > 1", server.address);
    assert_eq!(rows(&sql).await.unwrap(), 1);

    let sql = format!("SELECT title FROM 'http://{}/secret.csv'", server.address);
    let error = rows(&sql).await.unwrap_err().to_string();
    assert!(error.contains("/secret.csv'") && error.contains("403"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_from_a_url_and_from_a_bucket() {
    let server = Server::start();
    let same = |path: &str| {
        format!("SELECT 1 FROM (VALUES ('{path}')) AS t(path) WHERE read_file(path) = arrow_cast('{FILE}', 'Binary')")
    };
    let url = |name: &str| format!("http://{}/{name}", server.address);
    assert_eq!(rows(&same(&url("pictures/1.jpg"))).await.unwrap(), 1);

    // The bucket of a table is known to the session, with its keys.
    let table = format!(
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 's3://shop/items.csv' OPTIONS ('format.has_header' 'true',
         'aws.endpoint' 'http://{}', 'aws.allow_http' 'true', 'aws.region' 'eu-west-3', 'aws.skip_signature' 'true'); ",
        server.address
    );
    assert_eq!(rows(&(table + &same("s3://shop/pictures/2.jpg"))).await.unwrap(), 1);
    assert!(server.requests().iter().any(|request| request.contains(" /shop/pictures/2.jpg ")));

    let refused =
        |condition: &str| format!("SELECT 1 FROM (VALUES ('{}')) AS t(path) WHERE {condition}", url("secret.jpg"));
    let error = rows(&refused("read_file(path) IS NULL")).await.unwrap_err().to_string();
    assert!(error.contains("/secret.jpg'") && error.contains("403"), "{error}");
    assert_eq!(rows(&refused("try_read_file(path)['error'] LIKE '%403%'")).await.unwrap(), 1);
}

#[tokio::test]
async fn mistakes_are_named() {
    let table = |options: &str| {
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 's3://shop/items.csv' OPTIONS ({options})")
    };
    for (sql, said) in [
        (table("'aws.regoin' 'x'"), "'aws.regoin' is not an option of an object store"),
        (table("'aws.region' 'x', 'aws.access_key_id' 'k'"), "secret"),
        ("SELECT * FROM 'ftp://host/items.csv'".into(), "there is no object store for 'ftp://'"),
        ("COPY (SELECT 1) TO 'ftp://host/items.csv'".into(), "there is no object store for 'ftp://'"),
        (
            "CREATE EXTERNAL TABLE t STORED AS DELTA LOCATION 's3://shop/items'".into(),
            "unable to find factory for delta",
        ),
        ("COPY (SELECT 1) TO 's3:///items.csv'".into(), "there is no bucket after 's3://'"),
    ] {
        let error = rows(&sql).await.unwrap_err().to_string();
        assert!(error.to_lowercase().contains(said), "{sql}: {error}");
    }
}
