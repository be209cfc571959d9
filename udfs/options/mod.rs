//! Calls with named arguments, `function(option => value, rows => (SELECT ...))`: what they may say, as data.
//!
//! Takes the names and literals of a call; gives a value for each option that is read, or an error that names function,
//! option, value and range.
//!
//! # Layout
//! - [`function`]: a function: its options and sub-queries; [`setting`]: one option
//! - [`value`]: one option's value, read from SQL; [`values`]: all of them, with defaults, and what is not read refused
//! - [`inputs`]: the sub-queries; [`columns`]: their columns by name

pub mod columns;
pub mod function;
pub mod inputs;
pub mod setting;
pub mod value;
pub mod values;

#[cfg(test)]
mod tests;

pub use function::Function;
pub use inputs::Inputs;
pub use values::Values;
