//! What is compared: the model, its parts, and what anybody could do without it.
//!
//! Takes a recommender and candidates; gives each method's scores user by user.

use crate::recommend::components::Listed;
use crate::recommend::components::scores::Pairs;
use crate::recommend::model::candidate_logits::CandidateLogits;
use crate::recommend::model::recommender::{Candidates, Recommender, UserBatch};
use crate::recommend::ranking::BlockScores;

/// A method: users x candidates.
pub(crate) enum Method<'a> {
    /// A recommender.
    Model(CandidateLogits<'a>),
    /// All candidates alike: chance decides.
    Random,
    /// The candidates with the most buyers of late.
    Popularity(&'a Recommender, &'a Candidates<'a>),
    /// A part of the model alone.
    Component(Pairs<'a>, Pairs<'a>, Listed),
    /// Another recommender, which has the users and candidates in another order, or does not know them.
    Other(Other<'a>),
}

/// Another recommender.
pub(crate) struct Other<'a> {
    /// Its own users x its own candidates.
    pub(crate) logits: CandidateLogits<'a>,
    /// Its number of each user.
    pub(crate) users: Vec<Option<u32>>,
    /// Its number of each good.
    pub(crate) candidates: Vec<Option<u32>>,
}

impl<'a> Method<'a> {
    /// A component over all candidates.
    pub(crate) fn alone(
        recommender: &'a Recommender,
        user_batch: &'a UserBatch<'a>,
        candidates: &'a Candidates<'a>,
        one: Listed,
    ) -> Self {
        let of = |item_batch| Pairs {
            components: &recommender.components,
            representations: &user_batch.representations,
            item_batch,
        };
        Self::Component(of(&candidates.known), of(&candidates.new), one)
    }
}

impl Method<'_> {
    /// The scores of a user for all candidates into `out`; NaN for those it cannot score. `room` is memory. Gives whether the method
    /// knows the user.
    pub(crate) fn row_into(&self, user: usize, scratch: &mut Vec<f32>, out: &mut [f32]) -> bool {
        match self {
            Self::Model(logits) => logits.scores_into(user..user + 1, 0..out.len(), out),
            Self::Random => out.fill(0.0),
            Self::Popularity(recommender, candidates) => {
                for (item, out) in out.iter_mut().enumerate() {
                    let known = candidates.known.known.get(item).copied().flatten();
                    *out = known.map_or(0.0, |known| recommender.components.parts.buyers[known as usize]);
                }
            }
            Self::Component(known, new, one) => {
                let (left, right) = out.split_at_mut(known.item_batch.len());
                known.scores_into(*one, user..user + 1, 0..left.len(), left);
                new.scores_into(*one, user..user + 1, 0..right.len(), right);
            }
            Self::Other(other) => {
                let Some(user) = other.users[user] else { return false };
                let user = user as usize;
                scratch.resize(other.logits.items(), 0.0);
                other.logits.scores_into(user..user + 1, 0..other.logits.items(), scratch);
                for (out, good) in out.iter_mut().zip(&other.candidates) {
                    *out = good.map_or(f32::NAN, |good| scratch[good as usize]);
                }
            }
        }
        true
    }
}
