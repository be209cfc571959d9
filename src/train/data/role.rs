//! What a column means to training: its role, and the names by which the column is found.

use std::fmt::{self, Display};

/// What a column means to training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Who did something.
    User,
    /// With which item.
    Item,
    /// The text that is encoded: an item's, or an example's first one.
    Text,
    /// The picture that is encoded, as the bytes of its file.
    Image,
    /// A text that belongs to the first one.
    Positive,
    /// A text that looks as if it did but does not.
    Negative,
    /// The second text of a labelled pair.
    Other,
    /// What is to be learned.
    Label,
    /// How much a row counts.
    Weight,
    /// When it happened.
    Timestamp,
}

impl Role {
    pub(super) const ALL: [Self; 10] = [
        Self::User,
        Self::Item,
        Self::Text,
        Self::Image,
        Self::Positive,
        Self::Negative,
        Self::Other,
        Self::Label,
        Self::Weight,
        Self::Timestamp,
    ];

    /// The names by which the column is found, the usual one first.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::User => &["user_id"],
            Self::Item => &["item_id"],
            Self::Text => &["text"],
            Self::Image => &["image"],
            Self::Positive => &["positive"],
            Self::Negative => &["negative"],
            Self::Other => &["other", "text_b"],
            Self::Label => &["label"],
            Self::Weight => &["weight"],
            Self::Timestamp => &["timestamp"],
        }
    }
}

impl Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.names()[0])
    }
}
