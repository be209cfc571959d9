//! `auc`, `log_loss`, `calibration_error`, `ndcg`, `recall_at` and `classification_report`: how good predictions are, group by
//! group.
//!
//! Takes rows of what was true and what was predicted; gives one `Float64` a group, NULL where the metric is not
//! defined, or a list of rows. The engine's `evaluate` measures whole recommenders with the maths of [`calibration`].
//!
//! Rows with a NULL are left out. No metric hangs on the order of the rows or on how they were split over partitions: ties
//! count half in `auc`, and `ndcg` and `recall_at` give what is expected if they are ordered at random.
//!
//! # Layout
//! - one file for each function, with its maths; [`calibration`]: maths that others use, too
//! - `function`: what those of numbers have in common as functions of SQL; `rows`: the accumulator that keeps all rows

mod auc;
pub mod calibration;
mod calibration_error;
mod classification_report;
mod function;
mod log_loss;
mod ndcg;
mod recall_at;
mod rows;

pub use auc::{Auc, area};
pub use calibration_error::CalibrationError;
pub use classification_report::ClassificationReport;
use datafusion::logical_expr::AggregateUDF;
pub use log_loss::LogLoss;
pub use ndcg::Ndcg;
pub use recall_at::RecallAt;

/// The metrics that are one number, in the order of the reference.
pub fn aggregates() -> Vec<AggregateUDF> {
    vec![
        Auc::default().into(),
        LogLoss::default().into(),
        CalibrationError::default().into(),
        Ndcg::default().into(),
        RecallAt::default().into(),
    ]
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
