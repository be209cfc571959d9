//! What is compared: the model, its parts, and what anybody could do without it.
//!
//! Takes a recommender and goods; gives each method's scores user by user. Called by `evaluate`.

use crate::recommend::components::Component;
use crate::recommend::components::scores::Pairs;
use crate::recommend::model::recommender::{Goods, Offers, People, Recommender};
use crate::recommend::ranking::BlockScores;

/// A method: users x goods.
pub(crate) enum Method<'a> {
    /// A recommender.
    Model(Offers<'a>),
    /// All goods alike: chance decides.
    Random,
    /// The goods with the most buyers of late.
    Popularity(&'a Recommender, &'a Goods<'a>),
    /// A part of the model alone.
    Component(Pairs<'a>, Pairs<'a>, Component),
    /// Another recommender, which has the users and goods in another order, or does not know them.
    Other(Other<'a>),
}

/// Another recommender.
pub(crate) struct Other<'a> {
    /// Its own users x its own goods.
    pub(crate) offers: Offers<'a>,
    /// Its number of each user.
    pub(crate) users: Vec<Option<u32>>,
    /// Its number of each good.
    pub(crate) goods: Vec<Option<u32>>,
}

impl<'a> Method<'a> {
    /// A component over all goods.
    pub(crate) fn alone(
        recommender: &'a Recommender,
        people: &'a People<'a>,
        goods: &'a Goods<'a>,
        one: Component,
    ) -> Self {
        let of = |candidates| Pairs { components: &recommender.components, tastes: &people.tastes, candidates };
        Self::Component(of(&goods.known), of(&goods.new), one)
    }
}

impl Method<'_> {
    /// The scores of a user for all goods into `out`; NaN for those it cannot score. `room` is memory. Gives whether the method
    /// knows the user.
    pub(crate) fn row_into(&self, user: usize, room: &mut Vec<f32>, out: &mut [f32]) -> bool {
        match self {
            Self::Model(offers) => offers.scores_into(user..user + 1, 0..out.len(), out),
            Self::Random => out.fill(0.0),
            Self::Popularity(recommender, goods) => {
                for (item, out) in out.iter_mut().enumerate() {
                    let known = goods.known.known.get(item).copied().flatten();
                    *out = known.map_or(0.0, |known| recommender.components.buyers[known as usize]);
                }
            }
            Self::Component(known, new, one) => {
                let (left, right) = out.split_at_mut(known.candidates.len());
                known.scores_into(*one, user..user + 1, 0..left.len(), left);
                new.scores_into(*one, user..user + 1, 0..right.len(), right);
            }
            Self::Other(other) => {
                let Some(user) = other.users[user] else { return false };
                let user = user as usize;
                room.resize(other.offers.items(), 0.0);
                other.offers.scores_into(user..user + 1, 0..other.offers.items(), room);
                for (out, good) in out.iter_mut().zip(&other.goods) {
                    *out = good.map_or(f32::NAN, |good| room[good as usize]);
                }
            }
        }
        true
    }
}
