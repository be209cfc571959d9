//! Which sub-queries an objective reads.

use datafusion::common::{Result, plan_err};

use super::NAME;
use super::options::Objective;
use crate::options::Inputs;

/// Name and meaning of each sub-query.
pub const MEANINGS: &[(&str, &str)] = &[
    ("interactions", "Who bought what: user_id, item_id, and optionally label, weight and timestamp"),
    ("items", "The items: item_id, text; for a recommender optionally price and launched_at"),
    (
        "examples",
        "Texts to learn from: text and label; or text, other and label; or text, positive and optionally negative; each \
         optionally with weight and timestamp",
    ),
];

/// Fails unless the sub-queries are those that the objective reads.
///
/// # Errors
/// One is missing, or there is one that nobody reads.
pub fn check<T>(inputs: &Inputs<T>, objective: &Objective) -> Result<()> {
    let shop = [inputs.interactions.is_some(), inputs.items.is_some()];
    let examples = inputs.examples.is_some();
    let name = objective.name();
    match objective {
        Objective::Contrastive { .. } => match (shop, examples) {
            ([true, true], false) | ([false, false], true) => Ok(()),
            ([_, _], true) => {
                plan_err!("{NAME}: objective 'contrastive' reads either interactions and items, or examples, not both")
            }
            _ => missing(name, shop, " (or examples => (SELECT text, positive ...) alone)"),
        },
        Objective::Bce { .. } | Objective::Bpr { .. } | Objective::Recommend { .. } => match (shop, examples) {
            (_, true) => {
                plan_err!("{NAME}: objective '{name}' reads interactions and items, and not examples; leave it out")
            }
            ([true, true], false) => Ok(()),
            _ => missing(name, shop, ""),
        },
        Objective::Classification { .. } | Objective::Regression | Objective::Similarity => {
            let columns = if matches!(objective, Objective::Similarity) { "text, other, label" } else { "text, label" };
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

fn missing(objective: &str, [interactions, _]: [bool; 2], otherwise: &str) -> Result<()> {
    let needed = if interactions {
        "items => (SELECT item_id, text FROM ...)"
    } else {
        "interactions => (SELECT user_id, item_id FROM ...)"
    };
    plan_err!("{NAME}: objective '{objective}' needs {needed}{otherwise}")
}
