//! How good a recommender is: the metrics of `evaluate(...)`, with intervals.
//!
//! Takes rows of scores, what was bought and lists of recommendations; gives numbers.
//!
//! # Layout, in the order data flows
//! - `ground_truth`, `methods`: who took what, and what is compared
//! - `context`: every user's ranking by a method, measured with the two
//! - [`metrics`]: one user's row of scores against what the user bought: recall, NDCG, hit rate, MAP, MRR, AUC
//! - [`lists`]: what the lists of all users look like: coverage, Gini, novelty, intra-list diversity
//! - [`per_user`]: the table of users and metrics in between
//! - [`bootstrap`]: means over users, or over their differences, with intervals
//! - [`ips`]: what a ranking would have earned, from what another one was shown to earn
//! - [`calibration`], `probabilities`: whether probabilities are true: log-loss, Brier score, calibration error and its bins
//! - `forecasts`: whether forecasts of launches come true
//! - `rows`, [`record`]: the rows of the result, and an evaluation on disk

pub mod bootstrap;
pub mod calibration;
pub(crate) mod context;
pub(crate) mod forecasts;
pub(crate) mod ground_truth;
pub mod ips;
pub mod lists;
pub(crate) mod methods;
pub mod metrics;
pub mod per_user;
pub(crate) mod probabilities;
pub mod record;
pub(crate) mod rows;

/// What is measured. [`Metric::name`] is what SQL and reports call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Relevant items in the first k, as a share of all relevant ones.
    Recall,
    /// Relevant items in the first k, discounted by their place, as a share of the best possible.
    Ndcg,
    /// Whether there is a relevant item in the first k.
    HitRate,
    /// The mean precision at the relevant items in the first k.
    Map,
    /// One over the place of the first relevant item.
    Mrr,
    /// The probability that a relevant item is ranked above one that is not.
    Auc,
    /// The share of the candidates that is in anyone's first k.
    Coverage,
    /// How unequally the places in the first k are dealt out to the candidates.
    Gini,
    /// How rarely the items in the first k were bought before, in bits.
    Novelty,
    /// How different the items in a user's first k are from each other.
    Diversity,
    /// The mean negative log likelihood of what happened.
    LogLoss,
    /// The mean squared error of probabilities.
    Brier,
    /// How far probabilities are from the frequencies of what they predict.
    CalibrationError,
    /// Reward of a user's first k, by inverse propensities.
    Ips,
    /// Reward of an item shown among the first k, by inverse propensities that sum to one.
    Snips,
    /// The share of launches whose buyers are within the interval of the forecast.
    ForecastCoverage,
    /// The mean absolute error of the buyers that were forecast.
    ForecastError,
    /// The mean buyers of launches, beside the error.
    Buyers,
    /// The share of launches whose revenue is within the interval of the forecast.
    RevenueCoverage,
    /// The mean absolute error of the revenue that was forecast.
    RevenueError,
}

impl Metric {
    /// The metric's name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recall => "recall",
            Self::Ndcg => "ndcg",
            Self::HitRate => "hit_rate",
            Self::Map => "map",
            Self::Mrr => "mrr",
            Self::Auc => "auc",
            Self::Coverage => "coverage",
            Self::Gini => "gini",
            Self::Novelty => "novelty",
            Self::Diversity => "diversity",
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
            Self::CalibrationError => "calibration_error",
            Self::Ips => "ips",
            Self::Snips => "snips",
            Self::ForecastCoverage => "forecast_coverage",
            Self::ForecastError => "forecast_error",
            Self::Buyers => "launch_buyers",
            Self::RevenueCoverage => "revenue_coverage",
            Self::RevenueError => "revenue_error",
        }
    }
}

/// A metric and where the list is cut; `None` for metrics of the whole list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Column {
    /// What is measured.
    pub metric: Metric,
    /// The first so many places count.
    pub k: Option<usize>,
}

#[cfg(test)]
#[path = "tests/reference.rs"]
mod reference;
