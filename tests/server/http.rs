//! JSON over HTTP as the program serves it: tokens, TLS, and that all protocols end together.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::*;

/// The status and the body of an answer.
fn ask(server: &Server, method: &str, path: &str, token: Option<&str>, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(server.http.unwrap()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nHost: debut\r\nConnection: close\r\nContent-Type: application/json\r\n{token}Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Makes a token as an administrator does.
fn token(server: &Server) -> String {
    let users = server.path("users");
    let mut command = command(&server.folder);
    let made = command.args(["user", "token", "ada", "--users", users.to_str().unwrap()]).stderr(Stdio::null());
    String::from_utf8(made.output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn only_who_has_a_token_is_answered() {
    let server = Server::with_users(&["--http", "127.0.0.1:0", "--offline"]);
    let token = token(&server);
    assert_eq!(ask(&server, "GET", "/health", None, "").0, 200);
    for wrong in [None, Some("made-up"), Some("pass wörd")] {
        assert_eq!(ask(&server, "GET", "/metrics", wrong, "").0, 401, "{wrong:?}");
    }
    let (status, metrics) = ask(&server, "GET", "/metrics", Some(&token), "");
    assert!(status == 200 && metrics.contains("\n# TYPE "), "{metrics}");
    // Another token takes the place of the first at once.
    let second = self::token(&server);
    assert_eq!(ask(&server, "GET", "/metrics", Some(&token), "").0, 401);
    assert_eq!(ask(&server, "GET", "/openapi.json", Some(&second), "").0, 200);
    // So does the removal of a user.
    let users = server.path("users");
    let mut remove = command(&server.folder);
    assert!(remove.args(["user", "remove", "ada", "--users", users.to_str().unwrap()]).status().unwrap().success());
    assert_eq!(ask(&server, "GET", "/openapi.json", Some(&second), "").0, 401);
}

#[test]
fn requests_reach_what_is_served_and_nothing_else() {
    let server = Server::start(&["--http", "127.0.0.1:0", "--offline"]);
    std::fs::write(server.path("data/items.csv"), "id,title,vector\n1,a,x\n").unwrap();
    let search = |table: &str| {
        let body = serde_json::json!({"table": table, "query": "a", "k": 1}).to_string();
        ask(&server, "POST", "/v1/search", None, &body)
    };
    for outside in ["/etc/passwd", "../users", "s3://bucket/x.parquet"] {
        let (status, body) = search(outside);
        assert!((400..500).contains(&status) && body.contains("served"), "{outside}: {status} {body}");
    }
    let (status, body) = ask(&server, "POST", "/v1/feedback", None, r#"{"events": []}"#);
    assert!((400..600).contains(&status), "without a folder there is no feedback: {status} {body}");
}

#[test]
fn limits_are_those_of_the_flags() {
    let flags = ["--http-max-body", "1K", "--http-max-rows", "2"];
    let server = Server::start(&[&["--http", "127.0.0.1:0", "--offline"], &flags[..]].concat());
    let embed = |body: &str| ask(&server, "POST", "/v1/embed", None, body);
    let (status, body) = embed(r#"{"input": ["a", "b", "c"]}"#);
    assert!(status == 400 && body.contains("3 are more than 2"), "{status} {body}");
    let (status, body) = embed(&format!(r#"{{"input": "{}"}}"#, "x".repeat(1024)));
    assert!(status == 413 && body.contains("longer than 1024 bytes"), "{status} {body}");
}

#[test]
fn feedback_is_on_the_disk_when_it_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let feedback = folder.path().join("feedback");
    let mut server = Server::start(&["--http", "127.0.0.1:0", "--offline", "--feedback", feedback.to_str().unwrap()]);
    let body = r#"{"events": [{"user_id": "u1", "item_id": "i1", "shown": true, "label": 1, "propensity": 0.5}]}"#;
    let (status, answer) = ask(&server, "POST", "/v1/feedback", None, body);
    assert_eq!(status, 200, "{answer}");
    server.signal("KILL");
    server.wait();
    let parts = std::fs::read_dir(feedback.join("events")).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(parts.filter(|path| path.extension().is_some_and(|kind| kind == "parquet")).count(), 1);
}

#[test]
fn all_protocols_end_together() {
    let mut server = Server::start(&["--http", "127.0.0.1:0", "--offline"]);
    assert_eq!(ask(&server, "GET", "/health", None, "").0, 200);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(TcpStream::connect(server.http.unwrap()).is_err() && TcpStream::connect(server.flight).is_err());
}
