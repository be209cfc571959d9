//! What the page says that the files do not: a row an epoch, the curves, the verdict. Takes a run's record and what
//! was measured; gives them by name and by epoch, and sentences.

use std::collections::BTreeMap;

use crate::report::text::{difference, number};
use crate::train::run::info::{Outcome, RunInfo, Status};
use crate::train::run::metrics::{LEARNING_RATE, Metric, TRAIN_LOSS, VALIDATION_LOSS};

/// A run, ready to be shown.
#[derive(Debug)]
pub(super) struct Summary<'a> {
    /// Its record.
    pub(super) info: &'a RunInfo,
    /// How it stands.
    pub(super) status: Status,
    /// Everything measured, by name: steps and values.
    pub(super) curves: BTreeMap<&'a str, Vec<(f64, f64)>>,
    /// The epochs in their order, that before training left out.
    pub(super) epochs: Vec<Row>,
    /// Steps that were taken.
    pub(super) steps: u64,
    /// Seconds of training.
    pub(super) seconds: f64,
}

/// An epoch.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    /// Which.
    pub(super) epoch: u64,
    /// Steps that were taken by its end.
    pub(super) step: u64,
    /// Mean of its steps' losses.
    pub(super) train_loss: Option<f64>,
    /// On the held-out examples.
    pub(super) validation_loss: Option<f64>,
    /// The metric that epochs are compared by.
    pub(super) metric: Option<f64>,
    /// At its last step.
    pub(super) learning_rate: Option<f64>,
    /// Seconds of training by its end.
    pub(super) seconds: f64,
}

impl<'a> Summary<'a> {
    /// Puts together what was measured.
    pub(super) fn new(info: &'a RunInfo, status: Status, metrics: &'a [Metric]) -> Self {
        let mut curves: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
        let mut rows: BTreeMap<u64, (Row, f64, f64)> = BTreeMap::new();
        for metric in metrics {
            curves.entry(&metric.name).or_default().push((metric.step as f64, metric.value));
            if metric.epoch == 0 {
                continue;
            }
            let (row, sum, losses) = rows.entry(metric.epoch).or_default();
            (row.epoch, row.step, row.seconds) =
                (metric.epoch, row.step.max(metric.step), row.seconds.max(metric.seconds));
            match metric.name.as_str() {
                TRAIN_LOSS => {
                    (*sum, *losses) = (*sum + metric.value, *losses + 1.0);
                    row.train_loss = Some(*sum / *losses);
                }
                VALIDATION_LOSS => row.validation_loss = Some(metric.value),
                LEARNING_RATE => row.learning_rate = Some(metric.value),
                name if name == info.setup.metric.name => row.metric = Some(metric.value),
                _ => {}
            }
        }
        Self {
            info,
            status,
            curves,
            epochs: rows.into_values().map(|(row, ..)| row).collect(),
            steps: metrics.iter().map(|metric| metric.step).max().unwrap_or(0),
            seconds: metrics.iter().map(|metric| metric.seconds).fold(0.0, f64::max),
        }
    }

    /// The curve of a name; empty if nothing was measured under it.
    pub(super) fn curve(&self, name: &str) -> Vec<(f64, f64)> {
        self.curves.get(name).cloned().unwrap_or_default()
    }

    /// A column of the epochs as a curve.
    pub(super) fn by_epoch(&self, value: impl Fn(&Row) -> Option<f64>) -> Vec<(f64, f64)> {
        self.epochs.iter().filter_map(|row| Some((row.step as f64, value(row)?))).collect()
    }

    /// How much better the best epoch is than the version in use; below zero it is worse.
    pub(super) fn gain(&self) -> Option<f64> {
        let gain = self.info.best.as_ref()?.value - self.info.baseline?;
        Some(if self.info.setup.metric.higher_is_better { gain } else { -gain })
    }

    /// Whether no other epoch has a better metric than the one that is kept.
    pub(super) fn kept_the_best(&self) -> bool {
        let Some(best) = &self.info.best else { return true };
        let higher = self.info.setup.metric.higher_is_better;
        let better = |value: f64| if higher { value > best.value } else { value < best.value };
        !self.epochs.iter().any(|row| row.epoch != best.epoch && row.metric.is_some_and(better))
    }

    /// What was measured, in a sentence.
    pub(super) fn measured(&self) -> String {
        let metric = &self.info.setup.metric.name;
        let kept = if self.kept_the_best() { format!("The best {metric} was") } else { format!("The {metric} is") };
        let best = self.info.best.as_ref().map(|best| (number(best.value), best.epoch));
        match (&best, self.info.baseline) {
            (Some((value, epoch)), Some(baseline)) => {
                let change = difference(self.info.best.as_ref().map_or(0.0, |best| best.value - baseline));
                format!("{kept} {value}, in epoch {epoch}; the version in use has {} ({change}).", number(baseline))
            }
            (Some((value, epoch)), None) => format!("{kept} {value}, in epoch {epoch}."),
            (None, _) => format!("No {metric} was measured."),
        }
    }

    /// What came of it, in a sentence.
    pub(super) fn end(&self) -> String {
        // A recommender's training keeps no checkpoint.
        let again = if self.info.recommender.is_some() { "starts anew" } else { "goes on where it stood" };
        match (self.status, &self.info.outcome) {
            (_, Some(Outcome::Published(version))) => format!("Published as {version}."),
            (_, Some(Outcome::NotPublished(reason))) => format!("Not published: {}.", reason.trim_end_matches('.')),
            (Status::Running, _) => "The run is still under way.".to_owned(),
            (Status::Interrupted, _) => format!("The run was interrupted; the same call {again}."),
            (Status::Cancelled, _) => format!("The run was cancelled; the same call {again}."),
            (Status::Failed, _) => "The run failed; nothing was published.".to_owned(),
            (Status::Finished, None) => "The run is finished.".to_owned(),
        }
    }
}
