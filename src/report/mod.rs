//! Pages of HTML that need nothing else: no script, no font, no network. They look right on a phone, on paper, in the
//! light and in the dark, and say in words what they draw.
//!
//! Takes titles, numbers and names of others; gives HTML. Called by the reports of training runs and of evaluations,
//! which know what is to be said; nothing here does.
//!
//! # Layout
//! - [`page`]: the frame of a page, figures and lists of pairs
//! - [`chart`]: curves; [`dots`]: values beside each other; [`scale`]: the axes of both
//! - [`bars`]: a table with a bar for each value
//! - [`text`]: numbers as a reader wants them, and escapes

pub(crate) mod bars;
pub(crate) mod chart;
pub(crate) mod dots;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod page;
pub(crate) mod scale;
pub(crate) mod text;
