//! The sub-queries of a call: which there are, and which an objective reads.
//!
//! Takes a value per sub-query (a plan, a schema, a table); gives them by name. Used by the engine at every stage.

use datafusion::common::{Result, plan_err};

use super::NAME;
use super::options::Objective;

/// Name and meaning of each sub-query, in the order of [`Inputs::iter`].
pub const MEANINGS: [(&str, &str); 3] = [
    ("interactions", "Who bought what: user_id, item_id, and optionally label, weight and timestamp"),
    ("items", "The texts of the items: item_id, text"),
    (
        "examples",
        "Texts with what is to be learnt: text, and label, or other and label, or positive and optionally negative; \
         optionally weight and timestamp",
    ),
];

/// A value for each sub-query that a call has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inputs<T> {
    /// Users and the items they chose.
    pub interactions: Option<T>,
    /// Items and their texts.
    pub items: Option<T>,
    /// Texts with labels or with other texts.
    pub examples: Option<T>,
}

impl<T> Inputs<T> {
    /// The place of a sub-query by its name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Option<T>> {
        match name {
            "interactions" => Some(&mut self.interactions),
            "items" => Some(&mut self.items),
            "examples" => Some(&mut self.examples),
            _ => None,
        }
    }

    /// Those that are there, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &T)> {
        let values = [&self.interactions, &self.items, &self.examples];
        MEANINGS.iter().zip(values).filter_map(|((name, _), value)| Some((*name, value.as_ref()?)))
    }

    /// Other values in the same places.
    pub fn map<U>(&self, change: impl Fn(&T) -> U) -> Inputs<U> {
        Inputs {
            interactions: self.interactions.as_ref().map(&change),
            items: self.items.as_ref().map(&change),
            examples: self.examples.as_ref().map(&change),
        }
    }

    /// Other values, in the order of [`Self::iter`], in the same places. Missing ones leave their places empty.
    pub fn replace<U>(&self, values: impl IntoIterator<Item = U>) -> Inputs<U> {
        let mut values = values.into_iter();
        Inputs {
            interactions: self.interactions.as_ref().and_then(|_| values.next()),
            items: self.items.as_ref().and_then(|_| values.next()),
            examples: self.examples.as_ref().and_then(|_| values.next()),
        }
    }

    /// Fails unless the sub-queries are those that the objective reads.
    ///
    /// # Errors
    /// One is missing, or there is one that nobody reads.
    pub fn check(&self, objective: &Objective) -> Result<()> {
        let shop = [self.interactions.is_some(), self.items.is_some()];
        let examples = self.examples.is_some();
        let name = objective.name();
        match objective {
            Objective::Contrastive { .. } => match (shop, examples) {
                ([true, true], false) | ([false, false], true) => Ok(()),
                ([_, _], true) => plan_err!(
                    "{NAME}: objective 'contrastive' reads either interactions and items, or examples, not both"
                ),
                _ => missing(name, shop, " (or examples => (SELECT text, positive ...) alone)"),
            },
            Objective::Bce { .. } | Objective::Bpr { .. } => match (shop, examples) {
                (_, true) => {
                    plan_err!("{NAME}: objective '{name}' reads interactions and items, and not examples; leave it out")
                }
                ([true, true], false) => Ok(()),
                _ => missing(name, shop, ""),
            },
            Objective::Classification { .. } | Objective::Regression | Objective::Similarity => {
                let columns =
                    if matches!(objective, Objective::Similarity) { "text, other, label" } else { "text, label" };
                match (shop, examples) {
                    ([false, false], true) => Ok(()),
                    (_, false) => {
                        plan_err!("{NAME}: objective '{name}' needs examples => (SELECT {columns} FROM ...)")
                    }
                    ([interactions, _], true) => plan_err!(
                        "{NAME}: objective '{name}' reads examples alone, and not {}; leave it out",
                        if interactions { "interactions" } else { "items" }
                    ),
                }
            }
        }
    }
}

fn missing(objective: &str, [interactions, _]: [bool; 2], otherwise: &str) -> Result<()> {
    let needed = if interactions {
        "items => (SELECT item_id, text FROM ...)"
    } else {
        "interactions => (SELECT user_id, item_id FROM ...)"
    };
    plan_err!("{NAME}: objective '{objective}' needs {needed}{otherwise}")
}
