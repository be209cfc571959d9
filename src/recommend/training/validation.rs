//! How good something is on held out launches: takes scores and who took what, gives recall and NDCG.

use sha2::{Digest, Sha256};

use crate::cancellation::{Cancelled, Stop, check};
use crate::fetch::files::hexadecimal;
use crate::linalg::sparse::Csr;
use crate::recommend::dataset::holdout::HoldoutWindow;
use crate::recommend::dataset::ids::Id;
use crate::recommend::dataset::interactions::InteractionDataset;
use crate::recommend::evaluation::metrics::Evaluator;
use crate::recommend::evaluation::per_user::PerUser;
use crate::recommend::model::validation::{HoldoutRecord, K};
use crate::recommend::ranking::BlockScores;

/// How good something was at a holdout window that it had not learned from.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidationMetrics {
    /// What: the blend, or a component alone.
    pub name: String,
    /// The mean share of what users took of the launches that is among the first [`K`].
    pub recall: f64,
    /// The mean NDCG of the first [`K`].
    pub ndcg: f64,
}

/// Launches that were held out, and who took them.
#[derive(Debug, Clone)]
pub struct Launches {
    /// The items, by number in the shop, ascending.
    pub items: Vec<u32>,
    /// The users, by number in the shop, ascending.
    pub users: Vec<u32>,
    /// Who took what: users x items.
    pub taken: Csr,
    /// Decides ties.
    pub seed: u64,
}

impl Launches {
    /// The record of a recommender that found `recall` of them.
    pub(crate) fn record(&self, dataset: &InteractionDataset, window: &HoldoutWindow, recall: f64) -> HoldoutRecord {
        let mut hash = Sha256::new();
        let mut id = |id: Id<'_>| {
            let text = id.to_string();
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        self.items.iter().for_each(|item| id(dataset.items.ids.get(*item as usize)));
        for (user, (taken, _)) in self.users.iter().zip(self.taken.iter()).filter(|(_, (taken, _))| !taken.is_empty()) {
            id(dataset.users.get(*user as usize));
            taken.iter().for_each(|item| id(dataset.items.ids.get(self.items[*item as usize] as usize)));
        }
        HoldoutRecord {
            title: format!("{} items {}", self.items.len(), window.title),
            from: window.from,
            fingerprint: hexadecimal(&hash.finalize()[..8]),
            recall: recall.is_finite().then_some(recall),
        }
    }
}

/// How good the lists of these scores are for users who took this of the items.
pub(crate) fn validate(
    name: String,
    scores: &dyn BlockScores,
    taken: &Csr,
    seed: u64,
    stop: Stop<'_>,
) -> Result<ValidationMetrics, Cancelled> {
    let mut evaluator = Evaluator::new(&[K], seed);
    let width = evaluator.columns().len();
    let mut table = PerUser::new(width);
    let (mut row, mut values) = (vec![0.0; scores.items()], vec![f64::NAN; width]);
    for user in 0..taken.rows() {
        let chosen = taken.row(user).0;
        if chosen.is_empty() {
            continue;
        }
        check(stop)?;
        scores.scores_into(user..user + 1, 0..scores.items(), &mut row);
        evaluator.rank(user as u64, &row, &[]);
        evaluator.measure(chosen, &[], &mut values);
        table.push(user as u32, &values);
    }
    let means = table.means();
    let mean = |place: usize| means.get(place).copied().flatten().unwrap_or(f64::NAN);
    Ok(ValidationMetrics { name, recall: mean(0), ndcg: mean(1) })
}
