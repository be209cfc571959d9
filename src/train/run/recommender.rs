//! What `run.json` holds of the training of a recommender beside what every run has: the snapshots that it was fitted at, its
//! components, and what the boost of new items was chosen from.
//!
//! What is measured of components is among the metrics, under the names of [`super::metrics::of_component`].

use serde::{Deserialize, Serialize};

use super::metrics::number;

/// A recommender's part of the record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecommenderInfo {
    /// What it was fitted to, the oldest first; the last is all that is known.
    pub snapshots: Vec<SnapshotInfo>,
    /// The components of its scores.
    #[serde(default)]
    pub components: Vec<ComponentInfo>,
    /// How much more new items count, once that is chosen.
    #[serde(default)]
    pub boost: Option<BoostInfo>,
}

/// The shop as it was known at some time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// What is known, such as `before 2025-06-13`.
    pub name: String,
    /// Epochs that the encoder is tuned for.
    pub epochs: u64,
    /// Users who took anything.
    pub users: u64,
    /// Items that they took.
    pub items: u64,
    /// What it is measured by, and what weights are learned from; `None` for all that is known.
    pub holdout: Option<HoldoutInfo>,
}

/// New items whose takers are known, and not to the snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldoutInfo {
    /// What they are, such as `launched from 2025-06-13 to 2025-09-05`.
    pub name: String,
    /// How many items.
    pub items: u64,
    /// How many of the snapshot's users took any.
    pub users: u64,
}

/// A component of the scores.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentInfo {
    /// Its name.
    pub name: String,
    /// How it scores, in a few words.
    pub about: String,
}

/// The boost of new items.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BoostInfo {
    /// What a new item's odds are multiplied by.
    pub chosen: f64,
    /// What it was chosen from, by ascending boost; empty if there was nothing to choose by.
    pub curve: Vec<BoostPoint>,
}

/// What a boost does to the first items of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct BoostPoint {
    /// The boost.
    pub boost: f64,
    /// Recall of all items.
    #[serde(with = "number")]
    pub recall: f64,
    /// Recall of the new ones among them.
    #[serde(with = "number")]
    pub recall_of_new: f64,
    /// The share of places that new items have.
    #[serde(with = "number")]
    pub new_share: f64,
}
