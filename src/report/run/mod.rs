//! A training run as one HTML page that needs nothing else: no script, no font, no network.
//!
//! Takes a run's record and what was measured; gives the page.
//!
//! # Layout
//! - `page`: the sections, from the verdict to the small print, drawn with [`super::page`] and [`super::charts`]
//! - `recommender`: the sections of a recommender's training in place of an encoder's
//! - `summary`: what the page says that the files do not: a row an epoch, the verdict

mod page;
mod recommender;
mod summary;
#[cfg(test)]
mod tests;

use crate::train::run::info::{RunInfo, Status};
use crate::train::run::metrics::Metric;

/// The file's name in a run's folder, where nobody asks for another.
pub(crate) const FILE: &str = "report.html";

/// The page. It looks right on a phone, on paper, in the light and in the dark.
pub(crate) fn page(info: &RunInfo, status: Status, metrics: &[Metric]) -> String {
    page::render(&summary::Summary::new(info, status, metrics))
}
