//! A fitted recommender: what it knows of users and items, and logits for any of them.
//!
//! Whoever asks brings users and items; a user may be one that it was trained with, one with a history of their own, a
//! profile vector, or unknown; an item one with a history or one that has nothing but a text.

use std::borrow::Cow;

use arrow::array::Array;

use super::blend::{ActivityFeatures, Blend};
use super::candidate_logits::CandidateLogits;
use super::logits::Logits;
use super::validation::{BoostPoint, HoldoutRecord};
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::Csr;
use crate::recommend::components::normalization::ScoreNormalization;
use crate::recommend::components::scores::Pairs;
use crate::recommend::components::{Components, ItemBatch, Texts, UserRepresentations};
use crate::recommend::dataset::ids::Ids;
use crate::recommend::dataset::interactions::Items;
use crate::recommend::forecast::past_launches::PastLaunches;
use crate::recommend::ranking::heap::{Best, entry};

/// Items that a profile vector stands for.
const PROFILE_ITEMS: usize = 20;

/// A recommender.
#[derive(Debug, Clone)]
pub struct Recommender {
    /// The users it was trained with.
    pub users: Ids,
    /// The catalogue it was trained with.
    pub items: Items,
    /// For each item of the catalogue, whether anybody had taken it.
    pub sold: Vec<bool>,
    /// The items with a history, by number in the catalogue, ascending: the items of `components`.
    pub known: Vec<u32>,
    /// The parts.
    pub components: Components,
    /// What is known of each user.
    pub representations: UserRepresentations,
    /// What each user does at all.
    pub activity: ActivityFeatures,
    /// Each user's score normalization.
    pub normalization: ScoreNormalization,
    /// The items that score normalization are taken over.
    pub reference: ItemBatch,
    /// The items with a history, as candidates.
    pub catalogue: ItemBatch,
    /// The embeddings of items with a history by the encoder that is published, the mean taken off, of length one.
    pub profiles: Matrix,
    /// How new items are ranked.
    pub new: Blend,
    /// How items with a history are ranked.
    pub old: Blend,
    /// What the odds of new items are multiplied by.
    pub boost: f64,
    /// What else was tried.
    pub boosts: Vec<BoostPoint>,
    /// Everything that happened before this moment is known, in microseconds since 1970.
    pub until: i64,
    /// For each of `known`, how many users took it lately.
    pub recent_buyers: Vec<u32>,
    /// What launches did before; `None` where no window of time was held out.
    pub past_launches: Option<PastLaunches>,
    /// What it was judged by when it was trained; `None` where there was nothing.
    pub held_out: Option<HoldoutRecord>,
}

/// Users to be scored.
#[derive(Debug, Clone)]
pub struct UserBatch<'a> {
    /// What is known of them.
    pub representations: Cow<'a, UserRepresentations>,
    /// What they do at all.
    pub activity: Cow<'a, ActivityFeatures>,
    /// Their score normalization.
    pub normalization: Cow<'a, ScoreNormalization>,
}

/// Items to be scored: first those with a history, then the others.
#[derive(Debug, Clone)]
pub struct Candidates<'a> {
    /// With a history.
    pub known: Cow<'a, ItemBatch>,
    /// Without.
    pub new: ItemBatch,
}

impl Recommender {
    /// Everybody it was trained with.
    pub fn everybody(&self) -> UserBatch<'_> {
        UserBatch {
            representations: Cow::Borrowed(&self.representations),
            activity: Cow::Borrowed(&self.activity),
            normalization: Cow::Borrowed(&self.normalization),
        }
    }

    /// These users it was trained with.
    pub fn some(&self, users: &[u32]) -> UserBatch<'_> {
        UserBatch {
            representations: Cow::Owned(self.representations.gather(users)),
            activity: Cow::Owned(ActivityFeatures(self.activity.0.gather(users))),
            normalization: Cow::Owned(self.normalization.gather(users)),
        }
    }

    /// Users with these histories (users x items with a history), folded in without training. An empty one is that of somebody
    /// unknown, for whom the population stands.
    pub fn cold_start_users(&self, histories: Csr, stop: Stop<'_>) -> Result<UserBatch<'_>, Cancelled> {
        // When they were last here is not known: as long ago as for others.
        let mut mean = self.activity.0.mean();
        mean.resize(self.activity.0.columns(), 0.0);
        let mut activity = Matrix::zeros(histories.rows(), mean.len());
        for user in 0..histories.rows() {
            let row = activity.row_mut(user);
            row.copy_from_slice(&mean);
            let count = histories.row(user).0.len();
            if count > 0 {
                row[0] = (count as f32).ln_1p();
            }
        }
        let representations = self.components.representations(histories, None, None, stop)?;
        let pairs =
            Pairs { components: &self.components, representations: &representations, item_batch: &self.reference };
        let normalization = ScoreNormalization::of(&pairs, stop)?;
        Ok(UserBatch {
            representations: Cow::Owned(representations),
            activity: Cow::Owned(ActivityFeatures(activity)),
            normalization: Cow::Owned(normalization),
        })
    }

    /// The histories that profile vectors (users x dimensions, by the published encoder) stand for: the items they are nearest to.
    pub fn histories_of(&self, profiles: &Matrix) -> Csr {
        let scores = profiles.times_transposed(&self.profiles);
        let mut best = Best::new(PROFILE_ITEMS);
        let rows = (0..profiles.rows()).map(|user| {
            best.clear();
            best.extend(0, scores.row(user));
            let near = best.sorted().iter().map(|key| entry(*key)).take_while(|(score, _)| *score > 0.0);
            let near = near.collect::<Vec<_>>();
            let first = near.first().map_or(1.0, |(score, _)| *score);
            near.into_iter().map(move |(score, item)| (item, score / first))
        });
        Csr::from_rows(self.known.len(), rows)
    }

    /// Items with a history by their numbers among them, ascending, and others by their texts.
    pub fn candidates(&self, known: &[u32], new: &Texts<'_>, stop: Stop<'_>) -> Result<Candidates<'_>, Cancelled> {
        let whole = known.len() == self.known.len();
        let known = if whole { Cow::Borrowed(&self.catalogue) } else { Cow::Owned(self.catalogue.gather(known)) };
        let new = self.components.item_batch(new, vec![None; new.texts.len()], stop)?;
        Ok(Candidates { known, new })
    }

    /// The logits of users for candidates; the odds of those without a history are multiplied by `boost`.
    pub fn logits<'a>(
        &'a self,
        user_batch: &'a UserBatch<'_>,
        candidates: &'a Candidates<'_>,
        boost: f64,
    ) -> CandidateLogits<'a> {
        let of = |item_batch, blend| Logits {
            pairs: Pairs { components: &self.components, representations: &user_batch.representations, item_batch },
            normalization: &user_batch.normalization,
            activity: &user_batch.activity,
            blend,
        };
        CandidateLogits {
            known: of(&candidates.known, &self.old),
            new: of(&candidates.new, &self.new),
            shift: boost.ln() as f32,
            answers: None,
        }
    }

    /// Users x candidates: what each has already.
    pub fn had(&self, user_batch: &UserBatch<'_>, candidates: &Candidates<'_>) -> Csr {
        let mut places = vec![None; self.known.len()];
        for (place, known) in candidates.known.known.iter().enumerate() {
            if let Some(known) = known {
                places[*known as usize] = Some(place as u32);
            }
        }
        let rows = user_batch.representations.history.iter();
        let rows = rows
            .map(|(items, _)| items.iter().filter_map(|item| Some((places[*item as usize]?, 1.0))).collect::<Vec<_>>());
        Csr::from_rows(candidates.len(), rows)
    }

    /// The text of an item with a history.
    pub fn known_text(&self, known: u32) -> &str {
        self.items.texts.value(self.known[known as usize] as usize)
    }

    /// The number among the items with a history of an item of the catalogue.
    pub fn place(&self, item: u32) -> Option<u32> {
        self.known.binary_search(&item).ok().map(|place| place as u32)
    }
}

impl UserBatch<'_> {
    /// These and then those.
    #[must_use]
    pub fn join<'a>(&self, other: &Self) -> UserBatch<'a> {
        UserBatch {
            representations: Cow::Owned(self.representations.join(&other.representations)),
            activity: Cow::Owned(ActivityFeatures(self.activity.0.below(&other.activity.0))),
            normalization: Cow::Owned(self.normalization.join(&other.normalization)),
        }
    }

    /// These users, in this order.
    #[must_use]
    pub fn gather<'a>(&self, users: &[u32]) -> UserBatch<'a> {
        UserBatch {
            representations: Cow::Owned(self.representations.gather(users)),
            activity: Cow::Owned(ActivityFeatures(self.activity.0.gather(users))),
            normalization: Cow::Owned(self.normalization.gather(users)),
        }
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.representations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Candidates<'_> {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.known.len() + self.new.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
