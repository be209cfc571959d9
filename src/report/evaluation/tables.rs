//! Every number of an evaluation once, in tables. Takes a [`Summary`]; gives HTML. Called by `page`.

use super::summary::{Group, Kind, Summary, Verdict, interval, lower_is_better, metric_name, verdict_of, wilson};
use crate::recommend::evaluation::Metric;
use crate::recommend::evaluation::record::Row;
use crate::report::charts::dots::interval_of;
use crate::report::text::{count, escape, fixed, number, percent};

/// Metrics of what users took, in the order of a table.
const OF_TAKEN: [Metric; 6] = [Metric::Recall, Metric::Ndcg, Metric::HitRate, Metric::Map, Metric::Mrr, Metric::Auc];
/// Metrics of what was shown, in the order of another; what is not known here comes behind them.
const OF_SHOWN: [Metric; 4] = [Metric::Coverage, Metric::Gini, Metric::Novelty, Metric::Diversity];
/// Digits behind the point.
const DECIMALS: usize = 3;

/// A row a method, a column a metric: first for the length of lists that is drawn, then for the others.
pub(super) fn metrics(of: &Summary<'_>, group: Group) -> String {
    let rows = of.rows(group).filter(|row| of.kind(&row.method) != Kind::Difference && row.value.is_some());
    let rows = rows.collect::<Vec<_>>();
    let (main, others): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.k.is_none() || row.k == of.k);
    let name = capitalised(group.name());
    let others = match tables(of, &others) {
        table if table.is_empty() => table,
        table => format!("<details><summary>{name}, other lengths of lists</summary>{table}</details>\n"),
    };
    match tables(of, &main) {
        table if table.is_empty() => others,
        table => format!("<h3>{name}</h3>\n{table}{others}"),
    }
}

/// A table of what users took, and one of what was shown: all in one would be wider than most screens.
fn tables(of: &Summary<'_>, rows: &[&Row]) -> String {
    let of_taken = |row: &&&Row| OF_TAKEN.iter().any(|metric| metric.name() == row.metric);
    let (taken, shown): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(of_taken);
    format!("{}{}", table(of, &OF_TAKEN, &taken), table(of, &OF_SHOWN, &shown))
}

fn table(of: &Summary<'_>, order: &[Metric], rows: &[&Row]) -> String {
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
    if methods.is_empty() {
        return String::new();
    }
    let line = |method: &&str| {
        let cell = |(metric, k): &(&str, Option<u64>)| {
            let found = || rows.iter().filter(|row| row.method == *method && row.metric == *metric && row.k == *k);
            let row = found().find(|row| row.ci_low.is_some()).or_else(|| found().next());
            let value = row.and_then(|row| Some((row.value?, interval(row))));
            let text =
                value.map(|(value, range)| format!("{}{}", fixed(value, DECIMALS), interval_of(range, DECIMALS)));
            format!("<td>{}</td>", text.unwrap_or_else(|| "–".to_owned()))
        };
        line(method, of.kind(method) == Kind::Model, &columns.iter().map(cell).collect::<String>())
    };
    let head = columns.iter().map(|(metric, k)| metric_name(metric, *k)).collect::<Vec<_>>();
    wide("method", &head, &methods.iter().map(line).collect::<String>())
}

/// Differences of a method to another, with what they show.
pub(super) fn differences(of: &Summary<'_>, method: &str) -> String {
    let groups = [Group::NEW].into_iter().chain(Group::CATALOGUE);
    let rows = groups.flat_map(|group| of.rows(group).filter(|row| row.method == method).map(move |row| (group, row)));
    let lines = rows.filter_map(|(group, row)| {
        let shows = match verdict_of(row) {
            Some(Verdict::Better) => "<td class=\"better\">better</td>",
            Some(Verdict::Worse) => "<td class=\"worse\">worse</td>",
            Some(Verdict::Open) => "<td>may be chance</td>",
            None => "<td>–</td>",
        };
        let cells = format!(
            "<td>{}</td><td>{}{}</td>{shows}<td>{}</td>",
            escape(&metric_name(&row.metric, row.k)),
            fixed(row.value?, DECIMALS),
            interval_of(interval(row), DECIMALS),
            count(row.users),
        );
        Some(line(group.name(), false, &cells))
    });
    let lines = lines.collect::<String>();
    if lines.is_empty() {
        return lines;
    }
    let head = ["metric", "difference", "shows", "users"].map(str::to_owned);
    format!("<details><summary>All differences</summary>{}</details>\n", wide("of", &head, &lines))
}

/// The bins of the calibration plot.
pub(super) fn bins(of: &Summary<'_>) -> String {
    let lines = of.record.bins.iter().map(|bin| {
        let (low, high) = wilson(bin);
        let cells = format!(
            "<td>{}</td><td>{}</td><td>{}<small>{} to {}</small></td>",
            count(bin.rows),
            percent(bin.predicted),
            percent(bin.observed),
            percent(low),
            percent(high)
        );
        line(&format!("{} to {}", percent(bin.low), percent(bin.high)), false, &cells)
    });
    let lines = lines.collect::<String>();
    if lines.is_empty() {
        return lines;
    }
    let head = ["pairs", "mean probability", "happened"].map(str::to_owned);
    format!("<details><summary>Bins of the plot</summary>{}</details>\n", wide("probability", &head, &lines))
}

/// The weeks since the launch.
pub(super) fn weeks(rows: &[&Row]) -> String {
    let lines = rows.iter().filter_map(|row| {
        let value = format!("{}{}", fixed(row.value?, DECIMALS), interval_of(interval(row), DECIMALS));
        Some(line(&row.week?.to_string(), false, &format!("<td>{value}</td><td>{}</td>", count(row.users))))
    });
    let lines = lines.collect::<String>();
    let metric = rows.first().map(|row| metric_name(&row.metric, row.k)).unwrap_or_default();
    format!("<details><summary>Weeks</summary>{}</details>\n", wide("week", &[metric, "users".to_owned()], &lines))
}

/// What the model's lists would have earned, by inverse propensities.
pub(super) fn rewards(of: &Summary<'_>) -> String {
    let rows = [Metric::Ips, Metric::Snips].into_iter().flat_map(|metric| of.apart(metric.name()));
    let lines = rows.filter_map(|row| {
        let name = metric_name(&row.metric, row.k);
        let value = format!("{}{}", number(row.value?), interval_of(interval(row), 4));
        let cells = format!("<td>{}</td><td>{value}</td><td>{}</td>", escape(&name), count(row.users));
        Some(line(&row.method, of.kind(&row.method) == Kind::Model, &cells))
    });
    let lines = lines.collect::<String>();
    if lines.is_empty() { lines } else { wide("method", &["metric", "value", "users"].map(str::to_owned), &lines) }
}

/// The metrics of which less is better, where there are any.
pub(super) fn directions(of: &Summary<'_>) -> String {
    let lower = |metric: &&Metric| {
        let name = metric.name();
        lower_is_better(name) && of.record.rows.iter().any(|row| row.metric == name && row.value.is_some())
    };
    let names = OF_TAKEN.iter().chain(&OF_SHOWN).filter(lower).map(|metric| metric.name()).collect::<Vec<_>>();
    if names.is_empty() {
        String::new()
    } else {
        format!("<p class=\"aside\">{}: lower is better.</p>\n", names.join(", "))
    }
}

fn line(name: &str, chosen: bool, cells: &str) -> String {
    let class = if chosen { " class=\"chosen\"" } else { "" };
    format!("<tr{class}><th scope=\"row\">{}</th>{cells}</tr>\n", escape(name))
}

fn wide(first: &str, head: &[String], lines: &str) -> String {
    let head = head.iter().map(|name| format!("<th>{}</th>", escape(name))).collect::<String>();
    format!(
        "<div class=\"wide\"><table>\n<thead><tr><th>{}</th>{head}</tr></thead>\n<tbody>\n{lines}</tbody>\n</table></div>\n",
        escape(first)
    )
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
