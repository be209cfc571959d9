//! Which rows of an evaluation belong together, and what they come to in a sentence. Takes a [`Record`]; gives rows by
//! what they are about.

use std::collections::BTreeMap;

use crate::recommend::evaluation::Metric;
use crate::recommend::evaluation::record::{CalibrationBin, Record, Row};
use crate::report::text::{count, difference, percent, range};

/// The length of lists that recommenders are mostly compared by; drawn if it was measured.
const USUAL: u64 = 20;
/// The share of new items among those shown, which is measured along with boosts alone.
pub(super) const NEW_SHARE: &str = "new_share";
/// Whether an item's takers are ranked above other users.
pub(super) const AUDIENCE_AUC: &str = "audience_auc";
/// The log-loss of the mean probability.
pub(super) const BASE_RATE: &str = "base_rate";
/// The nearest texts alone: a baseline, and a part of the model.
pub(super) const TEXT_KNN: &str = "text_knn";
/// What anybody could do without a model.
const BASELINES: [&str; 5] = ["random", "popularity", "activity", TEXT_KNN, BASE_RATE];

/// What a method is to the evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The model that was evaluated.
    Model,
    /// The one that it was compared with.
    Other,
    /// What anybody could do without them.
    Baseline,
    /// A part of the model alone.
    Part,
    /// One less another, user by user.
    Difference,
}

/// What is ranked, and what counts of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    /// `new` items among themselves, or `all` together.
    pub(super) candidates: &'static str,
    /// `new` items, `warm` ones, or `all`.
    pub(super) segment: &'static str,
}

impl Group {
    /// New items among themselves.
    pub(super) const NEW: Self = Self { candidates: "new", segment: "new" };
    /// The whole catalogue, by what counts of it.
    pub(super) const CATALOGUE: [Self; 3] = [
        Self { candidates: "all", segment: "all" },
        Self { candidates: "all", segment: "new" },
        Self { candidates: "all", segment: "warm" },
    ];

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match (self.candidates, self.segment) {
            ("new", _) => "new items among themselves",
            (_, "new") => "new items in the whole catalogue",
            (_, "warm") => "warm items in the whole catalogue",
            _ => "all items in the whole catalogue",
        }
    }
}

/// An evaluation, ready to be shown.
#[derive(Debug)]
pub(super) struct Summary<'a> {
    /// What was written.
    pub(super) record: &'a Record,
    /// The length of lists that is drawn.
    pub(super) k: Option<u64>,
    /// How much more new items count with each method that has a boost of its own.
    boosts: BTreeMap<&'a str, f64>,
}

impl<'a> Summary<'a> {
    /// Puts together what was measured.
    pub(super) fn new(record: &'a Record) -> Self {
        let lengths = || record.rows.iter().filter(|row| row.metric == Metric::Recall.name()).filter_map(|row| row.k);
        let k = lengths().find(|k| *k == USUAL).or_else(|| lengths().max());
        // All metrics are measured with the boost that a model has; along other boosts, these two are.
        let along = [Metric::Recall.name(), NEW_SHARE];
        let own = record.rows.iter().filter(|row| row.candidates == "all" && !along.contains(&row.metric.as_str()));
        let boosts = own.filter_map(|row| Some((row.method.as_str(), row.boost?))).collect();
        Self { record, k, boosts }
    }

    /// What a method is.
    pub(super) fn kind(&self, method: &str) -> Kind {
        match method {
            method if method == self.record.model => Kind::Model,
            method if Some(method) == self.record.against.as_deref() => Kind::Other,
            method if BASELINES.contains(&method) => Kind::Baseline,
            method if method.contains(" - ") => Kind::Difference,
            _ => Kind::Part,
        }
    }

    /// How much more new items count with the model.
    pub(super) fn boost(&self) -> Option<f64> {
        self.boosts.get(self.record.model.as_str()).copied()
    }

    /// The rows about methods in a group: not those about a week, about another boost than the method's own, about
    /// probabilities or about rewards.
    pub(super) fn rows(&self, group: Group) -> impl Iterator<Item = &'a Row> {
        self.record.rows.iter().filter(move |row| {
            let apart = [NEW_SHARE, AUDIENCE_AUC, "log_loss", "brier", "calibration_error", "ips", "snips"];
            row.candidates == group.candidates
                && row.segment == group.segment
                && row.week.is_none()
                && row.boost == row.boost.and_then(|_| self.boosts.get(row.method.as_str()).copied())
                && !apart.contains(&row.metric.as_str())
        })
    }

    /// One of them; of two, the one with an interval.
    pub(super) fn row(&self, group: Group, method: &str, metric: &str, k: Option<u64>) -> Option<&'a Row> {
        let wanted = |row: &&Row| row.method == method && row.metric == metric && row.k == k && row.value.is_some();
        let found = || self.rows(group).filter(wanted);
        found().find(|row| row.ci_low.is_some()).or_else(|| found().next())
    }

    /// The rows about probabilities and audiences by method, in their order.
    pub(super) fn apart(&self, metric: &str) -> impl Iterator<Item = &'a Row> {
        self.record.rows.iter().filter(move |row| row.metric == metric && row.value.is_some())
    }

    /// A number about the probabilities.
    pub(super) fn chance(&self, method: &str, metric: &str) -> Option<f64> {
        self.apart(metric).find(|row| row.method == method)?.value
    }

    /// By how much the model's log-loss is below that of the base rate, as a share of it.
    pub(super) fn gain(&self) -> Option<f64> {
        let loss = self.chance(&self.record.model, Metric::LogLoss.name())?;
        let base = self.chance(BASE_RATE, Metric::LogLoss.name())?;
        (base > 0.0).then(|| 1.0 - loss / base)
    }

    /// The name of the difference to the other model.
    pub(super) fn difference(&self) -> Option<String> {
        Some(format!("{} - {}", self.record.model, self.record.against.as_ref()?))
    }

    /// What came of it, in a few sentences.
    pub(super) fn verdict(&self) -> String {
        let sentences = [self.finds(), self.compared(), self.chances()];
        let sentences = sentences.into_iter().flatten().collect::<Vec<_>>();
        if sentences.is_empty() { "Nothing was measured.".to_owned() } else { sentences.join(" ") }
    }

    fn finds(&self) -> Option<String> {
        let (model, recall) = (&self.record.model, Metric::Recall.name());
        let of = |group, method: &str| self.row(group, method, recall, self.k);
        let (group, what) = match of(Group::NEW, model) {
            Some(_) => (Group::NEW, "new items"),
            None => (Group::CATALOGUE[0], "items"),
        };
        let row = of(group, model)?;
        let others = [(TEXT_KNN, "the nearest texts alone find"), ("random", "chance finds")];
        let others = others
            .into_iter()
            .filter_map(|(method, what)| Some(format!("{what} {}", percent(of(group, method)?.value?))));
        let others = others.collect::<Vec<_>>();
        Some(format!(
            "On average, {share} of the {what} that a user took are among the first {k} of {items} by {model}{others}.",
            share = percent(row.value?),
            k = count(row.k.unwrap_or_default()),
            items = count(row.items),
            others = if others.is_empty() { String::new() } else { format!("; {}", others.join(", ")) },
        ))
    }

    fn compared(&self) -> Option<String> {
        let (row, against) = (self.recall_difference()?, self.record.against.as_ref()?);
        let change = difference(fixed_value(row.value?));
        Some(match (interval(row), verdict_of(row)) {
            (Some(interval), Some(Verdict::Better)) => {
                format!("It is better than {against}: {change} in recall, {}.", range(interval, 3))
            }
            (Some(interval), Some(Verdict::Worse)) => {
                format!("It is worse than {against}: {change} in recall, {}.", range(interval, 3))
            }
            (Some(interval), _) => {
                format!("The difference to {against}, {change} in recall ({}), may be chance.", range(interval, 3))
            }
            (None, _) => format!("The difference to {against} is {change} in recall, without an interval."),
        })
    }

    fn chances(&self) -> Option<String> {
        let gain = self.gain()?;
        let side = if gain < 0.0 { "above" } else { "below" };
        Some(format!("The log-loss of its probabilities is {} {side} that of the base rate.", percent(gain.abs())))
    }
}

/// Rounded as it is shown beside its interval.
fn fixed_value(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// What a difference shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The interval lies on the better side of zero.
    Better,
    /// The interval lies on the worse side of zero.
    Worse,
    /// It holds zero.
    Open,
}

/// What the row of a difference shows; `None` without an interval.
pub(super) fn verdict_of(row: &Row) -> Option<Verdict> {
    let (low, high) = interval(row)?;
    let (better, worse) = if lower_is_better(&row.metric) { (high < 0.0, low > 0.0) } else { (low > 0.0, high < 0.0) };
    Some(match (better, worse) {
        (true, _) => Verdict::Better,
        (_, true) => Verdict::Worse,
        _ => Verdict::Open,
    })
}

/// Whether less of a metric is better.
pub(super) fn lower_is_better(metric: &str) -> bool {
    ["gini", "log_loss", "brier", "calibration_error"].contains(&metric)
}

/// The 95% interval of a row.
pub(super) fn interval(row: &Row) -> Option<(f64, f64)> {
    row.ci_low.zip(row.ci_high)
}

/// A metric as people write it: `recall@20`.
pub(super) fn metric_name(metric: &str, k: Option<u64>) -> String {
    k.map_or_else(|| metric.to_owned(), |k| format!("{metric}@{k}"))
}

/// Where the share of what happens may lie, given what happened in a bin: the 95% interval of Wilson, 1927,
/// <https://doi.org/10.1080/01621459.1927.10502953>, as if pairs were independent of each other.
pub(super) fn wilson(bin: &CalibrationBin) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    let (rows, share) = (bin.rows.max(1) as f64, bin.observed);
    let weight = 1.0 / (1.0 + Z * Z / rows);
    let middle = share + Z * Z / (2.0 * rows);
    let half = Z * (share * (1.0 - share) / rows + Z * Z / (4.0 * rows * rows)).sqrt();
    ((weight * (middle - half)).max(0.0), (weight * (middle + half)).min(1.0))
}
