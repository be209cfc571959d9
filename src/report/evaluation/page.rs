//! The page's sections, from the verdict to the small print. Takes a [`Summary`]; gives HTML.

use maud::{Markup, html};

use super::curves;
use super::summary::{AUDIENCE_AUC, BASE_RATE, Group, Kind, NEW_SHARE, Summary, TEXT_KNN, interval, metric_name};
use super::tables;
use crate::recommend::evaluation::Metric;
use crate::recommend::evaluation::record::Row;
use crate::report::charts::dots::{Dots, Entry};
use crate::report::page::{document, figure, is_empty, notes, pairs, section, side_by_side};
use crate::report::text::{count, fixed, instant, number, percent, plural, range, timestamp};

/// Digits of metrics behind the point.
const DECIMALS: usize = 3;
/// The metrics that are drawn of rankings.
const DRAWN: [Metric; 2] = [Metric::Recall, Metric::Ndcg];
/// Those that differences are drawn of; all lie between 0 and 1.
const COMPARED: [Metric; 6] = [Metric::Recall, Metric::Ndcg, Metric::HitRate, Metric::Map, Metric::Mrr, Metric::Auc];

/// The whole page.
pub(super) fn render(of: &Summary<'_>) -> String {
    let record = of.record;
    let body = html! {
        (header(of))
        (figures(of))
        (compared(of))
        (new_items(of))
        (catalogue(of))
        (boosts(of))
        (chances(of))
        (weeks(of))
        (audience(of))
        (forecasts(of))
        (parts(of))
        (rewards(of))
        (numbers(of))
        (small_print(of))
    };
    document(&format!("{}: evaluation {}", record.model, record.id), &body)
}

fn header(of: &Summary<'_>) -> Markup {
    let record = of.record;
    html! {
        header {
            p.kicker { "Evaluation " (record.id) }
            h1 { (record.model) }
            p.what {
                @if let Some(other) = &record.against { "compared with " (other) " · " }
                (plural(record.users, "user")) " · " (instant(record.created_at))
            }
            p.verdict { (of.verdict()) }
        }
    }
}

/// The few numbers that a reader looks for first.
fn figures(of: &Summary<'_>) -> Markup {
    let headline = of.headline();
    let rows = [
        (headline.new_recall, "new items"),
        (headline.new_ndcg, "new items"),
        (headline.all_recall, "whole catalogue"),
    ];
    let metric = |row: &Row, what: &str| {
        let label = format!("{}, {what}", metric_name(&row.metric, row.k));
        let note = interval(row).map(|interval| range(interval, DECIMALS)).unwrap_or_default();
        Some(figure(&label, &fixed(row.value?, DECIMALS), &note, ""))
    };
    let log_loss = |loss| {
        let (note, class) = match of.gain() {
            Some(gain) if gain < 0.0 => (format!("{} above the base rate's", percent(-gain)), "worse"),
            Some(gain) => (format!("{} below the base rate's", percent(gain)), "better"),
            None => (String::new(), ""),
        };
        figure("log-loss", &number(loss), &note, class)
    };
    let figures = html! {
        @for (row, what) in rows { @if let Some(figure) = row.and_then(|row| metric(row, what)) { (figure) } }
        @if let Some(loss) = headline.log_loss { (log_loss(loss)) }
        @if let Some(error) = headline.calibration_error { (figure("calibration error", &number(error), "", "")) }
    };
    html! { @if !is_empty(&figures) { dl.figures { (figures) } } }
}

fn compared(of: &Summary<'_>) -> Markup {
    let (Some(name), Some(against)) = (of.difference(), of.record.against.as_ref()) else { return html! {} };
    let charts = [Group::NEW].into_iter().chain(Group::CATALOGUE).map(|group| {
        let entries = COMPARED.iter().filter_map(|metric| {
            let k = of.k.filter(|_| !matches!(metric, Metric::Mrr | Metric::Auc));
            let row = of.row(group, &name, metric.name(), k)?;
            Some(Entry { label: metric_name(metric.name(), k), ..entry(row, false)? })
        });
        Dots {
            title: format!("Difference on {}", group.name()),
            names: "metric",
            entries: entries.collect(),
            around_zero: true,
            decimals: DECIMALS,
        }
        .render()
    });
    let body = html! { (side_by_side(&all(charts))) (tables::differences(of, &name)) };
    let lead = "User by user, over the same users. To the right of zero it is better, and where the whisker does not reach \
                zero that is hardly chance.";
    section(&format!("Compared with {against}"), lead, &body)
}

fn new_items(of: &Summary<'_>) -> Markup {
    let charts = DRAWN.map(|metric| {
        let title = metric_name(metric.name(), of.k);
        ranking(of, Group::NEW, metric, title, |kind, _| kind != Kind::Part)
    });
    let lead = "Only items that nobody had taken before are ranked, and only what users took of them counts.";
    section("New items among themselves", lead, &side_by_side(&all(charts)))
}

fn catalogue(of: &Summary<'_>) -> Markup {
    let charts = Group::CATALOGUE.map(|group| {
        let title = format!("{}, {} items", metric_name(Metric::Recall.name(), of.k), group.segment);
        ranking(of, group, Metric::Recall, title, |kind, _| kind != Kind::Part)
    });
    let boost = match of.boost() {
        None => String::new(),
        Some(1.0) => " New items count like all others.".to_owned(),
        Some(boost) => format!(" New items count {} times as much.", number(boost)),
    };
    let lead = format!("All items are ranked together; what a user had before is left out.{boost}");
    section("The whole catalogue", &lead, &side_by_side(&all(charts)))
}

fn boosts(of: &Summary<'_>) -> Markup {
    let shown = of.boost().and_then(|boost| {
        let mut shares = of.apart(NEW_SHARE).filter(|row| row.boost == Some(boost) && row.k == of.k);
        Some(format!(" With the model's own, {} of what is shown is new.", percent(shares.next()?.value?)))
    });
    let lead = format!(
        "How many times a new item counts decides how many are shown, and at whose expense.{}",
        shown.unwrap_or_default()
    );
    section("Boost of new items", &lead, &side_by_side(&curves::boosts(of)))
}

fn chances(of: &Summary<'_>) -> Markup {
    let model = &of.record.model;
    let plot = curves::calibration(of);
    let pairs_seen = of.record.bins.iter().map(|bin| bin.rows).sum::<u64>();
    let gain = of.gain();
    let is_worse = gain.is_some_and(|gain| gain < 0.0);
    let values = [
        ("log-loss", of.chance(model, Metric::LogLoss.name()).map(number)),
        ("log-loss of the base rate", of.chance(BASE_RATE, Metric::LogLoss.name()).map(number)),
        (
            if is_worse { "above the base rate's by" } else { "below the base rate's by" },
            gain.map(|gain| percent(gain.abs())),
        ),
        ("calibration error", of.chance(model, Metric::CalibrationError.name()).map(number)),
        ("Brier score", of.chance(model, Metric::Brier.name()).map(number)),
        ("pairs of a user and a new item", (pairs_seen > 0).then(|| count(pairs_seen))),
    ];
    let values = values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect::<Vec<_>>();
    if values.is_empty() {
        return html! {};
    }
    let lead = "A dot is a bin of pairs with similar probabilities. On the dashed line as many were taken as was said; on \
                the lower edge none were. Whiskers are 95% intervals, as if pairs were independent.";
    let lead = if is_empty(&plot) { "" } else { lead };
    let body = html! { div.charts { (plot) div { (pairs(values)) } } (tables::bins(of)) };
    section("Probabilities", lead, &body)
}

fn weeks(of: &Summary<'_>) -> Markup {
    let (chart, rows) = curves::weeks(of);
    if is_empty(&chart) {
        return chart;
    }
    let body = html! { (side_by_side(&chart)) (tables::weeks(&rows)) };
    let left_out = if rows.iter().any(|row| row.users < curves::LEAST_USERS) {
        format!(" Weeks of fewer than {} users are in the table alone.", curves::LEAST_USERS)
    } else {
        String::new()
    };
    let lead = format!("What users took in each week of an item's life, 0 being the first.{left_out}");
    section("Since the launch", &lead, &body)
}

fn audience(of: &Summary<'_>) -> Markup {
    let entries = of.apart(AUDIENCE_AUC).filter_map(|row| entry(row, of.kind(&row.method) == Kind::Model));
    let dots = Dots {
        title: "AUC of an item's takers among all users".to_owned(),
        names: "method",
        entries: sorted(entries),
        decimals: DECIMALS,
        ..Dots::default()
    };
    let lead = "Whether the users who took a new item are ranked above those who did not; .5 is chance.";
    section("Whom to show a launch to", lead, &side_by_side(&dots.render()))
}

fn parts(of: &Summary<'_>) -> Markup {
    if !of.record.rows.iter().any(|row| of.kind(&row.method) == Kind::Part) {
        return html! {};
    }
    let charts = DRAWN.map(|metric| {
        let title = metric_name(metric.name(), of.k);
        let shown = |kind, method: &str| matches!(kind, Kind::Model | Kind::Part) || method == TEXT_KNN;
        ranking(of, Group::NEW, metric, title, shown)
    });
    let main = of.difference();
    let others = |method: &str| of.kind(method) == Kind::Difference && Some(method) != main.as_deref();
    let differences = methods(of, Group::NEW, others).into_iter().map(|method| {
        let entries = DRAWN.iter().filter_map(|metric| {
            let row = of.row(Group::NEW, method, metric.name(), of.k)?;
            Some(Entry { label: metric_name(metric.name(), of.k), ..entry(row, false)? })
        });
        let (title, entries) = (method.replacen(" - ", " less ", 1), entries.collect());
        Dots { title, names: "metric", entries, around_zero: true, decimals: DECIMALS }.render()
    });
    let body = html! { (side_by_side(&all(charts))) (side_by_side(&all(differences))) };
    section("Its parts alone", "New items among themselves, ranked by one part at a time.", &body)
}

fn forecasts(of: &Summary<'_>) -> Markup {
    let lead = "What launches sold in their first weeks: nine of ten should be within their intervals. Errors are mean absolute ones.";
    section("Its forecasts of launches", lead, &tables::forecasts(of))
}

fn rewards(of: &Summary<'_>) -> Markup {
    let lead = "From what was shown with known propensities.";
    section("What its lists would have earned", lead, &tables::rewards(of))
}

fn numbers(of: &Summary<'_>) -> Markup {
    let tables = all([Group::NEW].into_iter().chain(Group::CATALOGUE).map(|group| tables::metrics(of, group)));
    let body = html! { @if !is_empty(&tables) { (tables) (tables::directions(of)) } };
    section("All numbers", "", &body)
}

fn small_print(of: &Summary<'_>) -> Markup {
    let record = of.record;
    let items = |group: Group| of.rows(group).map(|row| row.items).max();
    let mut entries = vec![("evaluation", record.id.clone()), ("model", record.model.clone())];
    entries.extend(record.against.clone().map(|against| ("compared with", against)));
    entries.push(("measured", instant(record.created_at)));
    entries.extend(record.since.map(|since| ("interactions since", timestamp(since))));
    entries.push(("users who took anything", count(record.users)));
    entries.extend(items(Group::NEW).map(|items| ("new items", count(items))));
    entries.extend(items(Group::CATALOGUE[0]).map(|items| ("items", count(items))));
    html! {
        div.columns {
            (section("Record", "", &pairs(entries)))
            (section("Left out", "", &notes(&record.notes)))
        }
    }
}

/// One after the other.
fn all(parts: impl IntoIterator<Item = Markup>) -> Markup {
    html! { @for part in parts { (part) } }
}

/// The methods of a group by one metric, the best first.
fn ranking(
    of: &Summary<'_>,
    group: Group,
    metric: Metric,
    title: String,
    shown: impl Fn(Kind, &str) -> bool,
) -> Markup {
    let shown = |method: &str| {
        let kind = of.kind(method);
        kind != Kind::Difference && shown(kind, method)
    };
    let entries = methods(of, group, shown)
        .into_iter()
        .filter_map(|method| entry(of.row(group, method, metric.name(), of.k)?, of.kind(method) == Kind::Model));
    Dots { title, names: "method", entries: sorted(entries), decimals: DECIMALS, ..Dots::default() }.render()
}

/// The methods of a group that are wanted, each once.
fn methods<'a>(of: &Summary<'a>, group: Group, wanted: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let mut methods: Vec<&str> = Vec::new();
    for row in of.rows(group) {
        if wanted(&row.method) && !methods.contains(&row.method.as_str()) {
            methods.push(&row.method);
        }
    }
    methods
}

fn entry(row: &Row, chosen: bool) -> Option<Entry> {
    Some(Entry { label: row.method.clone(), value: row.value?, interval: interval(row), chosen })
}

fn sorted(entries: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut entries = entries.collect::<Vec<_>>();
    entries.sort_by(|a, b| b.value.total_cmp(&a.value));
    entries
}
