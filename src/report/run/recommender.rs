//! What the page of a recommender's training shows beside what every page shows: the loss at each snapshot, the holdout
//! windows, the components and their weights, the boost of new items. Takes a [`Summary`]; gives HTML.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::summary::{Row, Summary};
use crate::report::charts::Axis;
use crate::report::charts::bars::{Bars, Line};
use crate::report::charts::curves::{Chart, Curve, Stroke};
use crate::report::page::{figure, section, side_by_side, table};
use crate::report::text::{count, difference, fixed, number, percent, plural};
use crate::train::run::metrics::{LEARNING_RATE, TRAIN_LOSS, WARM_WEIGHT, WEIGHT, component_of};
use crate::train::run::recommender::{BoostPoint, HoldoutInfo, RecommenderInfo, SnapshotInfo};

/// Colours of snapshots, one after the other and from the front again.
const COLOURS: [&str; 4] = ["train", "validation", "metric", "rate"];
/// Digits of metrics and weights behind the point.
const DECIMALS: usize = 3;

/// What was measured of the components: by metric, then by component.
type Measured<'a> = BTreeMap<&'a str, BTreeMap<&'a str, f64>>;

/// A training of a recommender.
pub(super) struct Recommender<'a> {
    run: &'a Summary<'a>,
    info: &'a RecommenderInfo,
    components: Measured<'a>,
    /// What was measured of the whole, at the end.
    whole: BTreeMap<&'a str, f64>,
}

impl<'a> Recommender<'a> {
    /// Of a run that trains one; `None` of all others.
    pub(super) fn of(run: &'a Summary<'a>) -> Option<Self> {
        let info = run.info.recommender.as_ref()?;
        let (mut components, mut whole) = (Measured::new(), BTreeMap::new());
        for (name, points) in &run.curves {
            let Some((_, value)) = points.last() else { continue };
            match component_of(name) {
                Some((metric, component)) => drop(components.entry(metric).or_default().insert(component, *value)),
                None => drop(whole.insert(*name, *value)),
            }
        }
        Some(Self { run, info, components, whole })
    }

    /// The holdout window that components are measured on: the last.
    fn holdout(&self) -> Option<&'a HoldoutInfo> {
        self.info.snapshots.iter().rev().find_map(|snapshot| snapshot.holdout.as_ref())
    }

    /// The component that is best alone.
    fn best_alone(&self) -> Option<(&'a str, f64)> {
        let alone = self.components.get(self.run.info.setup.metric.name.as_str())?;
        let better = |a: &(&&str, &f64), b: &(&&str, &f64)| a.1.total_cmp(b.1);
        alone.iter().filter(|(_, value)| value.is_finite()).max_by(better).map(|(name, value)| (*name, *value))
    }

    /// What was measured, in a sentence.
    pub(super) fn measured(&self) -> String {
        let metric = &self.run.info.setup.metric.name;
        let Some(holdout) = self.holdout() else {
            return format!("No {metric} was measured: there were too few launches to hold any out.");
        };
        let Some(best) = &self.run.info.best else { return format!("No {metric} was measured.") };
        let alone =
            self.best_alone().map(|(name, value)| format!("; the best component alone, {name}, has {}", shown(value)));
        let in_use = self.run.info.baseline.map(|baseline| format!("; the version in use has {}", shown(baseline)));
        format!(
            "On {} that it had not learned from, its {metric} is {}{}{}.",
            items_of(holdout),
            shown(best.value),
            alone.unwrap_or_default(),
            in_use.unwrap_or_default()
        )
    }

    /// The few numbers that a reader looks for first.
    pub(super) fn figures(&self) -> Markup {
        let criterion = self.run.info.setup.metric.name.as_str();
        let others = self.whole.iter().filter(|(name, _)| **name != criterion && self.components.contains_key(**name));
        html! {
            (self.best())
            @for (name, value) in others { (figure(name, &shown(*value), "", "")) }
            @if let Some(boost) = &self.info.boost {
                @let best = boost.curve.iter().find(|point| point.boost == boost.chosen);
                @let note = best.map(|point| format!("{} of places are new items", percent(point.new_share)));
                (figure("boost of new items", &number(boost.chosen), &note.unwrap_or_default(), ""))
            }
        }
    }

    fn best(&self) -> Markup {
        let info = self.run.info;
        let Some(best) = &info.best else { return html! {} };
        let rival = match info.baseline {
            Some(baseline) => Some(("the version in use".to_owned(), baseline)),
            None => self.best_alone().map(|(name, value)| (format!("{name} alone"), value)),
        };
        let change = rival.map(|(name, value)| (name, best.value - value));
        let note = change.as_ref().map(|(name, change)| format!("{} on {name}", difference(rounded(*change))));
        let class = match change {
            Some((_, change)) if change > 0.0 => "better",
            Some((_, change)) if change < 0.0 => "worse",
            _ => "",
        };
        figure(&info.setup.metric.name, &shown(best.value), &note.unwrap_or_default(), class)
    }

    /// The sections, the result before the way there.
    pub(super) fn sections(&self) -> Markup {
        html! { (self.parts()) (self.boosts()) (self.losses()) (self.windows()) (self.warm_parts()) }
    }

    /// Each snapshot with its epochs.
    fn epochs(&self) -> impl Iterator<Item = (&'a SnapshotInfo, Vec<&'a Row>)> {
        let mut first = 1;
        let run = self.run;
        self.info.snapshots.iter().map(move |snapshot| {
            let own = first..first + snapshot.epochs;
            first = own.end;
            (snapshot, run.epochs.iter().filter(|row| own.contains(&row.epoch)).collect())
        })
    }

    fn losses(&self) -> Markup {
        let losses = self.run.curve(TRAIN_LOSS);
        let mut before = 0.0;
        let mut curves = Vec::new();
        for ((snapshot, rows), colour) in self.epochs().zip(COLOURS.into_iter().cycle()) {
            let Some(last) = rows.last().map(|row| row.step as f64) else { continue };
            let own = |(step, _): &(f64, f64)| *step > before && *step <= last;
            let points = losses.iter().copied().filter(own).collect();
            curves.push(Curve { colour, stroke: Stroke::Faint, points, ..Curve::default() });
            let points = rows.iter().filter_map(|row| Some((row.step as f64, row.train_loss?))).collect();
            curves.push(Curve { label: &snapshot.name, colour, stroke: Stroke::Dots, points, ..Curve::default() });
            before = last;
        }
        let over_steps = || Chart { unit: "step", across: Axis::Steps, ..Chart::default() };
        let loss = Chart { title: "Training loss by step, and its mean by epoch".to_owned(), curves, ..over_steps() };
        let points = self.run.curve(LEARNING_RATE);
        let rate = Curve { label: "learning rate", colour: "norm", points, ..Curve::default() };
        let rate = Chart { title: "Learning rate".to_owned(), curves: vec![rate], up: Axis::FromZero, ..over_steps() };
        let lead = "The encoder is tuned at each snapshot of the shop: what was known before each holdout window, and at last \
                    all that is known. Each goes on from the one before.";
        section("Loss by snapshot", lead, &side_by_side(&html! { (loss.render()) (rate.render()) }))
    }

    fn windows(&self) -> Markup {
        let unknown = || "–".to_owned();
        let loss = |row: Option<&&Row>| row.and_then(|row| row.train_loss).map_or_else(unknown, shown);
        let columns = ["new items", "takers", "known users", "known items", "epochs", "first loss", "last loss"];
        let lines = html! {
            @for (snapshot, rows) in self.epochs() {
                @let holdout = snapshot.holdout.as_ref();
                tr {
                    th scope="row" {
                        (snapshot.name)
                        @if let Some(holdout) = holdout { small { "new items " (holdout.name) } }
                    }
                    td { (holdout.map_or_else(unknown, |holdout| count(holdout.items))) }
                    td { (holdout.map_or_else(unknown, |holdout| count(holdout.users))) }
                    td { (count(snapshot.users)) }
                    td { (count(snapshot.items)) }
                    td { (count(snapshot.epochs)) }
                    td { (loss(rows.first())) }
                    td { (loss(rows.last())) }
                }
            }
        };
        let lead = "At each snapshot the items of the window after it are unknown. What users took of them then teaches how \
                    much each component counts.";
        section("Holdout windows", lead, &table("snapshot", &columns, &lines))
    }

    /// The components of new items: how much they count, and how good they are alone.
    fn parts(&self) -> Markup {
        let criterion = self.run.info.setup.metric.name.as_str();
        let others = self.components.keys().copied().filter(|name| ![WEIGHT, WARM_WEIGHT, criterion].contains(name));
        let columns = [WEIGHT, criterion].into_iter().chain(others).collect::<Vec<_>>();
        let mut lines = self.lines(&columns);
        if let (false, true) = (lines.is_empty(), self.whole.contains_key(criterion)) {
            let values = columns.iter().map(|name| self.whole.get(name).copied()).collect();
            let about = "their weighted sum".to_owned();
            lines.insert(0, Line { label: "all together".to_owned(), about, values, chosen: true });
        }
        let lead = self.holdout().map(|holdout| {
            let taught = match self.info.snapshots.iter().filter(|snapshot| snapshot.holdout.is_some()).count() {
                1 => "learned from one half of the users and measured on the other",
                _ => "learned from the earlier windows alone",
            };
            format!(
                "Weight: how much a component counts in the score of a new item, learned from all holdout windows. The metrics: \
                 how well it alone ranks the {} among themselves. All together: the weighted sum, with weights {taught}.",
                items_of(holdout)
            )
        });
        let columns = columns.into_iter().map(str::to_owned).collect();
        let bars = Bars { names: "component", columns, lines, decimals: DECIMALS };
        section("Components of new items", &lead.unwrap_or_default(), &bars.render())
    }

    fn warm_parts(&self) -> Markup {
        let bars = Bars {
            names: "component",
            columns: vec!["weight".to_owned()],
            lines: self.lines(&[WARM_WEIGHT]),
            decimals: DECIMALS,
        };
        let lead = "Items that somebody has taken before are scored by what is known of them.";
        section("Components of items with a history", lead, &bars.render())
    }

    /// A line a component, by the first column and then the second, the greatest above.
    fn lines(&self, columns: &[&str]) -> Vec<Line> {
        let value = |name: &str, metric: &str| self.components.get(metric)?.get(name).copied();
        let measured = columns.iter().filter_map(|metric| self.components.get(metric));
        let names = measured.flat_map(|of| of.keys().copied()).collect::<BTreeSet<_>>();
        let about = |name: &str| self.info.components.iter().find(|one| one.name == name).map(|one| one.about.clone());
        let line = |name: &&str| Line {
            label: (*name).to_owned(),
            about: about(name).unwrap_or_default(),
            values: columns.iter().map(|metric| value(name, metric)).collect(),
            chosen: false,
        };
        let mut lines = names.iter().map(line).collect::<Vec<_>>();
        let value_of =
            |line: &Line, column: usize| line.values.get(column).copied().flatten().unwrap_or(f64::NEG_INFINITY);
        lines.sort_by(|a, b| value_of(b, 0).total_cmp(&value_of(a, 0)).then(value_of(b, 1).total_cmp(&value_of(a, 1))));
        lines
    }

    fn boosts(&self) -> Markup {
        let Some(boost) = self.info.boost.as_ref().filter(|boost| boost.curve.len() > 1) else { return html! {} };
        let along = |value: fn(&BoostPoint) -> f64| {
            boost.curve.iter().map(|point| (point.boost, value(point))).collect::<Vec<_>>()
        };
        let curve = |label, colour, points| Curve { label, colour, stroke: Stroke::Dots, points, ..Curve::default() };
        let mark = |points: &[(f64, f64)]| {
            let value = points.iter().find(|(place, _)| *place == boost.chosen).map(|(_, value)| *value);
            Some((boost.chosen, value, format!("chosen: {}", number(boost.chosen))))
        };
        let over_boosts = || Chart { unit: "boost", across: Axis::Decades, up: Axis::FromZero, ..Chart::default() };
        let (all, new) = (along(|point| point.recall), along(|point| point.recall_of_new));
        let recall = Chart {
            title: format!("{} in the whole catalogue", self.run.info.setup.metric.name),
            mark: mark(&all),
            curves: vec![curve("new items", "validation", new), curve("all items", "metric", all)],
            ..over_boosts()
        };
        let share = along(|point| point.new_share);
        let share = Chart {
            title: "Share of new items among those shown".to_owned(),
            mark: mark(&share),
            curves: vec![curve("new items", "validation", share)],
            ..over_boosts()
        };
        let lead = "What multiplying the odds of new items does where all items are ranked together, on the last holdout \
                    window. The boost is the one that shows the most new items and leaves nearly all of the best recall.";
        section("Boost of new items", lead, &side_by_side(&html! { (recall.render()) (share.render()) }))
    }
}

/// `169 new items launched from 2025-09-07 to 2025-11-30`.
fn items_of(holdout: &HoldoutInfo) -> String {
    format!("{} {}", plural(holdout.items, "new item"), holdout.name)
}

/// A metric or a loss.
fn shown(value: f64) -> String {
    fixed(value, DECIMALS)
}

/// As it is shown beside numbers of [`DECIMALS`].
fn rounded(value: f64) -> f64 {
    let factor = 10_f64.powi(DECIMALS as i32);
    (value * factor).round() / factor
}
