//! An evaluation as one HTML page that needs nothing else.
//!
//! Takes its record; gives the page, and its first numbers alone.
//!
//! # Layout
//! - `page`: the sections, from the verdict to the small print, drawn with [`super::page`] and [`super::charts`]
//! - `curves`: what goes along with a number: boost, probability, weeks
//! - `tables`: every number once
//! - `headline`: the few numbers that a reader looks for first
//! - `summary`: which rows belong together, and what they come to

mod curves;
mod headline;
mod page;
mod summary;
mod tables;

use crate::recommend::evaluation::record::Record;
pub(crate) use headline::Headline;

/// The page. It looks right on a phone, on paper, in the light and in the dark; what is not in the record is not on it.
pub(crate) fn page(record: &Record) -> String {
    page::render(&summary::Summary::new(record))
}

/// The few numbers that a reader looks for first.
pub(crate) fn headline(record: &Record) -> Headline<'_> {
    summary::Summary::new(record).headline()
}

#[cfg(test)]
mod tests;
