//! What goes along with a number: recall with the boost of new items, what happens with its probability, recall with the
//! weeks since the launch. Takes a [`Summary`]; gives figures, or nothing where nothing was measured.

use super::summary::{Group, NEW_SHARE, Summary, interval, wilson};
use maud::{Markup, html};

use crate::recommend::evaluation::Metric;
use crate::recommend::evaluation::record::Row;
use crate::report::charts::Axis;
use crate::report::charts::curves::{Chart, Curve, Stroke};
use crate::report::text::{count, number};

/// A week of fewer users is not drawn: a mean over a few says nothing, and has no interval that does.
pub(super) const LEAST_USERS: u64 = 10;
/// Probabilities that differ by more than this are drawn by powers of ten.
const MANY_TIMES: f64 = 10.0;

/// Recall of all, new and warm items, and the share of new ones that are shown, by boost.
pub(super) fn boosts(of: &Summary<'_>) -> Markup {
    let along = |metric: &str, segment: &str| {
        let rows = of.record.rows.iter().filter(|row| {
            row.method == of.record.model
                && row.candidates == "all"
                && row.segment == segment
                && row.metric == metric
                && row.k == of.k
        });
        curve_of(rows.filter_map(|row| Some((row.boost?, row))))
    };
    let recall = Metric::Recall.name();
    let curves = [("all items", "metric", "all"), ("new items", "validation", "new"), ("warm items", "train", "warm")];
    let curves = curves.map(|(label, colour, segment)| {
        let points = along(recall, segment).0;
        Curve { label, colour, stroke: Stroke::Dots, points, ..Curve::default() }
    });
    // One boost makes no curve.
    if curves.iter().all(|curve| curve.points.len() < 2) {
        return html! {};
    }
    let mark = |points: &[(f64, f64)]| {
        let boost = of.boost()?;
        let value = points.iter().find(|(place, _)| *place == boost).map(|(_, value)| *value);
        Some((boost, value, format!("the model's own: {}", number(boost))))
    };
    let k = count(of.k.unwrap_or_default());
    let (unit, up) = ("boost", Axis::FromZero);
    let share = along(NEW_SHARE, "new").0;
    let shown = Chart {
        title: format!("Share of new items among the first {k}"),
        mark: mark(&share),
        curves: vec![Curve {
            label: "new items",
            colour: "validation",
            stroke: Stroke::Dots,
            points: share,
            ..Curve::default()
        }],
        unit,
        up,
        ..Chart::default()
    };
    let found = Chart {
        title: format!("{recall}@{k} in the whole catalogue"),
        mark: mark(&curves[0].points),
        curves: curves.into(),
        unit,
        up,
        ..Chart::default()
    };
    html! { (found.render()) (shown.render()) }
}

/// What happened, beside how probable it was said to be.
pub(super) fn calibration(of: &Summary<'_>) -> Markup {
    let bins = &of.record.bins;
    let least = bins.iter().map(|bin| bin.predicted).fold(f64::INFINITY, f64::min);
    let most = bins.iter().map(|bin| bin.predicted).fold(0.0, f64::max);
    let axis = if least > 0.0 && most / least > MANY_TIMES { Axis::Decades } else { Axis::FromZero };
    let percent = |share: f64| share * 100.0;
    let points = bins.iter().map(|bin| (percent(bin.predicted), percent(bin.observed))).collect::<Vec<_>>();
    let ideal = points.iter().map(|(predicted, _)| (*predicted, *predicted)).collect();
    let intervals = bins.iter().map(|bin| {
        let (low, high) = wilson(bin);
        (percent(bin.predicted), percent(low), percent(high))
    });
    let curves = vec![
        Curve { label: "as predicted", colour: "level", points: ideal, ..Curve::default() },
        Curve {
            label: "what happened",
            colour: "metric",
            stroke: Stroke::Points,
            points,
            intervals: intervals.collect(),
        },
    ];
    let title = "Taken, in % of pairs, by predicted probability".to_owned();
    Chart { title, curves, unit: "predicted %", across: axis, up: axis, ..Chart::default() }.render()
}

/// Recall of new items among themselves by the weeks since their launch, with the rows of all weeks.
pub(super) fn weeks<'a>(of: &Summary<'a>) -> (Markup, Vec<&'a Row>) {
    let mut rows = of
        .apart(Metric::Recall.name())
        .filter(|row| row.method == of.record.model && row.week.is_some())
        .collect::<Vec<_>>();
    rows.sort_by_key(|row| row.week);
    // Of one length of list, which need not be that of the other charts.
    let k = rows.iter().map(|row| row.k).find(|k| *k == of.k).or_else(|| rows.first().map(|row| row.k)).flatten();
    rows.retain(|row| row.k == k && row.segment == Group::NEW.segment);
    let drawn = rows.iter().filter(|row| row.users >= LEAST_USERS);
    let (points, intervals) = curve_of(drawn.filter_map(|row| Some((row.week? as f64, *row))));
    let curve = Curve { label: "new items", colour: "metric", stroke: Stroke::Dots, points, intervals };
    let chart = Chart {
        title: format!("{}@{} of new items among themselves", Metric::Recall.name(), count(k.unwrap_or_default())),
        curves: vec![curve],
        unit: "week",
        across: Axis::Steps,
        up: Axis::FromZero,
        ..Chart::default()
    };
    (chart.render(), rows)
}

type Points = Vec<(f64, f64)>;
type Intervals = Vec<(f64, f64, f64)>;

/// Rows by place as points and intervals; of several at one place, the first.
fn curve_of<'a>(rows: impl Iterator<Item = (f64, &'a Row)>) -> (Points, Intervals) {
    let mut rows = rows.filter(|(_, row)| row.value.is_some()).collect::<Vec<_>>();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    rows.dedup_by(|a, b| a.0 == b.0);
    let points = rows.iter().filter_map(|(place, row)| Some((*place, row.value?))).collect();
    let intervals = rows.iter().filter_map(|(place, row)| interval(row).map(|(low, high)| (*place, low, high)));
    (points, intervals.collect())
}
