//! What training is given, and which of it an objective reads: takes record batches, gives the tables and the roles of
//! their columns.

use debut_udfs::options::Inputs;
use debut_udfs::trainer::Table;

use super::kind::Kind;
use super::role::Role;
use super::{Error, Result};

/// The tables of a run.
pub type Tables = Inputs<Table>;

impl Kind {
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
