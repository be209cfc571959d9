//! Runs every `tests/slt/*.slt`, each in a session of its own.
//!
//! `DEBUT_SLT=complete cargo test --test slt` writes the results into the files instead; read the diff before you
//! commit it. `$DATA` in a file is the folder `data/`, `$MODELS` the folder of the small test models, `$PICTURES` that of the
//! small pictures, `$TMP` an empty folder. The model `color` reads pictures.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use datafusion::common::DataFusionError;
use debut::engine::Session;
use debut::home::Home;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner, default_normalizer, default_validator};

mod support;

struct Database {
    session: Arc<Session>,
    places: Vec<(&'static str, String)>,
}

#[async_trait]
impl AsyncDB for Database {
    type Error = DataFusionError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, DataFusionError> {
        let sql = self.places.iter().fold(sql.to_string(), |sql, (name, path)| sql.replace(name, path));
        let mut last = None;
        for statement in self.session.statements(&sql)? {
            let frame = self.session.run(statement).await?;
            let schema = Arc::clone(frame.schema().inner());
            last = Some((schema, frame.collect().await?));
        }
        let Some((schema, batches)) = last else { return Ok(DBOutput::StatementComplete(0)) };
        if schema.fields().is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        let types = schema.fields().iter().map(|field| column_type(field.data_type())).collect();
        let mut rows = Vec::new();
        for batch in &batches {
            rows.extend(text_rows(batch)?);
        }
        Ok(DBOutput::Rows { types, rows })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &'static str {
        "debut"
    }
}

fn column_type(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DefaultColumnType::Text,
        integer if integer.is_integer() => DefaultColumnType::Integer,
        float if float.is_floating() => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Any,
    }
}

fn text_rows(batch: &RecordBatch) -> Result<Vec<Vec<String>>, DataFusionError> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = batch.columns().iter().map(rounded).collect::<Vec<_>>();
    let formatters =
        columns.iter().map(|column| ArrayFormatter::try_new(column, &options)).collect::<Result<Vec<_>, _>>()?;
    let cell = |row: usize| {
        formatters.iter().map(move |formatter| match formatter.value(row).to_string() {
            empty if empty.is_empty() => "(empty)".to_string(),
            text => without_vectors(&text.replace('\n', "\\n")),
        })
    };
    Ok((0..batch.num_rows()).map(|row| cell(row).collect()).collect())
}

/// Plans show constant vectors with all their values and the fingerprint of the model; tests need not.
fn without_vectors(text: &str) -> String {
    let mut short = String::new();
    let mut rest = text;
    while let Some((before, vector)) = rest.split_once("FixedSizeList([") {
        short.push_str(before);
        short.push_str("[...]");
        rest = vector.split_once("])").map_or("", |(_, after)| after);
        if let Some(after) = rest.strip_prefix(" FieldMetadata { inner: {").and_then(|rest| rest.split_once("} }")) {
            rest = after.1;
        }
    }
    short.push_str(rest);
    short
}

/// Four decimals: the same on every machine.
fn rounded(column: &ArrayRef) -> ArrayRef {
    let round = |value: f64| (value * 1e4).round() / 1e4 + 0.0;
    match column.data_type() {
        DataType::Float32 => {
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float64Type>(|value| round(f64::from(value))))
        }
        DataType::Float64 => Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(round)),
        _ => Arc::clone(column),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slt_files() {
    let complete = std::env::var("DEBUT_SLT").is_ok_and(|mode| mode == "complete");
    let only = std::env::var("DEBUT_SLT_FILE").ok();
    let mut files: Vec<_> =
        std::fs::read_dir(support::repository("tests/slt")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut failures = Vec::new();
    let home = support::fresh_home();
    support::pictures::add_color_model(home.path());
    for file in files {
        if only.as_ref().is_some_and(|only| file.file_stem().unwrap() != only.as_str()) {
            continue;
        }
        let temporary = tempfile::tempdir().unwrap();
        let session = Arc::new(support::session_at(Home::at(home.path())));
        let places = vec![
            ("$DATA", support::repository("data").display().to_string()),
            ("$MODELS", support::repository("tests/reference/models").display().to_string()),
            ("$PICTURES", support::repository("tests/reference/images").display().to_string()),
            ("$TMP", temporary.path().display().to_string()),
        ];
        let mut runner = Runner::new(|| {
            let database = Database { session: Arc::clone(&session), places: places.clone() };
            async { Ok(database) }
        });
        let result = if complete {
            runner
                .update_test_file(&file, " ", default_validator, default_normalizer, |_, _| true)
                .await
                .map_err(|error| error.to_string())
        } else {
            runner.run_file_async(&file).await.map_err(|error| error.display(false).to_string())
        };
        if let Err(error) = result {
            failures.push(format!("{}: {error}", file.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
