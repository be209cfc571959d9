//! Training runs and evaluations as pages of HTML that need nothing else: no script, no font, no network. They look right
//! on a phone, on paper, in the light and in the dark, and say in words what they draw.
//!
//! Takes what `train` and `recommend` have written down; gives HTML to `debut report`, and the numbers that a page begins
//! with to `debut.evaluations`. It stands above both: neither knows that there are pages.
//!
//! # Layout
//! - [`run`], [`evaluation`]: what a page says, and in which order
//! - [`page`]: the frame of every page, its sections, figures and lists of pairs
//! - [`charts`]: curves, dots and bars
//! - [`text`]: numbers and instants as a reader wants them
//!
//! HTML is written with `html!` of `maud`, which escapes every text that is put in.

mod charts;
pub(crate) mod evaluation;
#[cfg(test)]
mod fixtures;
mod page;
pub(crate) mod run;
mod text;
