//! How good a recommender was on launches that were held out from its training: kept with it.

use serde::{Deserialize, Serialize};

/// The length of the lists that training looks at.
pub const K: usize = 20;

/// What a recommender was judged by when it was trained, and how good it was: kept with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldoutRecord {
    /// The launches, for people.
    pub title: String,
    /// The first moment of which training knew nothing, in microseconds since 1970.
    pub from: i64,
    /// Sixteen hexadecimal digits over the launches, the users and who took what.
    pub fingerprint: String,
    /// The mean share of what users took of the launches that was among the first [`K`]; `None` where nobody took any.
    pub recall: Option<f64>,
}

/// A boost, and what it does to the first [`K`] items of all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BoostPoint {
    /// What a new item's odds are multiplied by.
    pub boost: f64,
    /// The mean share of what users took that is among the first [`K`].
    pub recall: f64,
    /// The same of the new items among it.
    pub recall_of_new: f64,
    /// The share of places that new items have.
    pub new_share: f64,
}
