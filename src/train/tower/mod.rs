//! An encoder that learns who buys what: takes a version's encoder, the items' texts and what collaborative filtering found,
//! gives the encoder and a projection of its vectors, beside which new items find their users.
//!
//! # Layout
//! - [`task`]: what it is trained on and how ([`TowerTask`], [`TowerSettings`]), and what comes of it ([`Tower`])
//! - [`fit`]: epochs of steps ([`train`])
//! - [`groups`]: short texts apart from long ones within a step
//! - [`version`]: what a trained tower is good for: vectors of texts ([`embed`]) and a version's graph ([`write()`])
//!
//! `recommend` finds the first values, trains a tower for each launch window, and publishes the last.

mod fit;
mod groups;
mod task;
#[cfg(test)]
mod tests;
mod version;

pub use super::objective::Holders;

pub use fit::{steps, train};
pub use task::{Place, Tower, TowerEpoch, TowerEvent, TowerSettings, TowerState, TowerStep, TowerTask, Watch};
pub use version::{embed, write};
