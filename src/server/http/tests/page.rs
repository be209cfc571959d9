//! The page: what its file has to make, and what it shows of a shop with odd ids and missing values.

use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use serde_json::json;

use super::{Server, engine, home};
use crate::server::http::HttpState;
use crate::server::http::auth::User;
use crate::server::http::error::ApiError;
use crate::server::http::options::HttpOptions;

/// A shop whose items have texts for ids, one with a quote, one without a text and one without a price.
const SHOP: &str = "
    SET debut.model = 'shop';
    CREATE VIEW items AS SELECT *, embed(text, 'small') AS vector FROM (VALUES
      ('a', 'a red mug', 2.5, TIMESTAMP '2026-11-01T10:00:00'), ('o''b', 'a blue lamp', NULL, TIMESTAMP '2026-11-03T10:00:00'),
      ('lamp', NULL, 7.0, NULL)) AS x(item_id, text, price, launched_at);
    CREATE VIEW interactions AS SELECT * FROM (VALUES
      (1, 'a', TIMESTAMP '2026-11-05T10:00:00'), (1, 'gone', TIMESTAMP '2026-11-06T10:00:00'), (12, 'a', NULL), (2, 'lamp', NULL),
      (NULL, 'a', NULL)) AS x(user_id, item_id, timestamp)";

/// The file of this page.
pub(super) fn file(folder: &Path) -> PathBuf {
    let path = folder.join("page.sql");
    std::fs::write(&path, SHOP).unwrap();
    path
}

async fn with_page(folder: &Path) -> Server {
    Server::with(HttpOptions { page: Some(file(folder)), ..HttpOptions::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn its_files_are_open_and_allow_no_other_server() {
    let server = Server::start().await;
    for path in ["/", "/page/style.css", "/page/main.js", "/page/launch.js"] {
        let answer = server.send("GET", path, &[("Authorization", "")], b"").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"));
        // Everything it loads is here.
        for name in answer.text().split(['"', '\'']).filter(|name| name.starts_with("/page/") || name.contains("://")) {
            assert_eq!(
                server.send("GET", name, &[("Authorization", "")], b"").await.status,
                200,
                "{path} loads {name}"
            );
        }
    }
    let (status, message) = (server.get("/v1/page").await.status, server.get("/v1/page").await.text());
    assert!(status == 404 && message.contains("--page FILE"), "{message}");
    assert_eq!(server.send("GET", "/page/none.js", &[("Authorization", "")], b"").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn items_and_users_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_page(folder.path()).await;
    let about = server.get("/v1/page").await.json();
    assert_eq!(about, json!({"model": "shop@1", "user_ids": "integer", "item_ids": "text", "feedback": false}));
    let latest = server.ok("/v1/page/items", &json!({"k": 9})).await;
    let lamp = json!({"item_id": "o'b", "text": "a blue lamp", "price": null, "launched_at": "2026-11-03"});
    assert_eq!(
        latest["items"],
        json!([
            lamp,
            {"item_id": "a", "text": "a red mug", "price": 2.5, "launched_at": "2026-11-01"},
            {"item_id": "lamp", "text": null, "price": 7.0, "launched_at": null},
        ])
    );
    // Words are found; a search for nothing is the list.
    let words = "'LAMP' or $words";
    assert_eq!(server.ok("/v1/page/items", &json!({"k": 1, "query": words})).await["items"], json!([lamp]));
    assert_eq!(server.ok("/v1/page/items", &json!({"k": 9, "query": "  "})).await, latest);
    let users =
        async |query: &str| server.ok("/v1/page/users", &json!({"k": 9, "query": query})).await["users"].clone();
    let user = |id: &str, interactions: u32| json!({"user_id": id, "interactions": interactions});
    assert_eq!(users("").await, json!([user("1", 2), user("12", 1), user("2", 1)]));
    assert_eq!(users("1").await, json!([user("1", 2), user("12", 1)]));
    assert_eq!(users("%").await, json!([]));
    let history = server.ok("/v1/page/history", &json!({"k": 9, "user_id": "1"})).await;
    assert_eq!(
        history["items"],
        json!([
            {"item_id": "gone", "text": null, "day": "2026-11-06"}, {"item_id": "a", "text": "a red mug", "day": "2026-11-05"},
        ])
    );
    assert_eq!(server.ok("/v1/page/history", &json!({"k": 9, "user_id": "77"})).await["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_follows_what_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_page(folder.path()).await;
    let list = async |customer: serde_json::Value| {
        server.ok("/v1/page/recommend", &json!({"customer": customer, "only_new": true, "k": 9})).await
    };
    let all = list(json!({"user_id": "1"})).await;
    let items = |list: &serde_json::Value| -> Vec<String> {
        list["rows"].as_array().unwrap().iter().map(|row| row["item_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((items(&all), &all["model"]), (vec!["a".into(), "o'b".into(), "lamp".into()], &json!("shop@1")));
    assert_eq!(all["rows"][1]["text"], "a blue lamp");
    // Who has nothing gets a list, too; the reason is an item without a text.
    let stranger = list(json!({"user_id": "-3"})).await;
    assert_eq!(stranger["purchases"][0], json!({"rank": 1, "item_id": "lamp", "text": null, "attribution": 0.5}));
    let said = list(json!({"user_id": "1", "liked": ["a"], "disliked": ["o'b"], "taken": ["lamp"]})).await;
    assert_eq!(items(&said), ["a", "lamp"]);
    let why = json!({"customer": {"user_id": "1"}, "item_id": "o'b", "k": 3});
    assert_eq!(server.ok("/v1/page/explain", &why).await["rows"][0]["feature"], "o'b");
    let audience = server.ok("/v1/page/audience", &json!({"item_id": "a", "k": 9})).await;
    assert_eq!(audience["all"], json!([{"users": 2, "buyers": 0.75, "buyers_in_best_tenth": 0.5}]));
    assert_eq!(audience["users"][0], json!({"user_id": "1", "rank": 1, "probability": 0.5}));
    // Of the two, the first is the likeliest tenth.
    let favourite =
        |item: &str, text: Option<&str>| json!({"item_id": item, "text": text, "share": 1.0, "share_of_all": 0.5});
    assert_eq!(audience["items"], json!([favourite("a", Some("a red mug")), favourite("gone", None)]));
    let words = server.ok("/v1/page/words", &json!({"text": "it's new", "k": 1})).await;
    assert_eq!(words["rows"][0]["buyers"], 1.5);
    for (path, body, part) in [
        ("recommend", json!({"customer": {"user_id": "x"}, "only_new": true, "k": 1}), "'x' is no id"),
        ("recommend", json!({"customer": {"user_id": "1"}, "only_new": true, "k": 0}), "k"),
        (
            "recommend",
            json!({"customer": {"user_id": "1", "like": []}, "only_new": true, "k": 1}),
            "unknown field `like`",
        ),
        ("audience", json!({"k": 1}), "an item_id or a text"),
        ("audience", json!({"item_id": "a", "text": "b", "k": 1}), "an item_id or a text"),
        ("items", json!({"query": "a", "k": 0}), "k"),
    ] {
        let (status, message) = server.refused(&format!("/v1/page/{path}"), &body).await;
        assert!(status == 400 && message.contains(part), "{path} {body}: {status} {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_makes_no_page_is_told_at_the_start() {
    home();
    let folder = tempfile::tempdir().unwrap();
    let items = "CREATE VIEW items AS SELECT 'a' AS item_id, 'b' AS text;";
    let interactions = "CREATE VIEW interactions AS SELECT 1 AS user_id, 'a' AS item_id;";
    for (script, part) in [
        (String::new(), "there is no view items"),
        (items.to_owned(), "there is no view interactions"),
        (format!("CREATE VIEW items AS SELECT 'a' AS item_id; {interactions}"), "items has no column text"),
        (format!("CREATE VIEW items AS SELECT 1.5 AS item_id, 'b' AS text; {interactions}"), "cast it to BIGINT"),
        (
            format!("CREATE VIEW items AS SELECT 1 AS item_id, 'b' AS text; {interactions}"),
            "integer in items and text in",
        ),
        (format!("CREATE VIEW items AS SELECT 'a' AS item_id, 2 AS text; {interactions}"), "has to be VARCHAR"),
        (format!("{items}\n{interactions}\nSELECT 1"), "line 3: only CREATE VIEW"),
        (format!("{items}\nCOPY (SELECT 1) TO 'x.parquet'"), "line 2: only CREATE VIEW"),
        ("CREATE VIEW items AS SELECT * FROM 'none.parquet'".to_owned(), "none.parquet"),
        ("CREATE VIE".to_owned(), "page.sql"),
    ] {
        let path = folder.path().join("page.sql");
        std::fs::write(&path, &script).unwrap();
        let users = |_: &axum::http::HeaderMap| -> Result<User, ApiError> {
            Err(ApiError::new(StatusCode::UNAUTHORIZED, "nobody", "nobody"))
        };
        let options = HttpOptions { page: Some(path), ..HttpOptions::default() };
        let error = HttpState::open(engine(), std::sync::Arc::new(users), options).await.unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("page.sql"), "{script}: {error}");
    }
    let options = HttpOptions { page: Some(folder.path().join("none.sql")), ..HttpOptions::default() };
    let users = |_: &axum::http::HeaderMap| Ok::<_, ApiError>(User { name: String::new() });
    let error = HttpState::open(engine(), std::sync::Arc::new(users), options).await.unwrap_err().to_string();
    assert!(error.contains("none.sql"), "{error}");
}
