//! Whether a recommender's probabilities are true.
//!
//! Takes what happened and how probable it was said to be; gives log-loss, Brier score, and bins of similar probabilities,
//! from which come the calibration error and a plot. Called with all pairs of a segment. The maths is that of the SQL
//! functions `log_loss` and `calibration_error`.

use debut_udfs::metrics::calibration::{self, Outcome};
pub use debut_udfs::metrics::calibration::{Bin, Binning, calibration_error};

/// The mean of `-log(probability of what happened)`; `None` without rows. Probabilities are kept off 0 and 1 by 2^-52.
pub fn log_loss(happened: &[bool], probabilities: &[f64]) -> Option<f64> {
    mean(happened, probabilities, calibration::log_loss)
}

/// The mean squared difference of probability and what happened, 1 or 0; `None` without rows. Brier, 1950,
/// <https://doi.org/10.1175/1520-0493(1950)078%3C0001:VOFEIT%3E2.0.CO;2>.
pub fn brier(happened: &[bool], probabilities: &[f64]) -> Option<f64> {
    mean(happened, probabilities, |outcome| (outcome.score - outcome.truth).powi(2))
}

/// The share that happened, and the log-loss of saying just that of every row: what a model has to beat. `None` without
/// rows.
pub fn base_rate(happened: &[bool]) -> Option<(f64, f64)> {
    let rate = happened.iter().filter(|happened| **happened).count() as f64 / happened.len() as f64;
    let part = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    (!happened.is_empty()).then(|| (rate, part(rate) + part(1.0 - rate)))
}

/// The bins that have rows, by ascending probability. Probabilities are not NaN.
pub fn bins(happened: &[bool], probabilities: &[f64], binning: Binning) -> Vec<Bin> {
    calibration::bins(&mut outcomes(happened, probabilities).collect::<Vec<_>>(), binning)
}

fn outcomes(happened: &[bool], probabilities: &[f64]) -> impl Iterator<Item = Outcome> {
    let outcome = |(happened, p): (&bool, &f64)| Outcome { truth: f64::from(u8::from(*happened)), score: *p };
    happened.iter().zip(probabilities).map(outcome)
}

fn mean(happened: &[bool], probabilities: &[f64], loss: impl Fn(Outcome) -> f64) -> Option<f64> {
    let rows = happened.len().min(probabilities.len());
    let sum: f64 = outcomes(happened, probabilities).map(loss).sum();
    (rows > 0).then(|| sum / rows as f64)
}

#[cfg(test)]
#[path = "tests/calibration.rs"]
mod tests;
