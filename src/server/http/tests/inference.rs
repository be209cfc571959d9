//! Embedding and scoring give what SQL gives, alone and together.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use serde_json::{Value, json};

use super::{Server, sql};
use crate::server::http::options::{BatchingOptions, HttpOptions};

fn floats(vector: &Value) -> Vec<f32> {
    vector.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

fn close(left: &[f32], right: &[f32]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-6)
}

#[tokio::test(flavor = "multi_thread")]
async fn embed_gives_what_sql_gives() {
    let server = Server::start().await;
    // The same rows in one call: the very same bits.
    let answer = server.ok("/v1/embed", &json!({"input": ["a red mug", "a lamp", null, "a red mug", ""]})).await;
    let rows = sql("SELECT embed(t) AS v FROM (VALUES (1, 'a red mug'), (2, 'a lamp'), (3, NULL), (4, 'a red mug'), (5, '')) AS x(i, t) ORDER BY i").await;
    let expected: Vec<Value> = rows.as_array().unwrap().iter().map(|row| row["v"].clone()).collect();
    for (row, (found, expected)) in answer["vectors"].as_array().unwrap().iter().zip(&expected).enumerate() {
        assert_eq!(found.is_null(), row == 2, "{row}");
        assert_eq!(found, expected, "{row}");
    }
    assert!(answer["model"].as_str().unwrap().starts_with("small@"), "{}", answer["model"]);
    assert!(answer["tokens"].as_u64().unwrap() >= 4 * 2);
    // Alone: another shape of batch.
    let alone = server.ok("/v1/embed", &json!({"model": "small", "input": "a lamp"})).await;
    assert!(close(&floats(&alone["vectors"][0]), &floats(&expected[1])));
    let empty = server.ok("/v1/embed", &json!({"input": []})).await;
    assert_eq!(empty["vectors"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_are_those_of_sql() {
    let server = Server::start().await;
    for prompt in ["query", "document", ""] {
        let body = json!({"model": "prompted", "input": "a lamp", "prompt": prompt});
        let answer = server.ok("/v1/embed", &body).await;
        let row = sql(&format!("SELECT embed('a lamp', 'prompted', '{prompt}') AS v")).await;
        assert!(close(&floats(&answer["vectors"][0]), &floats(&row[0]["v"])), "{prompt}");
    }
    let (status, message) = server.refused("/v1/embed", &json!({"input": "a", "prompt": "haiku"})).await;
    assert!(status == 400 && message.contains("has no prompt 'haiku'"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_together_are_requests_alone() {
    let options = BatchingOptions { latency_budget: std::time::Duration::from_millis(50), ..Default::default() };
    let server = Server::with(HttpOptions { batching: options, ..HttpOptions::default() }).await;
    let texts: Vec<String> = (0..40).map(|i| format!("{} number {i}", "a long product title ".repeat(i % 7))).collect();
    let (all, server) = (&texts, &server);
    let answers =
        join_all(all.chunks(3).map(|texts| async move { server.ok("/v1/embed", &json!({"input": texts})).await }))
            .await;
    let found: Vec<Vec<f32>> =
        answers.iter().flat_map(|answer| answer["vectors"].as_array().unwrap()).map(floats).collect();
    assert_eq!(found.len(), texts.len());
    for (text, found) in texts.iter().zip(&found) {
        let alone = sql(&format!("SELECT embed('{text}') AS v")).await;
        assert!(close(found, &floats(&alone[0]["v"])), "{text}");
    }
    let metrics = server.get("/metrics").await.text();
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(value("debut_model_rows_total"), 40.0);
    assert!(value("debut_model_batch_rows_count") < 14.0, "requests were put together: {metrics}");
    assert_eq!(value("debut_model_queue_rows"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_clients_are_understood() {
    let server = Server::start().await;
    let numbers =
        server.ok("/v1/embeddings", &json!({"model": "small", "input": ["a lamp", "a mug"], "user": "u"})).await;
    assert_eq!((&numbers["object"], &numbers["data"][1]["index"]), (&json!("list"), &json!(1)));
    let body = json!({"model": "small", "input": ["a lamp", "a mug"], "encoding_format": "base64"});
    let encoded = server.ok("/v1/embeddings", &body).await;
    for row in 0..2 {
        let bytes = STANDARD.decode(encoded["data"][row]["embedding"].as_str().unwrap()).unwrap();
        let values: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        assert_eq!(values, floats(&numbers["data"][row]["embedding"]));
    }
    let twice = server.ok("/v1/embeddings", &json!({"model": "small", "input": ["a lamp", "a lamp"]})).await;
    let once = server.ok("/v1/embeddings", &json!({"model": "small", "input": "a lamp"})).await;
    let tokens = |answer: &Value| answer["usage"]["prompt_tokens"].as_u64().unwrap();
    assert_eq!(tokens(&twice), 2 * tokens(&once));
    assert!(tokens(&once) >= 4, "a word each, and the two at the ends");
    let short = server.ok("/v1/embeddings", &json!({"model": "small", "input": "a lamp", "dimensions": 4})).await;
    let short = floats(&short["data"][0]["embedding"]);
    assert_eq!(short.len(), 4);
    assert!((short.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
    for (body, status, part) in [
        (json!({"model": "small", "input": [[1, 2]]}), 400, "input"),
        (json!({"model": "small", "input": []}), 400, "no text"),
        (json!({"input": "a"}), 400, "missing field `model`"),
        (json!({"model": "small", "input": "a", "dimensions": 4000}), 400, "dimensions"),
        (json!({"model": "smal", "input": "a"}), 404, "small"),
        (json!({"model": "../small", "input": "a"}), 400, "model"),
    ] {
        let (found, message) = server.refused("/v1/embeddings", &body).await;
        assert!(found == status && message.contains(part), "{body}: {found} {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn score_gives_what_sql_gives() {
    let server = Server::start().await;
    for model in ["small", "cross", "prompted"] {
        let body = json!({"model": model, "query": "a gift", "items": ["a red mug", null, "a lamp"]});
        let answer = server.ok("/v1/score", &body).await;
        let rows = sql(&format!(
            "SELECT score('a gift', t, '{model}') AS s FROM (VALUES (1, 'a red mug'), (2, NULL), (3, 'a lamp')) AS x(i, t) ORDER BY i"
        ))
        .await;
        for row in 0..3 {
            let (found, expected) = (&answer["scores"][row], &rows[row]["s"]);
            let near = match (found.as_f64(), expected.as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-6,
                (a, b) => a == b,
            };
            assert!(near, "{model} {row}: {found} {expected}");
        }
        let pairs = json!({"model": model, "pairs": [["a gift", "a red mug"], [null, "a"], ["a gift", "a lamp"]]});
        let pairs = server.ok("/v1/score", &pairs).await;
        assert!((pairs["scores"][2].as_f64().unwrap() - answer["scores"][2].as_f64().unwrap()).abs() < 1e-6);
        assert!(pairs["scores"][1].is_null());
    }
    for (body, part) in [
        (json!({"query": "a"}), "a request has"),
        (json!({"pairs": [["a", "b"]], "items": ["c"]}), "a request has"),
        (json!({"pairs": [["a", "b"], [1, "c"]]}), "some are integers"),
        (json!({"user": 7, "items": ["a"]}), "score"),
        (json!({"pairs": [["a"]]}), "pairs[0]"),
    ] {
        let (status, message) = server.refused("/v1/score", &body).await;
        assert!(status == 400 && message.contains(part), "{body}: {status} {message}");
    }
    for path in ["/v1/classify", "/v1/predict"] {
        let (status, message) = server.refused(path, &json!({"input": "a"})).await;
        assert!(status == 400 && message.contains("use embed"), "{message}");
    }
}
