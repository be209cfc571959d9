//! The rows of an evaluation: takes tables of metrics, gives means with intervals; and the Arrow batch of a record.

use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::common::Result;

use super::bootstrap::{Estimate, Resampling};
use super::context::{EvaluationContext, MethodMetrics, Segment};
use super::lists::{Lists, exposure};
use super::per_user::PerUser;
use super::record::{Record, Row};
use super::{Column, Metric};
use crate::cancellation::{Cancelled, Stop, check};

/// What a row is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) method: &'a str,
    /// The boost of new candidates where all are ranked together.
    pub(crate) boost: Option<f64>,
}

/// The rows so far.
pub(crate) struct Table {
    columns: Vec<Column>,
    /// How many candidates are new, and how many there are.
    new_items: usize,
    items: usize,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(columns: Vec<Column>, new_items: usize, items: usize) -> Self {
        Self { columns, new_items, items, rows: Vec::new() }
    }

    /// All that was measured of a method.
    pub(crate) fn add_method(
        &mut self,
        subject: Subject<'_>,
        metrics: &MethodMetrics,
        cuts: &[usize],
        resampling: &Resampling,
        stop: Stop<'_>,
    ) -> Result<(), Cancelled> {
        self.means(subject, metrics, resampling, stop)?;
        let sets: [(&'static str, Segment, &Lists, usize); 2] = [
            ("new", Segment::New, &metrics.new_lists, self.new_items),
            ("all", Segment::All, &metrics.all_lists, self.items),
        ];
        for (candidates, segment, lists, items) in sets {
            for k in cuts {
                let Some(exposure) = exposure(lists, *k, items, resampling, stop)? else { continue };
                for (metric, estimate) in [(Metric::Coverage, exposure.coverage), (Metric::Gini, exposure.gini)] {
                    self.estimate(subject, candidates, segment, Column { metric, k: Some(*k) }, Some(estimate));
                }
            }
        }
        check(stop)
    }

    /// The means over users.
    pub(crate) fn means(
        &mut self,
        subject: Subject<'_>,
        metrics: &MethodMetrics,
        resampling: &Resampling,
        stop: Stop<'_>,
    ) -> Result<(), Cancelled> {
        let new: (&'static str, Segment, &PerUser) = ("new", Segment::New, &metrics.new);
        let all = Segment::ALL.into_iter().zip(&metrics.all).map(|(segment, table)| ("all", segment, table));
        for (candidates, segment, table) in std::iter::once(new).chain(all) {
            if table.rows() == 0 {
                continue;
            }
            let means = resampling.means(table, stop)?;
            for (column, estimate) in self.columns.clone().into_iter().zip(means) {
                self.estimate(subject, candidates, segment, column, estimate);
            }
        }
        Ok(())
    }

    pub(crate) fn estimate(
        &mut self,
        subject: Subject<'_>,
        candidates: &str,
        segment: Segment,
        column: Column,
        estimate: Option<Estimate>,
    ) -> Option<&mut Row> {
        let estimate = estimate?;
        let items = if candidates == "new" { self.new_items } else { self.items };
        self.rows.push(Row {
            method: subject.method.to_owned(),
            candidates: candidates.to_owned(),
            segment: segment.name().to_owned(),
            metric: column.metric.name().to_owned(),
            k: column.k.map(|k| k as u64),
            value: Some(estimate.value),
            ci_low: estimate.interval.map(|(low, _)| low),
            ci_high: estimate.interval.map(|(_, high)| high),
            users: estimate.users as u64,
            items: items as u64,
            boost: subject.boost.filter(|_| candidates == "all"),
            week: None,
        });
        self.rows.last_mut()
    }

    /// A number without an interval, about new candidates.
    pub(crate) fn number(&mut self, method: &str, metric: &str, value: Option<f64>, users: usize) {
        self.rows.push(Row {
            method: method.to_owned(),
            candidates: "new".to_owned(),
            segment: Segment::New.name().to_owned(),
            metric: metric.to_owned(),
            k: None,
            value,
            ci_low: None,
            ci_high: None,
            users: users as u64,
            items: self.new_items as u64,
            boost: None,
            week: None,
        });
    }

    /// The recall of new candidates week by week since their launch.
    pub(crate) fn weeks(
        &mut self,
        subject: Subject<'_>,
        weeks: &[(u32, usize, f64)],
        k: Option<usize>,
        resampling: &Resampling,
        stop: Stop<'_>,
    ) -> Result<(), Cancelled> {
        let last = weeks.iter().map(|(_, week, _)| *week).max().unwrap_or_default();
        for week in 0..=last {
            let mut table = PerUser::new(1);
            for (user, _, recall) in weeks.iter().filter(|(_, other, _)| *other == week) {
                table.push(*user, &[*recall]);
            }
            let means = resampling.means(&table, stop)?;
            let column = Column { metric: Metric::Recall, k };
            let recall = means.into_iter().next().flatten();
            if let Some(row) = self.estimate(subject, "new", Segment::New, column, recall) {
                row.week = Some(week as u64);
            }
        }
        Ok(())
    }

    /// What a boost does to all candidates ranked together.
    pub(crate) fn boost(
        &mut self,
        method: &str,
        boost: f64,
        metrics: &MethodMetrics,
        context: &EvaluationContext<'_>,
        stop: Stop<'_>,
    ) -> Result<(), Cancelled> {
        let none = Resampling { resamples: 0, ..Resampling::default() };
        let subject = Subject { method, boost: Some(boost) };
        for (segment, table) in Segment::ALL.into_iter().zip(&metrics.all) {
            let means = none.means(table, stop)?;
            for (column, estimate) in self.columns.clone().into_iter().zip(means) {
                if column.metric == Metric::Recall {
                    self.estimate(subject, "all", segment, column, estimate);
                }
            }
        }
        let lists = &metrics.all_lists;
        for k in context.cuts {
            let (mut new, mut places) = (0usize, 0usize);
            for user in 0..lists.users() {
                let list = lists.first(user, *k);
                places += list.len();
                new += list.iter().filter(|item| context.is_new[**item as usize]).count();
            }
            self.rows.push(Row {
                method: method.to_owned(),
                candidates: "all".to_owned(),
                segment: Segment::New.name().to_owned(),
                metric: "new_share".to_owned(),
                k: Some(*k as u64),
                value: (places > 0).then(|| new as f64 / places as f64),
                ci_low: None,
                ci_high: None,
                users: lists.users() as u64,
                items: self.items as u64,
                boost: Some(boost),
                week: None,
            });
        }
        Ok(())
    }
}

/// The rows of a record as SQL sees them.
pub(crate) fn batch(record: &Record) -> Result<RecordBatch> {
    let rows = &record.rows;
    let text = |pick: fn(&Row) -> &str| Arc::new(rows.iter().map(|row| Some(pick(row))).collect::<StringArray>());
    let float = |pick: fn(&Row) -> Option<f64>| Arc::new(rows.iter().map(pick).collect::<Float64Array>());
    let integer = |pick: fn(&Row) -> Option<u64>| {
        Arc::new(rows.iter().map(|row| pick(row).map(|value| value as i64)).collect::<Int64Array>())
    };
    Ok(RecordBatch::try_new(
        debut_udfs::evaluate::schema(),
        vec![
            text(|row| &row.method),
            text(|row| &row.candidates),
            text(|row| &row.segment),
            text(|row| &row.metric),
            integer(|row| row.k),
            float(|row| row.value),
            float(|row| row.ci_low),
            float(|row| row.ci_high),
            integer(|row| Some(row.users)),
            integer(|row| Some(row.items)),
            float(|row| row.boost),
            integer(|row| row.week),
            Arc::new(rows.iter().map(|_| Some(record.id.as_str())).collect::<StringArray>()),
        ],
    )?)
}
