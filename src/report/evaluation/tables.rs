//! Every number of an evaluation once, in tables. Takes a [`Summary`]; gives HTML.

use super::summary::{Group, Kind, Summary, Verdict, interval, lower_is_better, metric_name, verdict_of, wilson};
use maud::{Markup, html};

use crate::recommend::evaluation::Metric;
use crate::recommend::evaluation::record::Row;
use crate::report::charts::dots::interval_of;
use crate::report::page::{details, is_empty, table};
use crate::report::text::{count, fixed, number, percent};

/// Metrics of what users took, in the order of a table.
const OF_TAKEN: [Metric; 6] = [Metric::Recall, Metric::Ndcg, Metric::HitRate, Metric::Map, Metric::Mrr, Metric::Auc];
/// Metrics of what was shown, in the order of another; what is not known here comes behind them.
const OF_SHOWN: [Metric; 4] = [Metric::Coverage, Metric::Gini, Metric::Novelty, Metric::Diversity];
/// Metrics of forecasts, in the order of a table of their own.
const OF_FORECASTS: [Metric; 5] =
    [Metric::ForecastCoverage, Metric::ForecastError, Metric::Buyers, Metric::RevenueCoverage, Metric::RevenueError];
/// Digits behind the point.
const DECIMALS: usize = 3;

/// A row a method, a column a metric: first for the length of lists that is drawn, then for the others.
pub(super) fn metrics(of: &Summary<'_>, group: Group) -> Markup {
    let rows = of.rows(group).filter(|row| of.kind(&row.method) != Kind::Difference && row.value.is_some());
    let rows = rows.collect::<Vec<_>>();
    let (main, others): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.k.is_none() || row.k == of.k);
    let name = capitalised(group.name());
    let main = tables(of, &main);
    html! {
        @if !is_empty(&main) { h3 { (name) } (main) }
        (details(&format!("{name}, other lengths of lists"), &tables(of, &others)))
    }
}

/// A table of what users took, and one of what was shown: all in one would be wider than most screens.
fn tables(of: &Summary<'_>, rows: &[&Row]) -> Markup {
    let of_taken = |row: &&&Row| OF_TAKEN.iter().any(|metric| metric.name() == row.metric);
    let (taken, shown): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(of_taken);
    html! { (by_method(of, &OF_TAKEN, &taken)) (by_method(of, &OF_SHOWN, &shown)) }
}

fn by_method(of: &Summary<'_>, order: &[Metric], rows: &[&Row]) -> Markup {
    let place = |metric: &str| order.iter().position(|known| known.name() == metric).unwrap_or(order.len());
    let mut columns = rows.iter().map(|row| (row.metric.as_str(), row.k)).collect::<Vec<_>>();
    columns.sort_by_key(|(metric, k)| (place(metric), *metric, *k));
    columns.dedup();
    let mut methods: Vec<&str> = Vec::new();
    for row in rows {
        if !methods.contains(&row.method.as_str()) {
            methods.push(&row.method);
        }
    }
    let value = |method: &str, (metric, k): (&str, Option<u64>)| {
        let found = || rows.iter().filter(|row| row.method == method && row.metric == metric && row.k == k);
        let row = found().find(|row| row.ci_low.is_some()).or_else(|| found().next())?;
        row.value.map(|value| with_interval(value, row))
    };
    let lines = html! {
        @for method in methods {
            tr class=[chosen(of, method)] {
                th scope="row" { (method) }
                @for column in &columns {
                    td { @if let Some(value) = value(method, *column) { (value) } @else { "–" } }
                }
            }
        }
    };
    let head = columns.iter().map(|(metric, k)| metric_name(metric, *k)).collect::<Vec<_>>();
    table("method", &head, &lines)
}

/// Differences of a method to another, with what they show.
pub(super) fn differences(of: &Summary<'_>, method: &str) -> Markup {
    let groups = [Group::NEW].into_iter().chain(Group::CATALOGUE);
    let rows = groups.flat_map(|group| of.rows(group).filter(|row| row.method == method).map(move |row| (group, row)));
    let shows = |row| match verdict_of(row) {
        Some(Verdict::Better) => html! { td.better { "better" } },
        Some(Verdict::Worse) => html! { td.worse { "worse" } },
        Some(Verdict::Open) => html! { td { "may be chance" } },
        None => html! { td { "–" } },
    };
    let lines = html! {
        @for (group, row) in rows {
            @if let Some(value) = row.value {
                tr {
                    th scope="row" { (group.name()) }
                    td { (metric_name(&row.metric, row.k)) }
                    td { (with_interval(value, row)) }
                    (shows(row))
                    td { (count(row.users)) }
                }
            }
        }
    };
    details("All differences", &table("of", &["metric", "difference", "shows", "users"], &lines))
}

/// The bins of the calibration plot.
pub(super) fn bins(of: &Summary<'_>) -> Markup {
    let lines = html! {
        @for bin in &of.record.bins {
            @let (low, high) = wilson(bin);
            tr {
                th scope="row" { (percent(bin.low)) " to " (percent(bin.high)) }
                td { (count(bin.rows)) }
                td { (percent(bin.predicted)) }
                td { (percent(bin.observed)) small { (percent(low)) " to " (percent(high)) } }
            }
        }
    };
    details("Bins of the plot", &table("probability", &["pairs", "mean probability", "happened"], &lines))
}

/// The weeks since the launch.
pub(super) fn weeks(rows: &[&Row]) -> Markup {
    let lines = html! {
        @for row in rows {
            @if let (Some(value), Some(week)) = (row.value, row.week) {
                tr { th scope="row" { (week) } td { (with_interval(value, row)) } td { (count(row.users)) } }
            }
        }
    };
    let metric = rows.first().map(|row| metric_name(&row.metric, row.k)).unwrap_or_default();
    details("Weeks", &table("week", &[metric.as_str(), "users"], &lines))
}

/// Whether what was forecast of launches came true.
pub(super) fn forecasts(of: &Summary<'_>) -> Markup {
    let rows = OF_FORECASTS.into_iter().flat_map(|metric| of.apart(metric.name()));
    let lines = html! {
        @for row in rows {
            @if let (Some(value), Some(weeks)) = (row.value, row.week) {
                tr class=[chosen(of, &row.method)] {
                    th scope="row" { (row.method) }
                    td { (row.metric.replace('_', " ")) }
                    td { (weeks) }
                    td { (number(value)) (interval_of(interval(row), DECIMALS)) }
                    td { (count(row.items)) }
                }
            }
        }
    };
    table("method", &["metric", "weeks", "value", "launches"], &lines)
}

/// What the model's lists would have earned, by inverse propensities.
pub(super) fn rewards(of: &Summary<'_>) -> Markup {
    let rows = [Metric::Ips, Metric::Snips].into_iter().flat_map(|metric| of.apart(metric.name()));
    let lines = html! {
        @for row in rows {
            @if let Some(value) = row.value {
                tr class=[chosen(of, &row.method)] {
                    th scope="row" { (row.method) }
                    td { (metric_name(&row.metric, row.k)) }
                    td { (number(value)) (interval_of(interval(row), 4)) }
                    td { (count(row.users)) }
                }
            }
        }
    };
    table("method", &["metric", "value", "users"], &lines)
}

/// The metrics of which less is better, where there are any.
pub(super) fn directions(of: &Summary<'_>) -> Markup {
    let lower = |metric: &&Metric| {
        let name = metric.name();
        lower_is_better(name) && of.record.rows.iter().any(|row| row.metric == name && row.value.is_some())
    };
    let names = OF_TAKEN.iter().chain(&OF_SHOWN).filter(lower).map(|metric| metric.name()).collect::<Vec<_>>();
    html! { @if !names.is_empty() { p.aside { (names.join(", ")) ": lower is better." } } }
}

/// The class of the line of a method that the evaluation is about.
fn chosen(of: &Summary<'_>, method: &str) -> Option<&'static str> {
    (of.kind(method) == Kind::Model).then_some("chosen")
}

/// The value of a row, with its interval behind or below.
fn with_interval(value: f64, row: &Row) -> Markup {
    html! { (fixed(value, DECIMALS)) (interval_of(interval(row), DECIMALS)) }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
