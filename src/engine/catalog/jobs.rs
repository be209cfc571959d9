//! `debut.jobs`: takes the records of jobs, gives a row for each statement that was begun, the oldest run first.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use datafusion::common::Result;

use super::{external, table};
use crate::jobs::record::{Record, Statement};
use crate::jobs::runs::{Listed, Runs};

/// Statements of runs as rows; of a damaged record there is one row, whose `problem` says why.
pub(super) fn jobs_table(runs: &Runs) -> Result<RecordBatch> {
    let listed = runs.list().map_err(external)?;
    let mut rows: Vec<(&Listed, Option<&Record>, Option<&Statement>)> = Vec::new();
    for run in &listed {
        match &run.record {
            Ok(record) => rows.extend(record.statements.iter().map(|statement| (run, Some(record), Some(statement)))),
            Err(_) => rows.push((run, None, None)),
        }
    }
    let of_run = |value: &dyn Fn(&Record) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, record, _)| value((*record)?)).collect::<StringArray>())
    };
    let text = |value: &dyn Fn(&Statement) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(|(.., statement)| value((*statement)?)).collect::<StringArray>())
    };
    let count = |value: &dyn Fn(&Statement) -> Option<u64>| -> ArrayRef {
        Arc::new(rows.iter().map(|(.., statement)| value((*statement)?)).collect::<UInt64Array>())
    };
    let process = rows.iter().map(|(_, record, _)| Some((*record)?.process));
    let since = rows.iter().map(|(_, record, _)| (*record)?.since);
    let until = rows.iter().map(|(_, record, _)| Some((*record)?.until));
    let started = rows.iter().map(|(.., statement)| Some((*statement)?.started_at));
    let seconds = rows.iter().map(|(.., statement)| (*statement)?.seconds);
    let attempts = rows.iter().map(|(.., statement)| Some((*statement)?.attempts));
    let problem = rows.iter().map(|(run, ..)| run.record.as_ref().err().map(ToString::to_string));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("run", Arc::new(rows.iter().map(|(run, ..)| Some(run.id.as_str())).collect::<StringArray>())),
        ("run_state", of_run(&|record| Some(record.state.to_string()))),
        ("job", of_run(&|record| Some(record.job.clone()))),
        ("parameters", of_run(&|record| serde_json::to_string(&record.parameters).ok())),
        ("since", Arc::new(since.collect::<TimestampMicrosecondArray>())),
        ("until", Arc::new(until.collect::<TimestampMicrosecondArray>())),
        ("process", Arc::new(process.collect::<UInt32Array>())),
        ("number", count(&|statement| Some(statement.number as u64))),
        ("line", count(&|statement| Some(statement.line))),
        ("statement", text(&|statement| Some(statement.statement.clone()))),
        ("state", text(&|statement| Some(statement.state.to_string()))),
        ("started_at", Arc::new(started.collect::<TimestampMicrosecondArray>())),
        ("seconds", Arc::new(seconds.collect::<Float64Array>())),
        ("rows", count(&|statement| statement.rows)),
        ("attempts", Arc::new(attempts.collect::<UInt32Array>())),
        ("error", text(&|statement| statement.error.clone())),
        ("problem", Arc::new(problem.collect::<StringArray>())),
    ];
    table(columns, &["run"])
}
