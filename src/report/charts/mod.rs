//! Charts of inline SVG and HTML, without a script. Takes numbers and their names; gives figures.
//!
//! # Layout
//! - [`curves`]: curves over a number; [`dots`]: values beside each other; [`scale`]: the axes of both
//! - [`bars`]: a table with a bar for each value

pub(crate) mod bars;
pub(crate) mod curves;
pub(crate) mod dots;
mod scale;

pub(crate) use scale::Axis;
