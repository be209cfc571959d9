//! `debut.evaluations`: takes the evaluations on disk, gives a row for each, the oldest first.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray, TimestampSecondArray, UInt64Array,
};
use datafusion::common::Result;

use super::{external, table};
use crate::recommend::evaluation::record::{Record, Records, Row};
use crate::report::evaluation::{Headline, headline};

/// Evaluations as rows; what was not measured is NULL, and so is what cannot be read of a damaged one, whose `problem` says why.
pub(super) fn evaluations_table(kept: &Records) -> Result<RecordBatch> {
    let evaluations = kept.all().map_err(external)?;
    let records: Vec<Option<&Record>> = evaluations.iter().map(|(_, record)| record.as_ref().ok()).collect();
    let headlines: Vec<Option<Headline<'_>>> = records.iter().map(|record| record.map(headline)).collect();
    let text = |value: &dyn Fn(&Record) -> Option<&str>| -> ArrayRef {
        Arc::new(records.iter().map(|record| value((*record)?).map(str::to_owned)).collect::<StringArray>())
    };
    let count = |value: &dyn Fn(&Headline<'_>) -> Option<u64>| -> ArrayRef {
        Arc::new(headlines.iter().map(|headline| value(headline.as_ref()?)).collect::<UInt64Array>())
    };
    let float = |value: &dyn Fn(&Headline<'_>) -> Option<f64>| -> ArrayRef {
        Arc::new(headlines.iter().map(|headline| value(headline.as_ref()?)).collect::<Float64Array>())
    };
    let value = |row: Option<&Row>| row?.value;
    let created = records.iter().map(|record| Some(i64::try_from((*record)?.created_at).unwrap_or(i64::MAX)));
    let since = records.iter().map(|record| (*record)?.since);
    let users = records.iter().map(|record| Some((*record)?.users));
    let problem = evaluations.iter().map(|(_, record)| record.as_ref().err().map(ToString::to_string));
    let file = evaluations.iter().map(|(id, _)| Some(kept.path(id).display().to_string()));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("evaluation", Arc::new(evaluations.iter().map(|(id, _)| Some(id.as_str())).collect::<StringArray>())),
        ("created_at", Arc::new(created.collect::<TimestampSecondArray>())),
        ("model", text(&|record| Some(&record.model))),
        ("against", text(&|record| record.against.as_deref())),
        ("since", Arc::new(since.collect::<TimestampMicrosecondArray>())),
        ("users", Arc::new(users.collect::<UInt64Array>())),
        ("new_items", count(&|headline| Some(headline.new_recall?.items))),
        ("items", count(&|headline| Some(headline.all_recall?.items))),
        ("k", count(&|headline| headline.k)),
        ("new_recall", float(&|headline| value(headline.new_recall))),
        ("new_ndcg", float(&|headline| value(headline.new_ndcg))),
        ("all_recall", float(&|headline| value(headline.all_recall))),
        ("recall_difference", float(&|headline| value(headline.difference))),
        ("log_loss", float(&|headline| headline.log_loss)),
        ("calibration_error", float(&|headline| headline.calibration_error)),
        ("file", Arc::new(file.collect::<StringArray>())),
        ("problem", Arc::new(problem.collect::<StringArray>())),
    ];
    table(columns, &["evaluation", "file"])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float64Type, UInt64Type};

    use super::super::tests::rows;
    use super::*;
    use crate::home::Home;

    fn row(method: &str, candidates: &str, metric: &str, k: Option<u64>, value: f64) -> Row {
        Row {
            method: method.into(),
            candidates: candidates.into(),
            segment: candidates.into(),
            metric: metric.into(),
            k,
            value: Some(value),
            ci_low: Some(value - 0.1),
            ci_high: Some(value + 0.1),
            users: 9,
            items: if candidates == "new" { 30 } else { 200 },
            boost: None,
            week: None,
        }
    }

    fn record(created_at: u64) -> Record {
        Record {
            id: String::new(),
            model: "shop@2".into(),
            against: Some("shop@1".into()),
            created_at,
            since: Some(1_764_547_200_000_000),
            users: 9,
            notes: Vec::new(),
            rows: vec![
                row("shop@2", "new", "recall", Some(10), 0.25),
                row("shop@2", "new", "recall", Some(20), 0.5),
                row("shop@1", "new", "recall", Some(20), 0.25),
                row("shop@2 - shop@1", "new", "recall", Some(20), 0.25),
                row("shop@2", "new", "ndcg", Some(20), 0.375),
                row("shop@2", "all", "recall", Some(20), 0.125),
                row("shop@2", "new", "log_loss", None, 0.0625),
            ],
            bins: Vec::new(),
        }
    }

    #[tokio::test]
    async fn evaluations_are_rows_with_the_numbers_that_their_pages_begin_with() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let kept = Records::open(&home);
        let none = rows(&home, "SELECT count(*) FROM debut.evaluations").await;
        assert_eq!(none.column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0), 0);

        let first = kept.create(record(1_795_559_000)).unwrap();
        // What older versions have written tells no `since`, and one without new items has no numbers of them.
        kept.create(Record { since: None, against: None, rows: Vec::new(), ..record(1_795_559_001) }).unwrap();
        let damaged = kept.create(record(1_795_559_002)).unwrap();
        std::fs::write(kept.path(&damaged.id), "{").unwrap();
        let found = rows(
            &home,
            "SELECT evaluation, model, against, since = TIMESTAMP '2025-12-01', k, new_items, items, users, new_recall, new_ndcg,
                    all_recall, recall_difference, log_loss, calibration_error, problem, file
             FROM debut.evaluations ORDER BY evaluation",
        )
        .await;
        assert_eq!(found.num_rows(), 3);
        let text = |column: usize, row| found.column(column).as_string::<i32>().value(row).to_owned();
        assert_eq!([text(0, 0), text(1, 0), text(2, 0)], [first.id.as_str(), "shop@2", "shop@1"]);
        assert!(found.column(3).as_boolean().value(0) && found.column(3).is_null(1));
        let counts = (4..8).map(|column| found.column(column).as_primitive::<UInt64Type>().value(0));
        assert_eq!(counts.collect::<Vec<_>>(), [20, 30, 200, 9]);
        let values = (8..13).map(|column| found.column(column).as_primitive::<Float64Type>().value(0));
        assert_eq!(values.collect::<Vec<_>>(), [0.5, 0.375, 0.125, 0.25, 0.0625]);
        // What was not measured is not known, and a damaged one hides no other.
        assert!(found.column(13).is_null(0) && found.column(8).is_null(1) && found.column(14).is_null(1));
        assert!(found.column(1).is_null(2) && text(14, 2).contains("is damaged") && text(15, 2).ends_with(".json"));
    }
}
