//! What objectives learn from: takes the sub-queries of a call, says whether they are those that the examples are made of.

use crate::options::Inputs;

/// Name and meaning of each sub-query.
pub const MEANINGS: &[(&str, &str)] = &[
    (
        "interactions",
        "Who bought what: user_id, item_id, and optionally label, weight and timestamp; for a recommender also quantity, the units that were bought",
    ),
    (
        "items",
        "The items: item_id, text; for a recommender optionally image (the bytes of a picture), price and launched_at",
    ),
    (
        "examples",
        "What to learn from: text, image or both, and label; or text, other and label; or text, positive and optionally negative; \
         or, contrastively, text and image; or, for distill, text alone; each optionally with weight and timestamp",
    ),
];

/// What an example is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExampleForm {
    /// A user and an item, and whether the user likes it: from `interactions` and `items`. Without labels all are liked.
    Interactions,
    /// A user and an item that the user likes: as [`Self::Interactions`], without those whose label says otherwise.
    Likes,
    /// Two texts that belong together: from `examples`, or of two items that a user has, from `interactions` and `items`. Or a
    /// text and its picture: from `examples`.
    Pairs,
    /// A text, a picture or both, and a label: from `examples`.
    Labels,
    /// A text, a picture or both, and a number: from `examples`.
    Numbers,
    /// Two texts and a number: from `examples`.
    ScoredPairs,
    /// A text alone: from `examples`.
    Texts,
}

impl ExampleForm {
    /// Whether each example is of a user, whose vector is learnt too.
    pub fn is_of_user(self) -> bool {
        matches!(self, Self::Interactions | Self::Likes)
    }

    /// Whether they can be made of interactions and items.
    pub fn reads_interactions(self) -> bool {
        self.is_of_user() || self == Self::Pairs
    }

    /// Whether each example is of one text, one picture or one of each, so that encoders of either can learn from it.
    pub fn is_of_one_input(self) -> bool {
        matches!(self, Self::Labels | Self::Numbers)
    }

    /// The columns that `examples` must have; `None` where it is not read.
    fn columns(self) -> Option<&'static str> {
        match self {
            Self::Interactions | Self::Likes => None,
            Self::Pairs => Some("text, positive"),
            Self::Labels | Self::Numbers => Some("text, label"),
            Self::ScoredPairs => Some("text, other, label"),
            Self::Texts => Some("text"),
        }
    }

    /// Checks that the sub-queries are those that the examples of `objective` are made of.
    ///
    /// # Errors
    /// One is missing, or there is one that nobody reads: a sentence that says which.
    pub fn check<T>(self, objective: &str, inputs: &Inputs<T>) -> Result<(), String> {
        let (interactions, items) = (inputs.interactions.is_some(), inputs.items.is_some());
        let examples = inputs.examples.is_some();
        let of = format!("objective '{objective}'");
        match (self.reads_interactions(), self.columns()) {
            (true, None) if examples => {
                return Err(format!("{of} reads interactions and items, and not examples; leave it out"));
            }
            (true, Some(_)) if examples && (interactions || items) => {
                return Err(format!("{of} reads either interactions and items, or examples, not both"));
            }
            (false, Some(columns)) if !examples => {
                return Err(format!("{of} needs examples => (SELECT {columns} FROM ...)"));
            }
            (false, _) if interactions || items => {
                let other = if interactions { "interactions" } else { "items" };
                return Err(format!("{of} reads examples alone, and not {other}; leave it out"));
            }
            _ => {}
        }
        if examples || (interactions && items) {
            return Ok(());
        }
        let needed = if interactions {
            "items => (SELECT item_id, text FROM ...)"
        } else {
            "interactions => (SELECT user_id, item_id FROM ...)"
        };
        let otherwise = self.columns().map(|columns| format!(" (or examples => (SELECT {columns} ...) alone)"));
        Err(format!("{of} needs {needed}{}", otherwise.unwrap_or_default()))
    }
}
