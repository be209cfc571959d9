//! What training is given, and which of it an objective reads: takes record batches, gives the tables and the roles of
//! their columns. Used by [`super::source`] to read them, and through [`super::check`] while a query is planned.

use std::fmt::{self, Display};

use debut_udfs::options::Inputs;
use debut_udfs::trainer::Table;

use super::{Error, Result, Role};

/// The tables of a run.
pub type Tables = Inputs<Table>;

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

    /// The roles of each table's columns. `has` says which tables were given.
    ///
    /// # Errors
    /// A table is missing or too much.
    pub(super) fn layout<T>(self, has: &Inputs<T>) -> Result<Inputs<Layout>> {
        let with_users = self.has_users() || self == Self::Contrastive && has.examples.is_none();
        let given = [("interactions", has.interactions.is_some()), ("items", has.items.is_some())];
        let examples = ("examples", has.examples.is_some());
        let (wanted, others) = if with_users { (&given[..], &[examples][..]) } else { (&[examples][..], &given[..]) };
        if wanted.iter().any(|(_, given)| !given) {
            return Err(Error::MissingTable { kind: self, needed: self.needed() });
        }
        if let Some((table, _)) = others.iter().find(|(_, given)| *given) {
            return Err(Error::UnusedTable { kind: self, table, needed: self.needed() });
        }
        Ok(self.roles(with_users))
    }

    fn roles(self, with_users: bool) -> Inputs<Layout> {
        use Role::{Item, Label, Negative, Other, Positive, Text, Timestamp, User, Weight};
        if with_users {
            let optional: &[Role] =
                if self == Self::Contrastive { &[Weight, Timestamp] } else { &[Label, Weight, Timestamp] };
            return Inputs {
                interactions: Some(Layout { table: "interactions", required: &[User, Item], optional }),
                items: Some(Layout { table: "items", required: &[Item, Text], optional: &[] }),
                ..Inputs::default()
            };
        }
        let (required, optional): (&[Role], &[Role]) = match self {
            Self::Contrastive => (&[Text, Positive], &[Negative, Weight, Timestamp]),
            Self::Similarity => (&[Text, Other, Label], &[Weight, Timestamp]),
            _ => (&[Text, Label], &[Weight, Timestamp]),
        };
        let examples = Some(Layout { table: "examples", required, optional });
        Inputs { examples, ..Inputs::default() }
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

/// The roles of a table's columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// The table's name.
    pub(super) table: &'static str,
    /// Columns that must be there.
    pub(super) required: &'static [Role],
    /// Columns that may be there.
    pub(super) optional: &'static [Role],
}
