//! What no client would do: the server goes on serving, says what is wrong, and holds no more than before.

use std::io::{Read, Write};
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::*;

#[tokio::test]
async fn garbage_is_refused_and_others_are_served() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\0\0\0\x04",
        b"\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x7f\xff\xff\xff\0\x03\0\0",
        b"\0\0\0\x0a\0\x03\0\0us",
        b"\0\0\0\x09\0\x02\0\0\0",
        b"\0\0\0\x09\0\x03\0\0\0",
    ] {
        let mut socket = server.socket();
        socket.write_all(garbage).unwrap();
        let answer = read_until(&mut socket, b'E');
        assert!(["08P01", "54000", "0A000", "28000"].contains(&field(&answer[0], b'C').as_str()), "{answer:?}");
        assert!(is_closed(&mut socket), "{garbage:?}");
        assert_eq!(rows(&client, "SELECT 1").await, ["1"]);
    }
}

#[test]
fn half_a_handshake_is_dropped_in_time() {
    let server = Server::with_users(&["--startup-timeout", "300ms"]);
    let hello = startup("ada");
    for part in [&hello[..0], &hello[..5], &hello[..]] {
        let begun = Instant::now();
        let mut socket = server.socket();
        socket.write_all(part).unwrap();
        assert!(is_closed(&mut socket));
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

/// A session of a client that says what it likes.
fn session(server: &Server) -> TcpStream {
    let mut socket = server.socket();
    socket.write_all(&startup("ada")).unwrap();
    read_until(&mut socket, b'Z');
    socket
}

#[test]
fn a_message_of_a_hundred_megabytes_is_refused_before_it_is_there() {
    let server = Server::start(&[]);
    let mut socket = session(&server);
    let before = server.memory();
    socket.write_all(&[b'Q', 6, 0x40, 0, 0]).unwrap();
    let error = read_until(&mut socket, b'E').pop().unwrap();
    assert_eq!((field(&error, b'C'), field(&error, b'S')), ("54000".to_string(), "FATAL".to_string()));
    let chunk = vec![b'x'; 1 << 20];
    // Whoever sends it all the same finds nobody who reads it.
    let refused = (0..100).any(|_| socket.write_all(&chunk).is_err());
    assert!(refused && server.memory() < before + (32 << 20));
}

#[test]
fn malformed_messages_end_the_session_with_an_error() {
    let server = Server::start(&[]);
    for malformed in [
        message(b'Q', b"no end"),
        message(b'P', b"s\0sql\0\xff\xff"),
        message(b'B', b"\0\0\0\0\xff\xff"),
        message(b'E', b"\0\0"),
        message(b'D', b"Xs\0"),
        message(b'p', b"password"),
        message(b'z', b""),
        vec![b'Q', 0, 0, 0, 1],
    ] {
        let mut socket = session(&server);
        socket.write_all(&malformed).unwrap();
        let error = read_until(&mut socket, b'E').pop().unwrap();
        assert_eq!(
            (field(&error, b'C'), field(&error, b'S')),
            ("08P01".to_string(), "FATAL".to_string()),
            "{malformed:?}"
        );
        assert!(is_closed(&mut socket));
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_no_memory() {
    let server = Server::start(&[]);
    let mut socket = session(&server);
    let before = server.memory();
    let query = "SELECT value, repeat('x', 1000) FROM generate_series(1, 100000000)\0";
    socket.write_all(&message(b'Q', query.as_bytes())).unwrap();
    read_until(&mut socket, b'D');
    // The computing stops when the socket is full.
    let mut computed = server.computed();
    let begun = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = server.computed();
        if now == computed {
            break;
        }
        computed = now;
        assert!(begun.elapsed() < PATIENCE, "it computes what nobody reads");
    }
    assert!(server.memory() < before + (200 << 20), "{} after {before}", server.memory());
    // It goes on where it was, and can be left.
    for _ in 0..1000 {
        read_until(&mut socket, b'D');
    }
    drop(socket);
    assert_eq!(rows(&server.connect().await, "SELECT 1").await, ["1"]);
}

#[tokio::test]
async fn a_statement_that_nests_too_deep_is_refused_and_one_that_just_does_not_is_run() {
    let server = Server::start(&[]);
    let client = server.connect().await;
    for (of_catalog, part) in [("", " + 1"), (" FROM pg_catalog.pg_class", " + 1"), ("", "::BIGINT")] {
        assert_eq!(code(&client, &format!("SELECT 1{}{of_catalog}", part.repeat(50_000))).await, "54001");
        let sql = format!("SELECT count(*) FROM (SELECT 1{}{of_catalog})", part.repeat(1400));
        assert_eq!(rows(&client, &sql).await.len(), 1, "{part}");
        assert!(client.prepare(&sql).await.is_ok());
    }
    for deep in [
        format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000)),
        format!("SELECT {}true", "NOT ".repeat(50_000)),
    ] {
        assert_eq!(code(&client, &deep).await, "54001");
    }
    assert_eq!(rows(&client, &format!("SELECT 5 IN (1{})", ", 2".repeat(50_000))).await, ["f"]);
}

#[tokio::test]
async fn five_hundred_idle_connections_are_cheap() {
    let server = Server::start(&["--max-connections", "500"]);
    let before = server.memory();
    let idle: Vec<_> = (0..499).map(|_| session(&server)).collect();
    let last = server.connect().await;
    let each = server.memory().saturating_sub(before) / 500;
    assert!(each < 64 << 10, "{each} bytes for each");
    let (code, message) = told(&connect(&server.config()).await.unwrap_err());
    assert_eq!((code.as_str(), message.as_str()), ("53300", "sorry, too many clients already"));
    assert_eq!(rows(&last, "SELECT 1").await, ["1"]);
    drop(idle);
    let begun = Instant::now();
    while connect(&server.config()).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "places are not given back");
    }
}

#[test]
fn arbitrary_bytes_at_the_beginning_never_end_the_server() {
    let mut server = Server::start(&["--startup-timeout", "1s"]);
    let address = server.address;
    let hello = startup("ada");
    let bytes = proptest::collection::vec(any::<u8>(), 0..200);
    let mut runner =
        TestRunner::new(ProptestConfig { cases: cases(64), failure_persistence: None, ..Default::default() });
    let run = runner.run(&(bytes, 0..4_u8, 0..40_usize), |(bytes, kind, cut)| {
        let begin: &[u8] = match kind {
            0 => b"",
            1 => &hello[..cut.min(hello.len())],
            2 => b"\0\0\0\x08\x04\xd2\x16\x2f",
            _ => &hello,
        };
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // It may be refused before all of it is sent.
        let _ = socket.write_all(&[begin, &bytes].concat());
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let ended = socket.read_to_end(&mut answer);
        prop_assert!(ended.is_ok() || ended.unwrap_err().kind() == std::io::ErrorKind::ConnectionReset);
        Ok(())
    });
    run.unwrap();
    drop(session(&server));
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    let mut said = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!said.contains("internal error"), "{said}");
}

/// As many as the environment says, so that a night can try more.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}
