//! The few numbers of an evaluation that a reader looks for first, on the page and in `debut.evaluations`. Takes a
//! [`Summary`]; gives its rows.

use super::summary::{Group, Summary};
use crate::recommend::evaluation::Metric;
use crate::recommend::evaluation::record::Row;

/// The numbers; `None` where something was not measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Headline<'a> {
    /// The length of the lists.
    pub(crate) k: Option<u64>,
    /// Recall of new items that are ranked among themselves.
    pub(crate) new_recall: Option<&'a Row>,
    /// Their NDCG.
    pub(crate) new_ndcg: Option<&'a Row>,
    /// Recall of all items, ranked together.
    pub(crate) all_recall: Option<&'a Row>,
    /// How much higher `new_recall` is than that of the other model, or `all_recall` where there are no new items.
    pub(crate) difference: Option<&'a Row>,
    /// Log-loss of the probabilities.
    pub(crate) log_loss: Option<f64>,
    /// Calibration error of the probabilities.
    pub(crate) calibration_error: Option<f64>,
}

impl<'a> Summary<'a> {
    /// The numbers.
    pub(super) fn headline(&self) -> Headline<'a> {
        let model = &self.record.model;
        let row = |group, metric: Metric| self.row(group, model, metric.name(), self.k);
        Headline {
            k: self.k,
            new_recall: row(Group::NEW, Metric::Recall),
            new_ndcg: row(Group::NEW, Metric::Ndcg),
            all_recall: row(Group::CATALOGUE[0], Metric::Recall),
            difference: self.recall_difference(),
            log_loss: self.chance(model, Metric::LogLoss.name()),
            calibration_error: self.chance(model, Metric::CalibrationError.name()),
        }
    }

    /// The difference in recall to the other model: of new items among themselves, else of all.
    pub(super) fn recall_difference(&self) -> Option<&'a Row> {
        let name = self.difference()?;
        let groups = [Group::NEW, Group::CATALOGUE[0]];
        groups.into_iter().find_map(|group| self.row(group, &name, Metric::Recall.name(), self.k))
    }
}
