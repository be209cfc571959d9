//! Feedback that was acknowledged is there, once, whatever happens to the server.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{Server, sql, with_feedback};

fn event(user: i64, label: f64) -> Value {
    json!({"user_id": user, "item_id": format!("i{user}"), "shown": true, "label": label, "propensity": 0.5, "rank": 1})
}

/// The users in a log, in order.
async fn users(folder: &Path) -> Vec<i64> {
    let rows = sql(&format!("SELECT user_id FROM '{}/events/' ORDER BY user_id", folder.display())).await;
    rows.as_array().unwrap().iter().map(|row| row["user_id"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_read_by_sql_as_they_were_sent() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(with_feedback(folder.path())).await;
    let full = json!({
        "user_id": 7, "item_id": "a'b", "timestamp": "2026-11-28T12:00:00.5Z", "shown": true, "label": true,
        "propensity": 0.25, "rank": 3, "model": "shop@1", "context": {"page": ["home", 1]},
    });
    let bare = json!({"user_id": 8, "item_id": "c", "shown": false, "label": 0.5});
    let answer = server.ok("/v1/feedback", &json!({"events": [full, bare]})).await;
    assert_eq!(answer, json!({"accepted": 2, "repeated": false}));
    let rows = sql(&format!(
        "SELECT user_id, item_id, CAST(timestamp AS VARCHAR) AS at, shown, label, propensity, rank, model, context
         FROM '{}/events/' ORDER BY user_id",
        folder.path().display()
    ))
    .await;
    assert_eq!(
        rows[0],
        json!({"user_id": 7, "item_id": "a'b", "at": "2026-11-28T12:00:00.500", "shown": true, "label": 1.0,
            "propensity": 0.25, "rank": 3, "model": "shop@1", "context": "{\"page\":[\"home\",1]}"})
    );
    assert_eq!(
        (&rows[1]["label"], &rows[1]["propensity"], &rows[1]["shown"]),
        (&json!(0.5), &Value::Null, &json!(false))
    );
    for (change, part) in [
        (json!({"label": 2}), "events[0].label"),
        (json!({"label": null}), "events[0].label"),
        (json!({"propensity": 0}), "events[0].propensity"),
        (json!({"propensity": 1e300}), "events[0].propensity"),
        (json!({"rank": 0}), "events[0].rank"),
        (json!({"timestamp": "now"}), "events[0].timestamp"),
        (json!({"user_id": "seven"}), "the ids of this log are integer"),
        (json!({"user_id": 1.5}), "events[0].user_id"),
        (json!({"color": 1}), "unknown field `color`"),
        (json!({"shown": false}), "what was not shown"),
    ] {
        let mut event = event(9, 1.0);
        event.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, message) = server.refused("/v1/feedback", &json!({"events": [event]})).await;
        assert!(status == 400 && message.contains(part), "{change}: {status} {message}");
    }
    assert_eq!(users(folder.path()).await, [7, 8], "a request that is refused leaves nothing");
    let without = Server::start().await;
    assert_eq!(without.post("/v1/feedback", &json!({"events": [event(1, 0.0)]})).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn evaluate_and_finetune_take_the_log_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(with_feedback(folder.path())).await;
    server.ok("/v1/feedback", &json!({"events": [event(1, 1.0), event(2, 0.0)]})).await;
    let log = format!("SELECT * FROM '{}/events/'", folder.path().display());
    let items = "SELECT 'i1' AS item_id, 'a mug' AS text";
    // Planning finds each column by its role, and checks its type.
    for call in [
        format!("evaluate(model => 'shop', interactions => ({log}), items => ({items}))"),
        format!("finetune(model => 'next', base => 'small', interactions => ({log}), items => ({items}))"),
        format!("recommend(model => 'shop', users => (SELECT user_id FROM ({log})), items => ({items}))"),
    ] {
        sql(&format!("EXPLAIN SELECT * FROM {call}")).await;
    }
    let plan =
        sql(&format!("EXPLAIN SELECT * FROM evaluate(model => 'shop', interactions => ({log}))")).await.to_string();
    for column in ["propensity", "label", "timestamp", "user_id", "item_id"] {
        assert!(plan.contains(column), "{column} is not read: {plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_is_kept_once() {
    let folder = tempfile::tempdir().unwrap();
    let send = async |server: &Server, key: &str, users: &[i64]| {
        let events: Vec<Value> = users.iter().map(|user| event(*user, 1.0)).collect();
        let body = json!({"events": events}).to_string();
        let answer = server.send("POST", "/v1/feedback", &[("Idempotency-Key", key)], body.as_bytes()).await;
        (answer.status, answer.json()["repeated"].as_bool())
    };
    let server = Server::with(with_feedback(folder.path())).await;
    assert_eq!(send(&server, "a", &[1, 2]).await, (200, Some(false)));
    assert_eq!(send(&server, "a", &[1, 2]).await, (200, Some(true)));
    assert_eq!(send(&server, "a", &[1]).await, (409, None));
    let repeated = futures::future::join_all((0..8).map(|_| send(&server, "b", &[3]))).await;
    assert_eq!(repeated.iter().filter(|answer| **answer == (200, Some(false))).count(), 1);
    assert_eq!(send(&server, &"k".repeat(300), &[4]).await, (400, None));
    let stop = |server: Server| async {
        let state = Arc::downgrade(&server.state);
        server.stop().await;
        // Connections and the loading of the default model let go of the log.
        while state.upgrade().is_some() {
            tokio::task::yield_now().await;
        }
    };
    stop(server).await;
    // The next server knows the keys.
    let server = Server::with(with_feedback(folder.path())).await;
    assert_eq!(send(&server, "a", &[1, 2]).await, (200, Some(true)));
    assert_eq!(send(&server, "b", &[3]).await, (200, Some(true)));
    assert_eq!(users(folder.path()).await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_meet_every_event_once_while_files_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::with(with_feedback(folder.path())).await);
    server.ok("/v1/feedback", &json!({"events": [event(0, 1.0)]})).await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (folder, done) = (folder.path().to_owned(), Arc::clone(&done));
        tokio::spawn(async move {
            let (mut reads, mut before) = (0, 0);
            while !done.load(Ordering::Relaxed) || reads == 0 {
                let found = users(&folder).await;
                let distinct: BTreeSet<i64> = found.iter().copied().collect();
                assert_eq!(distinct.len(), found.len(), "an event stands twice");
                assert!(found.len() >= before, "an event is gone: {} after {before}", found.len());
                (reads, before) = (reads + 1, found.len());
            }
            reads
        })
    };
    // Four writers, each of which waits for its answer: some share a file.
    let writers = (0..4).map(|writer| {
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            for i in 0..50 {
                server.ok("/v1/feedback", &json!({"events": [event(1 + writer * 50 + i, 0.0)]})).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    assert!(reader.await.unwrap() > 0);
    assert_eq!(users(folder.path()).await, (0..=200).collect::<Vec<i64>>());
    let metrics = server.get("/metrics").await.text();
    let count = |name: &str| -> u64 {
        metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap().parse().unwrap()
    };
    assert_eq!(count("debut_feedback_events_total"), 201);
    assert!(count("debut_feedback_files_total") < 201, "requests shared files: {metrics}");
    assert!(count("debut_feedback_merges_total") >= 1, "{metrics}");
}

/// The child of the next test: a server until it is killed. Says where it listens.
#[test]
fn serve_until_killed() {
    let Some(folder) = std::env::var_os("DEBUT_TEST_FEEDBACK") else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let server = Server::with(with_feedback(Path::new(&folder))).await;
        println!("\nlistening {}", server.address);
        std::future::pending::<()>().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeSet<i64> = BTreeSet::new();
    let mut sent = 0;
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "server::http::tests::feedback::serve_until_killed", "--nocapture"])
            .env("DEBUT_TEST_FEEDBACK", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("listening ").map(str::to_owned)).unwrap();
        let address: std::net::SocketAddr = address.parse().unwrap();
        let clients = (0..4).map(|client| {
            let first = sent + client * 1000;
            tokio::spawn(async move {
                let mut done = Vec::new();
                for user in first..first + 1000 {
                    let body = json!({"events": [event(user, 1.0)]}).to_string();
                    match send(address, &body).await {
                        Some(200) => done.push(user),
                        _ => break,
                    }
                }
                done
            })
        });
        let clients: Vec<_> = clients.collect();
        // As soon as enough is on the disk, in the middle of what follows.
        let enough = 20 + 30 * round;
        while files(folder.path()) < enough {
            tokio::task::yield_now().await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for client in clients {
            acknowledged.extend(client.await.unwrap());
        }
        sent += 4000;
    }
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    // A server clears away what the last one left unfinished.
    let _server = Server::with(with_feedback(folder.path())).await;
    let found = users(folder.path()).await;
    let kept: BTreeSet<i64> = found.iter().copied().collect();
    assert_eq!(kept.len(), found.len(), "an event stands twice");
    assert!(kept.is_superset(&acknowledged), "{:?} are gone", acknowledged.difference(&kept).collect::<Vec<_>>());
}

/// The status of an answer; `None` where there is none.
async fn send(address: std::net::SocketAddr, body: &str) -> Option<u16> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    let head = format!(
        "POST /v1/feedback HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        super::TOKEN,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

/// Numbers of the newest file: how many were written.
fn files(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder.join("events")).into_iter().flatten().flatten();
    let number = |name: String| name.strip_prefix("events-")?.strip_suffix(".parquet")?.parse::<usize>().ok();
    names.filter_map(|entry| number(entry.file_name().into_string().ok()?)).max().unwrap_or(0)
}
