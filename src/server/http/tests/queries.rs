//! Recommending and searching: SQL with values of clients in it, never their text.

use serde_json::json;

use super::{Server, sql};

#[tokio::test(flavor = "multi_thread")]
async fn recommend_takes_rows_and_options() {
    let server = Server::start().await;
    let answer = server
        .ok(
            "/v1/recommend",
            &json!({
                "model": "shop", "k": 2, "new_boost": 2.5,
                "users": [{"user_id": 3}, {"user_id": 1}],
                "items": [
                    {"item_id": "a", "text": "a mug", "price": 2.5, "launched_at": "2026-11-01"},
                    {"item_id": "b'); DROP TABLE x --", "text": "it's"},
                    {"item_id": "c", "text": null},
                ],
            }),
        )
        .await;
    assert_eq!(answer["model"], "shop@1");
    let row = |user: i64, item: &str, rank: i64| json!({"user_id": user, "item_id": item, "rank": rank, "score": 2.5, "probability": 0.25, "is_new": true, "propensity": 1.0});
    let odd = "b'); DROP TABLE x --";
    assert_eq!(answer["rows"], json!([row(1, "a", 1), row(1, odd, 2), row(3, "a", 1), row(3, odd, 2)]));
    let why =
        json!({"model": "shop", "explain": true, "users": [{"user_id": 1}], "items": [{"item_id": "a", "text": "b"}]});
    let why = server.ok("/v1/recommend", &why).await;
    assert_eq!(why["rows"][0]["attributions"], json!([{"feature": "price", "attribution": 0.5}]));
    assert_eq!(why["rows"][0]["purchases"], json!([{"item_id": "lamp", "attribution": 0.5}]));
    let answers = json!({
        "model": "shop", "users": [{"user_id": 1}], "items": [{"item_id": "a", "text": "b"}, {"item_id": "c", "text": "d"}],
        "liked": [], "disliked": [{"user_id": 1, "item_id": "a"}],
    });
    assert_eq!(
        server.ok("/v1/recommend", &answers).await["rows"],
        json!([{
            "user_id": 1, "item_id": "c", "rank": 1, "score": 1.0, "probability": 0.25, "is_new": true, "propensity": 1.0
        }])
    );
    for (body, status, part) in [
        (json!({"model": "shop", "liked": [{"user_id": 1}]}), 400, "item_id"),
        (
            json!({"model": "shop", "disliked": [{"user_id": 1, "item_id": 2}, {"user_id": 1, "item_id": "a"}]}),
            400,
            "item_id",
        ),
        (json!({"model": "shop", "k": 0}), 400, "k"),
        (json!({"model": "shop", "k": -1}), 400, "k"),
        (json!({"model": "shop", "users": [{"user_id": "x"}]}), 400, "user_id"),
        (json!({"model": "shop", "users": []}), 400, "users"),
        (json!({"model": "shop", "items": [{"item_id": "a", "text": "b", "launched_at": "soon"}]}), 400, "launched_at"),
        (json!({"model": "shop", "items": [{"item_id": "a", "color": "b"}]}), 400, "unknown field `color`"),
        (json!({"model": "shop', items => (SELECT 1) --"}), 400, "cannot name a model"),
        (json!({"model": "none"}), 404, "none"),
        (json!({"model": "small"}), 400, "recommend"),
    ] {
        let (found, message) = server.refused("/v1/recommend", &body).await;
        assert!(found == status && message.contains(part), "{body}: {found} {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recommend_takes_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("o'clock items.parquet");
    let path = file.display().to_string();
    sql(&format!(
        "COPY (SELECT * FROM (VALUES ('a', 'a mug'), ('b', 'a lamp')) AS x(item_id, text)) TO '{}'",
        path.replace('\'', "''")
    ))
    .await;
    let server = Server::start().await;
    let answer = server.ok("/v1/recommend", &json!({"model": "shop", "users": [{"user_id": 1}], "items": path})).await;
    assert_eq!((&answer["rows"][0]["item_id"], &answer["rows"][1]["item_id"]), (&json!("a"), &json!("b")));
    let missing = json!({"model": "shop", "users": [{"user_id": 1}], "items": "none.parquet"});
    let (status, message) = server.refused("/v1/recommend", &missing).await;
    assert!(status == 400 && message.contains("none.parquet"), "{status} {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn search_finds_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("items.parquet").display().to_string();
    sql(&format!(
        "COPY (SELECT i, t, embed(t) AS v FROM (VALUES (1, 'a red mug'), (2, 'a lamp'), (3, 'a rose')) AS x(i, t)) TO '{file}'"
    ))
    .await;
    let server = Server::start().await;
    let by_text = server.ok("/v1/search", &json!({"table": file, "query": "a lamp", "k": 2, "column": "t"})).await;
    assert_eq!(by_text["rows"].as_array().unwrap().len(), 2);
    assert_eq!(by_text["rows"][0]["i"], 2);
    let vector = server.ok("/v1/embed", &json!({"input": "a rose"})).await["vectors"][0].clone();
    let by_vector =
        server.ok("/v1/search", &json!({"table": file, "query": vector, "k": 1, "column": "v", "metric": "l2"})).await;
    assert_eq!(by_vector["rows"][0]["t"], "a rose");
    assert!(by_vector["rows"][0]["score"].as_f64().unwrap().abs() < 1e-3);
    for (body, part) in [
        (json!({"table": file, "query": "a", "k": 0, "column": "t"}), "k"),
        (json!({"table": file, "query": "a", "k": 1, "metric": "l2"}), "metric"),
        (json!({"table": file, "query": "a", "k": 1, "column": "t", "metric": "manhattan"}), "metric"),
        (json!({"table": file, "query": [], "k": 1}), "query"),
        (json!({"table": file, "query": "a", "k": 1, "column": "t'); DROP"}), "t'); DROP"),
        (json!({"table": "nowhere", "query": "a", "k": 1}), "nowhere"),
    ] {
        let (status, message) = server.refused("/v1/search", &body).await;
        assert!(status == 400 && message.contains(part), "{body}: {status} {message}");
    }
}
