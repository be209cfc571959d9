//! What is learned: the objective of a call, as its tables show it.

use std::fmt::{self, Display};

/// What is learned: the option `objective`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The probability that a user likes an item.
    Bce,
    /// Texts that belong together lie together.
    Contrastive,
    /// A user prefers what they have over what they have not.
    Bpr,
    /// A text's label.
    Classification,
    /// A text's number.
    Regression,
    /// How alike two texts are.
    Similarity,
}

impl Kind {
    /// Whether each example is of a user.
    pub fn has_users(self) -> bool {
        matches!(self, Self::Bce | Self::Bpr)
    }

    /// The tables and columns that it reads, for people.
    pub fn needed(self) -> &'static str {
        match self {
            Self::Bce | Self::Bpr => {
                "interactions => (SELECT user_id, item_id [, label] [, weight] [, timestamp]) and items => (SELECT item_id, \
                 text)"
            }
            Self::Contrastive => {
                "interactions => (SELECT user_id, item_id [, weight] [, timestamp]) and items => (SELECT item_id, text), or \
                 examples => (SELECT text, positive [, negative] [, weight] [, timestamp])"
            }
            Self::Classification | Self::Regression => "examples => (SELECT text, label [, weight] [, timestamp])",
            Self::Similarity => "examples => (SELECT text, other, label [, weight] [, timestamp])",
        }
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bce => "bce",
            Self::Contrastive => "contrastive",
            Self::Bpr => "bpr",
            Self::Classification => "classification",
            Self::Regression => "regression",
            Self::Similarity => "similarity",
        })
    }
}
