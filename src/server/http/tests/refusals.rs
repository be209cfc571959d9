//! Hostile and mistaken clients are told what is wrong, and nobody else is disturbed.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Server, TOKEN};
use crate::server::http::options::{BatchingOptions, HttpOptions};

const POSTS: [&str; 15] = [
    "/v1/embed",
    "/v1/embeddings",
    "/v1/score",
    "/v1/classify",
    "/v1/predict",
    "/v1/recommend",
    "/v1/search",
    "/v1/feedback",
    "/v1/page/items",
    "/v1/page/users",
    "/v1/page/history",
    "/v1/page/recommend",
    "/v1/page/explain",
    "/v1/page/audience",
    "/v1/page/words",
];

fn quick() -> HttpOptions {
    HttpOptions {
        read_timeout: Duration::from_millis(300),
        deadline: Duration::from_millis(700),
        max_body: 10_000,
        ..HttpOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_health_needs_no_token() {
    let server = Server::start().await;
    for path in POSTS.iter().chain(&["/metrics", "/openapi.json", "/v1/page", "/nothing"]) {
        let method = if POSTS.contains(path) { "POST" } else { "GET" };
        for token in ["", "Bearer wrong", "Basic c2VjcmV0"] {
            let answer = server.send(method, path, &[("Authorization", token)], b"{}").await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{path}");
            assert_eq!(answer.json()["error"]["type"], "authentication_error");
        }
    }
    assert_eq!(server.send("GET", "/health", &[("Authorization", "")], b"").await.status, 200);
    let ready = loop {
        let answer = server.send("GET", "/ready", &[("Authorization", "")], b"").await;
        if answer.status != 503 {
            break answer;
        }
    };
    assert_eq!(ready.json()["status"], "ready");
    assert_eq!(server.get("/nothing").await.status, 404);
    assert_eq!(server.get("/v1/embed").await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_wrong_are_refused() {
    let server = Server::with(quick()).await;
    let status = async |headers: &[(&str, &str)], body: &[u8]| {
        let answer = server.send("POST", "/v1/embed", headers, body).await;
        (answer.status, answer.json()["error"]["message"].as_str().unwrap().to_owned())
    };
    for kind in ["", "text/plain", "application/x-www-form-urlencoded"] {
        assert_eq!(status(&[("Content-Type", kind)], b"{}").await.0, 415, "{kind}");
    }
    assert_eq!(status(&[("Content-Encoding", "gzip")], b"{}").await.0, 415);
    assert_eq!(
        server
            .send("POST", "/v1/embed", &[("Content-Type", "application/json; charset=utf-8")], b"{\"input\":\"a\"}")
            .await
            .status,
        200
    );
    let huge = format!("{{\"input\": \"{}\"}}", "x".repeat(20_000));
    assert_eq!(status(&[], huge.as_bytes()).await.0, 413);
    // Chunked: the length is not told, and 413 comes all the same.
    let chunks = format!("{:x}\r\n{huge}\r\n0\r\n\r\n", huge.len());
    let chunked = [("Content-Length", ""), ("Transfer-Encoding", "chunked")];
    assert_eq!(status(&chunked, chunks.as_bytes()).await.0, 413);
    for (body, part) in [
        (&b"{\"input\": \"\xff\xfe\"}"[..], "not JSON"),
        (b"{\"input\": \"a\", \"size\": 1}", "unknown field `size`"),
        (b"{\"input\": NaN}", "not JSON"),
        (b"{\"input\": \"a\", \"dimensions\": 1e400}", "not JSON"),
        (b"{\"input\": \"a\", \"dimensions\": 99999999999999999999}", "dimensions"),
        (b"{\"input\": \"a\", \"dimensions\": -1}", "dimensions"),
        (b"{\"input\": 5}", "input"),
        (b"{\"input\": \"a\", \"input\": \"b\"}", "duplicate field"),
        (b"", "not JSON"),
        (b"[]", "not an object"),
        (b"\"a\"", "EmbedRequest"),
    ] {
        let (status, message) = status(&[], body).await;
        assert!(status == 400 && message.contains(part), "{}: {status} {message}", String::from_utf8_lossy(body));
    }
    let deep = format!("{{\"input\": {}", "[".repeat(9_000));
    assert_eq!(status(&[], deep.as_bytes()).await.0, 400);
    let many = json!({"input": vec!["a"; 2049]});
    let (found, message) = server.refused("/v1/embed", &many).await;
    assert!(found == 413 || message.contains("more than 2048"), "{found} {message}");
    assert_eq!(server.get("/health").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bodies_of_all_requests_have_a_limit() {
    let server = Server::with(HttpOptions { max_body: 10_000, max_bodies: 12_000, ..HttpOptions::default() }).await;
    let body = format!("{{\"input\": 1, \"prompt\": \"{}\"}}", "x".repeat(8_000));
    let head = format!(
        "POST /v1/embed HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let held = async |bytes: usize| {
        let begun = Instant::now();
        while !server.get("/metrics").await.text().contains(&format!("\ndebut_http_body_bytes {bytes}\n")) {
            assert!(begun.elapsed() < Duration::from_secs(5), "not {bytes} bytes");
        }
    };
    // All but the last byte has come, and is held.
    let (most, last) = body.as_bytes().split_at(body.len() - 1);
    for leaves in [false, true] {
        let mut slow = TcpStream::connect(server.address).await.unwrap();
        slow.write_all(&[head.as_bytes(), most].concat()).await.unwrap();
        held(most.len()).await;
        let answer = server.send("POST", "/v1/embed", &[], body.as_bytes()).await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
        assert_eq!(answer.json()["error"]["code"], "bodies_full");
        if leaves {
            drop(slow);
        } else {
            slow.write_all(last).await.unwrap();
            let mut answer = Vec::new();
            slow.read_to_end(&mut answer).await.unwrap();
            assert_eq!(Answer::parse(&answer).status, 400, "it is read, and wrong");
        }
        held(0).await;
        assert_eq!(server.send("POST", "/v1/embed", &[], body.as_bytes()).await.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_texts_are_too_many() {
    let server = Server::start().await;
    let (status, message) = server.refused("/v1/embed", &json!({"input": vec!["a text"; 10_000]})).await;
    assert!(status == 400 && message.contains("10000 are more than 2048"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_half_requests_end() {
    let server = Server::with(quick()).await;
    let begin = format!(
        "POST /v1/embed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"inp"
    );
    // The rest of the body never comes.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(begin.as_bytes()).await.unwrap();
    let begun = Instant::now();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer[..read]).starts_with("HTTP/1.1 408"));
    assert!(begun.elapsed() < Duration::from_secs(5));
    // Half a head: the connection is closed.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"POST /v1/embed HTT").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    // Half a body, and the client is gone.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(begin.as_bytes()).await.unwrap();
    drop(stream);
    // No HTTP at all.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&[0, 159, 146, 150, 13, 10, 13, 10]).await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"HTTP/1.1 2"));
    assert_eq!(server.get("/health").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections_are_told_so() {
    let server = Server::with(HttpOptions { max_connections: 2, ..HttpOptions::default() }).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        held.push(stream);
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = Answer::parse(&answer);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.json()["error"]["code"], "too_many_connections");
    drop(held);
    // Their places come back.
    let begun = Instant::now();
    loop {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let _ = stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        if answer.starts_with(b"HTTP/1.1 200") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_when_to_come_back_and_the_deadline_holds() {
    let batching = BatchingOptions { max_queued_rows: 4, max_rows: 1, ..BatchingOptions::default() };
    let server = Server::with(HttpOptions { batching, ..quick() }).await;
    let body = json!({"model": "slow", "input": ["a", "b", "c", "d", "e", "f"]});
    let (long, short) = tokio::join!(server.post("/v1/embed", &body), async {
        // The long request is in the queue.
        while !server.get("/metrics").await.text().contains("debut_model_queue_rows{model=\"slow@1\"} 5") {}
        server.send("POST", "/v1/embed", &[], json!({"model": "slow", "input": "a"}).to_string().as_bytes()).await
    });
    assert_eq!(long.0, 504, "{}", long.1);
    assert_eq!(short.status, 429);
    assert!(short.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    // What nobody waits for leaves the queue.
    let begun = Instant::now();
    while !server.get("/metrics").await.text().contains("debut_model_queue_rows{model=\"slow@1\"} 0") {
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_frees_its_work() {
    let server = Server::start().await;
    let body = json!({"model": "slow", "input": vec!["a"; 500]}).to_string();
    let head = format!(
        "POST /v1/embed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
    let metric = async |name: &str| -> u64 {
        let text = server.get("/metrics").await.text();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok()).unwrap_or(0)
    };
    // One distinct text: one call, of a second.
    while metric("debut_model_batch_rows_count{model=\"slow@1\"}").await == 0 {}
    let begun = Instant::now();
    drop(stream);
    // What asks for the metrics is a request itself.
    while metric("debut_http_requests_running").await > 1 {
        assert!(begun.elapsed() < Duration::from_millis(500), "it runs on for nobody");
    }
    assert_eq!(metric("debut_model_rows_total{model=\"slow@1\"}").await, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    /// Whatever the body is, the client is told what is wrong with it: nothing panics.
    #[test]
    fn any_body_is_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200), json in json_like()) {
        static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> =
            std::sync::LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());
        static SERVER: std::sync::LazyLock<(tempfile::TempDir, Server)> = std::sync::LazyLock::new(|| {
            let folder = tempfile::tempdir().unwrap();
            let server = RUNTIME.block_on(Server::with(super::with_feedback(folder.path())));
            (folder, server)
        });
        for path in POSTS {
            for body in [&bytes, &json] {
                let status = RUNTIME.block_on(SERVER.1.send("POST", path, &[], body)).status;
                prop_assert!(status < 500, "{path}: {status}: {}", String::from_utf8_lossy(body));
            }
        }
    }
}

/// How many bodies are tried; `DEBUT_FUZZ_CASES` for more.
fn cases() -> u32 {
    std::env::var("DEBUT_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32)
}

/// JSON with the names of fields, and values that do not fit them.
fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-0.0".to_owned()),
        Just("1e308".to_owned()),
        Just("\"small\"".to_owned()),
        Just("\"shop\"".to_owned()),
        Just("[\"a\", null]".to_owned()),
        Just("[[\"a\", \"b\"]]".to_owned()),
        Just("[{\"user_id\": 1, \"item_id\": \"a\", \"shown\": true, \"label\": 1}]".to_owned()),
        Just("[{\"user_id\": 1}]".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[\\PC&&[^\"\\\\]]{0,12}".prop_map(|text| format!("\"{text}\"")),
    ];
    let name = prop_oneof![
        Just("model"),
        Just("input"),
        Just("items"),
        Just("users"),
        Just("query"),
        Just("pairs"),
        Just("user"),
        Just("table"),
        Just("k"),
        Just("column"),
        Just("metric"),
        Just("events"),
        Just("dimensions"),
        Just("prompt"),
    ];
    proptest::collection::btree_map(name, value, 0..5).prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        format!("{{{}}}", fields.join(", ")).into_bytes()
    })
}
