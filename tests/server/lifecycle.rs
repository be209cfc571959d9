//! The end of a server: what runs may end, what is new is refused, and what does not end is cancelled.

use std::time::Instant;

use crate::*;

#[tokio::test]
async fn what_runs_ends_what_waits_is_told_and_what_is_new_is_refused() {
    let mut server = Server::start(&["--shutdown-timeout", "40s"]);
    let (idle, busy) = (server.connect().await, server.connect().await);
    let sql = "SELECT count(*) FROM generate_series(1, 30000000)";
    let before = server.computed();
    let running = tokio::spawn(async move { rows(&busy, sql).await });
    while server.computed() < before + Duration::from_millis(50) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.signal("TERM");
    let begun = Instant::now();
    while !idle.is_closed() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(begun.elapsed() < PATIENCE);
    }
    if !running.is_finished() {
        // Refused, or there is nobody any more who would.
        if let Err(error) = connect(&server.config()).await
            && error.as_db_error().is_some()
        {
            assert_eq!(told(&error).0, "57P03");
        }
    }
    assert_eq!(running.await.unwrap(), ["30000000"]);
    assert_eq!(server.wait(), Some(0));
}

#[tokio::test]
async fn what_does_not_end_is_cancelled_at_the_deadline() {
    let mut server = Server::start(&["--shutdown-timeout", "300ms"]);
    let client = server.connect().await;
    let before = server.computed();
    let running = tokio::spawn(async move { client.simple_query(LONG).await.unwrap_err() });
    while server.computed() < before + Duration::from_millis(100) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.signal("INT");
    let begun = Instant::now();
    assert_eq!(told(&running.await.unwrap()).0, "57P01");
    assert_eq!(server.wait(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start(&["--shutdown-timeout", "1h"]);
    let client = server.connect().await;
    let before = server.computed();
    let running = tokio::spawn(async move { client.simple_query(LONG).await.is_err() });
    while server.computed() < before + Duration::from_millis(100) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.signal("TERM");
    // The first signal was heard when new clients are refused.
    let begun = Instant::now();
    while !matches!(connect(&server.config()).await, Err(error) if error.as_db_error().is_some()) {
        assert!(begun.elapsed() < PATIENCE);
    }
    server.signal("TERM");
    assert_eq!(server.wait(), Some(128 + 15));
    assert!(running.await.unwrap());
}
