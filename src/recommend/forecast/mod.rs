//! Forecasts of launches: takes what past launches did, gives what new ones may do, with intervals.
//!
//! Numbers only: the sums of probabilities and the similar items that a forecast goes by come from who knows a model.
//!
//! # Layout, in the order data flows
//! - [`outcome`]: what was bought of an item in the first weeks after its launch
//! - [`past_launches`]: past launches with what was known before them, kept with a recommender
//! - [`regression`]: from what is known before a launch to a mean and an interval
//! - [`forecaster`]: the regressions of a number of weeks: buyers and revenue
//! - [`substitution`]: what launches took from similar items

pub mod forecaster;
pub mod outcome;
pub mod past_launches;
pub mod regression;
pub mod substitution;

/// The share of outcomes that lie within an interval.
pub const LEVEL: f64 = 0.9;
/// Weeks after a launch that are counted, at most.
pub const MOST_WEEKS: usize = 26;
