//! Results of the walk: those of the engine without a server, and whether a client's are the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::json::WriterBuilder;
use arrow::json::writer::JsonArray;
use debut::engine::{Access, Engine, EngineOptions, Parameters, Session};
use debut::home::Home;
use debut::inference::Models;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::psql::NULL;
use crate::serve::Server;
use crate::statements;

/// Sums and models round in another way when rows meet in other batches, and the walk rounds to three or four digits.
const TOLERANCE: f64 = 1.1e-3;

/// A file and the number of a statement in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(String, usize);

impl Key {
    pub(crate) fn new(file: &str, number: usize) -> Self {
        Self(file.to_owned(), number)
    }
}

/// What a script tells of a statement.
#[derive(Deserialize)]
pub(crate) struct Told {
    pub(crate) file: String,
    pub(crate) statement: usize,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
}

/// Columns and rows of statements.
pub(crate) type Values = BTreeMap<Key, (Vec<String>, Vec<Vec<Value>>)>;

/// Rows of texts, the first of them the names of columns.
pub(crate) type Texts = BTreeMap<Key, Vec<Vec<String>>>;

/// What the engine gives for the statements that all clients run.
pub(crate) async fn of_engine(home: &Path, server: &Server) -> Values {
    let models = Arc::new(Models::new(Home::at(home)));
    let engine = Engine::open(models, &EngineOptions::default()).unwrap();
    let access = Access::served(&[server.folder.path().to_path_buf()], true).unwrap();
    let mut values = Values::new();
    for file in statements::shared() {
        let session = engine.session(&access).unwrap();
        let mut parameters = Parameters::default();
        for (name, value) in &file.parameters {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            parameters.add(name, &value).unwrap();
        }
        for statement in &file.statements {
            let batches = run(&session, &statement.sql, &parameters).await;
            let rows = batches.iter().flat_map(rows);
            let columns = batches.first().map_or_else(Vec::new, columns);
            let rows: Vec<_> = rows.collect();
            let asks = statement.sql.starts_with("SELECT") || statement.sql.starts_with("WITH");
            assert_eq!(asks, !rows.is_empty(), "there is something to compare: {}", statement.sql);
            values.insert(Key::new(file.file, statement.number), (columns, rows));
        }
    }
    values
}

async fn run(session: &Session, sql: &str, parameters: &Parameters) -> Vec<RecordBatch> {
    let mut statement = session.statements(sql).unwrap().remove(0);
    if let debut::engine::statements::Kind::Sql(statement) = &mut statement.kind {
        parameters.bind(statement, &mut Default::default()).unwrap();
    }
    session.run(statement).await.unwrap().collect().await.unwrap()
}

fn columns(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| field.name().clone()).collect()
}

fn rows(batch: &RecordBatch) -> Vec<Vec<Value>> {
    let mut json = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
    json.write(batch).unwrap();
    json.finish().unwrap();
    let rows: Vec<Map<String, Value>> = serde_json::from_slice(&json.into_inner()).unwrap();
    let columns = columns(batch);
    rows.into_iter().map(|row| columns.iter().map(|column| row[column].clone()).collect()).collect()
}

/// Whether each result that a client told is what the engine gives, and whether it told all of them.
///
/// # Errors
/// One is missing or another; the message shows both.
pub(crate) fn compare(client: &str, found: &Values, expected: &Values) -> Result<(), String> {
    for (key, (columns, rows)) in expected {
        let (found_columns, found_rows) = match found.get(key) {
            // It makes a table or the like; what is told of that is the client's.
            _ if columns.is_empty() => continue,
            Some(found) => found,
            None => return Err(format!("{client} has no result of {key:?}")),
        };
        let is_same = |found: &[Value], row: &[Value]| {
            found.len() == row.len() && found.iter().zip(row).all(|(found, value)| same(found, value))
        };
        let are_same = found_rows.len() == rows.len()
            && found_rows.iter().zip(rows).all(|(found, row)| is_same(found, row))
            && found_columns == columns;
        if !are_same {
            return Err(format!("{client}, {key:?}: {found_columns:?} {found_rows:?}\nand not\n{columns:?} {rows:?}"));
        }
    }
    Ok(())
}

fn same(found: &Value, expected: &Value) -> bool {
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => (found - expected).abs() <= TOLERANCE,
        _ => found == expected,
    }
}

/// [`compare`] for what a client prints as texts. What it left out is not missed.
pub(crate) fn compare_texts(client: &str, found: &Texts, expected: &Values) {
    let mut values = Values::new();
    for (key, (columns, rows)) in expected {
        let Some(texts) = found.get(key) else {
            values.insert(key.clone(), (columns.clone(), rows.clone()));
            continue;
        };
        if columns.is_empty() || texts.is_empty() {
            continue;
        }
        let mut texts = texts.clone();
        let names = texts.remove(0);
        let read = |(text, like): (&String, &Value)| match like {
            _ if text == NULL => Value::Null,
            Value::Number(_) => text.parse::<f64>().map_or_else(|_| text.as_str().into(), Value::from),
            Value::Bool(_) => Value::Bool(text == "t"),
            Value::String(like) if *like == text.replacen(' ', "T", 1) => like.as_str().into(),
            _ => text.as_str().into(),
        };
        let read = texts.iter().zip(rows).map(|(text, row)| text.iter().zip(row).map(read).collect());
        let mut read: Vec<Vec<Value>> = read.collect();
        // What is too much must not be lost in the comparison.
        read.extend(texts.iter().skip(rows.len()).map(|text| text.iter().map(|text| text.as_str().into()).collect()));
        values.insert(key.clone(), (names, read));
    }
    if let Err(message) = compare(client, &values, expected) {
        panic!("{message}");
    }
}
