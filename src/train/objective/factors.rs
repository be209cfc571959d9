//! `recommend`: items' vectors are to find their users. A batch of items is scored by every user who has one of them, and
//! each of these users picks their own items out of the batch by a softmax:
//!
//! ```text
//! p_i = (e_i - center) W          e_i = the encoder's vector of item i's text, of length one if that is wanted
//! loss = - sum_(u, i) w_ui log softmax_i(x_u . p_i / temperature) / sum_(u, i) w_ui
//! ```
//!
//! The users' vectors `x` and the projection `W` are trained too, and start at what collaborative filtering found: from
//! there the gradient tells the encoder what the words say about who buys. Started at random it does not. What the factors say
//! is between about 0 and 1: without a temperature below 1 they tell a softmax next to nothing.
//!
//! Takes who has which item and the first values; gives parameters, loss and batches. So it is no [`super::Objective`].
//!
//! The loss with a softmax over a batch's items: Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
//! Recommendations", 2019, <https://doi.org/10.1145/3298689.3346996>.

use super::batch::{Batch, shares};
use super::{cross_entropy, input};
use crate::onnx::graph::{GraphBuilder, Value};
use crate::onnx::proto::DataType;
use crate::random::Random;
use crate::train::parameter::Parameter;
use crate::train::pooling;
use crate::train::step::feed::Feed;

/// The projection's name, as a parameter.
pub(in crate::train) const PROJECTION: &str = "factors/projection";
/// The name of the users' vectors, as a parameter.
pub(in crate::train) const USERS: &str = "factors/users";
const CENTER: &str = "factors/center";
const CHOSEN: &str = "factors/chosen";
const SHARES: &str = "factors/shares";

/// Who has which item, an item behind the other.
#[derive(Debug, Clone, Copy)]
pub struct Holders<'a> {
    /// Where each item's users begin, and the end of the last one's: one more than there are items.
    pub starts: &'a [usize],
    /// The users, each once an item.
    pub users: &'a [u32],
    /// What each of these interactions counts; empty for 1.
    pub weights: &'a [f32],
}

impl Holders<'_> {
    /// The users of an item with the weights of their interactions.
    pub(in crate::train) fn of(&self, item: u32) -> impl Iterator<Item = (u32, f32)> {
        let at = |place: usize| self.starts.get(place).copied().unwrap_or(self.users.len());
        let range = at(item as usize)..at(item as usize + 1);
        let users = self.users.get(range.clone()).unwrap_or_default();
        let weights = self.weights.get(range).unwrap_or_default();
        (users.iter().enumerate()).map(|(place, user)| (*user, weights.get(place).copied().unwrap_or(1.0)))
    }
}

/// The objective.
#[derive(Debug, Clone, Copy)]
pub(in crate::train) struct Factors<'a> {
    pub(in crate::train) holders: Holders<'a>,
    /// Number of users.
    pub(in crate::train) users: usize,
    /// Most users in a batch; of more, so many are drawn.
    pub(in crate::train) most_users: usize,
    /// Taken from every vector, `[dimension]`.
    pub(in crate::train) center: &'a [f32],
    /// Width of the users' vectors.
    pub(in crate::train) width: usize,
    /// Whether the encoder's vectors are scaled to length one before.
    pub(in crate::train) normalize: bool,
    /// What the products of users and items are divided by.
    pub(in crate::train) temperature: f32,
}

impl Factors<'_> {
    /// The projection and the users' vectors, with these first values. Their learning rate is `rate` times the encoder's.
    pub(in crate::train) fn parameters(&self, projection: &[f32], users: &[f32], rate: f32) -> [Parameter; 2] {
        let projection = Parameter::new(PROJECTION, &[self.center.len(), self.width], projection.to_vec());
        let users = Parameter::new(USERS, &[self.users, self.width], users.to_vec());
        [Parameter { rate, ..projection }, Parameter { rate, ..users }]
    }

    /// Adds the loss of a batch. `embeddings` are the encoder's vectors of the batch's texts, `[texts, dimension]`; `head`
    /// are the values of [`Self::parameters`].
    pub(in crate::train) fn loss(&self, graph: &mut GraphBuilder, embeddings: &Value, head: &[Value; 2]) -> Value {
        let outer = graph.scope("factors");
        let [projection, users] = head;
        let chosen = input(graph, CHOSEN, DataType::Int64, &["users"]);
        let shares = input(graph, SHARES, DataType::Float, &["users", "texts"]);
        let vectors = if self.normalize { pooling::normalize(graph, embeddings) } else { embeddings.clone() };
        let center = graph.tensor_f32(CENTER, &[self.center.len()], self.center);
        let centered = graph.sub(&vectors, &center);
        let items = graph.matmul(&centered, projection);
        let items = graph.transpose(&items, &[1, 0]);
        let users = graph.gather(users, &chosen, 0);
        let products = graph.matmul(&users, &items);
        let sharpness = graph.scalar_f32(1.0 / self.temperature);
        let logits = graph.mul(&products, &sharpness);
        let loss = cross_entropy(graph, &logits, &shares);
        graph.scope(outer);
        loss
    }

    /// The batch of these items, in this order. Of more than [`Self::most_users`] users, `random` draws so many.
    pub(in crate::train) fn batch(&self, items: &[u32], random: &mut Random) -> Batch {
        let mut users = items.iter().flat_map(|item| self.holders.of(*item)).map(|(user, _)| user).collect::<Vec<_>>();
        users.sort_unstable();
        users.dedup();
        if users.len() > self.most_users {
            let drawn = random.sample(users.len(), self.most_users);
            users = drawn.into_iter().map(|place| users[place]).collect();
        }
        let mut weights = vec![0.0; users.len() * items.len()];
        for (column, item) in items.iter().enumerate() {
            for (user, weight) in self.holders.of(*item) {
                if let Ok(row) = users.binary_search(&user) {
                    weights[row * items.len() + column] = weight;
                }
            }
        }
        let weight = shares(&mut weights);
        let shape = [users.len(), items.len()];
        let chosen = users.into_iter().map(i64::from).collect();
        let feeds = vec![Feed::i64(CHOSEN, &shape[..1], chosen), Feed::f32(SHARES, &shape, weights)];
        Batch { inputs: items.to_vec(), feeds, weight }
    }
}
