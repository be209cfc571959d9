//! The document describes what the routes really answer.

use serde_json::{Value, json};

use super::{Server, sql, with_feedback};
use crate::server::http::options::HttpOptions;

/// What is wrong with a value, by a schema of the document.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.trim_start_matches('#')).ok_or(format!("no {reference}"))?;
        return check(document, schema, value, at);
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(schemas) = schema[choice].as_array() {
            let errors: Vec<String> =
                schemas.iter().filter_map(|schema| check(document, schema, value, at).err()).collect();
            return if errors.len() < schemas.len() { Ok(()) } else { Err(errors.join("; ")) };
        }
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = |allowed: &Value| allowed == kind || (allowed == "number" && kind == "integer");
    let allowed = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(fits),
        Value::Null => true,
        kind => fits(kind),
    };
    if !allowed {
        return Err(format!("{at}: {kind} is not {}", schema["type"]));
    }
    if let Some(items) = value.as_array() {
        items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| check(document, &schema["items"], item, &format!("{at}[{i}]")))?;
    }
    let Some(object) = value.as_object() else { return Ok(()) };
    for required in schema["required"].as_array().into_iter().flatten() {
        if !object.contains_key(required.as_str().unwrap()) {
            return Err(format!("{at}: {required} is missing"));
        }
    }
    if let Some(properties) = schema["properties"].as_object() {
        for (name, value) in object {
            let schema = properties.get(name).ok_or(format!("{at}.{name} is not described"))?;
            check(document, schema, value, &format!("{at}.{name}"))?;
        }
    }
    Ok(())
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let document =
        json!({"s": {"type": "object", "required": ["a"], "properties": {"a": {"type": ["number", "null"]}}}});
    let with = |value: Value| check(&document, &json!({"$ref": "#/s"}), &value, "v").is_ok();
    assert!(with(json!({"a": 1})) && with(json!({"a": 1.5})) && with(json!({"a": null})));
    assert!(!with(json!({"a": "x"})) && !with(json!({})) && !with(json!({"a": 1, "b": 2})) && !with(json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_described() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("items.parquet").display().to_string();
    sql(&format!("COPY (SELECT 1 AS i, 'a lamp' AS t) TO '{file}'")).await;
    let options =
        HttpOptions { page: Some(super::page::file(folder.path())), ..with_feedback(&folder.path().join("log")) };
    let server = Server::with(options).await;
    let document = server.get("/openapi.json").await.json();
    let mut untested: Vec<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let event = json!({"user_id": 1, "item_id": "a", "shown": true, "label": true, "context": {"page": 1}});
    for (path, body) in [
        ("/v1/embed", json!({"input": ["a", null]})),
        ("/v1/embeddings", json!({"model": "small", "input": "a"})),
        ("/v1/score", json!({"query": "a", "items": ["b", null]})),
        (
            "/v1/recommend",
            json!({"model": "shop", "users": [{"user_id": 1}], "items": [{"item_id": "a", "text": "b"}]}),
        ),
        (
            "/v1/recommend",
            json!({"model": "shop", "explain": true, "users": [{"user_id": 1}], "items": [{"item_id": "a", "text": "b"}]}),
        ),
        ("/v1/search", json!({"table": file, "query": "a", "k": 1, "column": "t"})),
        ("/v1/feedback", json!({"events": [event]})),
        ("/v1/page/items", json!({"k": 2})),
        ("/v1/page/users", json!({"query": "1", "k": 2})),
        ("/v1/page/history", json!({"user_id": "1", "k": 2})),
        ("/v1/page/recommend", json!({"customer": {"user_id": "1", "liked": ["b"]}, "only_new": true, "k": 2})),
        ("/v1/page/explain", json!({"customer": {"user_id": "1"}, "item_id": "a", "k": 2})),
        ("/v1/page/audience", json!({"item_id": "a", "k": 2})),
        ("/v1/page/words", json!({"text": "a lamp", "k": 2})),
        // Mistakes: their answers are described too.
        ("/v1/classify", json!({"input": "a"})),
        ("/v1/predict", json!({"input": 1})),
        ("/v1/score", json!({})),
        ("/v1/search", json!({"x": 1})),
    ] {
        let (status, answer) = server.post(path, &body).await;
        let responses = &document["paths"][path]["post"]["responses"];
        let response = if status == 200 { &responses["200"] } else { &responses["4XX"] };
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path} {status} is not described");
        check(&document, schema, &answer, path).unwrap_or_else(|error| panic!("{status}: {error}: {answer}"));
        // What the test sends is as described as well.
        if status == 200 {
            let schema = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
            check(&document, schema, &body, path).unwrap_or_else(|error| panic!("{error}: {body}"));
        }
        untested.retain(|other| other != path);
    }
    for path in ["/health", "/ready", "/v1/page"] {
        let answer = server.get(path).await;
        let response = &document["paths"][path]["get"]["responses"][answer.status.to_string()];
        check(&document, &response["content"]["application/json"]["schema"], &answer.json(), path).unwrap();
        untested.retain(|other| other != path);
    }
    assert_eq!(untested, ["/metrics"], "its answer is no JSON");
}
