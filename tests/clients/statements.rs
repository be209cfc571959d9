//! The walk as statements: takes the files of `sql/`; gives the texts of their statements by number.

use std::fs;

use datafusion::sql::sqlparser::dialect::GenericDialect;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::support;
use crate::walk::{Step, WALK};

/// Only psql runs these: in a debug build they take up to a minute each, and show of a client what the others show as well; and the
/// second run of `refresh.sql` has other results than the first.
const ONCE: [&str; 12] = [
    "refresh.sql",
    "reviews.sql",
    "evaluate.sql",
    "experiment.sql",
    "gaps.sql",
    "service.sql",
    "drift.sql",
    "weekly.sql",
    "new_pictures.sql",
    "transfer.sql",
    "distill.sql",
    "demo.sql",
];

/// Trainings, and exports that embed the catalogue or rank for every customer: psql leaves their models and files to the others.
const SLOW_STATEMENTS: [&str; 5] = [
    "finetune(",
    "TO 'products_embedded.parquet'",
    "TO 'pictures_embedded.parquet'",
    "TO 'launch_mailing.parquet'",
    "TO 'launches_for_customers.parquet'",
];

/// What the clients run of a file, each file in a session of its own.
#[derive(Serialize)]
pub(crate) struct File {
    pub(crate) file: &'static str,
    pub(crate) statements: Vec<Numbered>,
    pub(crate) parameters: Map<String, Value>,
}

/// A statement and its number in the file.
#[derive(Serialize)]
pub(crate) struct Numbered {
    pub(crate) number: usize,
    pub(crate) sql: String,
}

/// All statements of a file, without their comments.
pub(crate) fn all(step: &Step) -> Vec<String> {
    let text = fs::read_to_string(support::repository("sql").join(step.file)).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let statements: Vec<String> =
        lines.join("\n").split(';').map(|sql| sql.trim().to_owned()).filter(|sql| !sql.is_empty()).collect();
    let parsed = debut::engine::statements::parse(&text, &GenericDialect {}).unwrap();
    assert_eq!(statements.len(), parsed.len(), "{}: a semicolon that does not end a statement", step.file);
    statements
}

/// What all clients run.
pub(crate) fn shared() -> Vec<File> {
    let steps = WALK.iter().filter(|step| !ONCE.contains(&step.file));
    let files = steps.map(|step| {
        let numbered = all(step).into_iter().enumerate().map(|(number, sql)| Numbered { number, sql });
        let is_slow = |sql: &str| SLOW_STATEMENTS.iter().any(|slow| sql.contains(slow));
        let parameters = step.parameters.iter().map(|(name, value)| {
            let value = value.parse::<i64>().map_or_else(|_| Value::from(*value), Value::from);
            ((*name).to_owned(), value)
        });
        File {
            file: step.file,
            statements: numbered.filter(|numbered| !is_slow(&numbered.sql)).collect(),
            parameters: parameters.collect(),
        }
    });
    files.collect()
}
