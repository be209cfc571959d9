//! A vector for each user beside the encoder's vector of each item's text, and drawing texts that a user does not have.
//! Shared by [`super::bce`] and [`super::bpr`].

use super::{Embeddings, normalize};
use crate::onnx::graph::{GraphBuilder, Value};
use crate::random::Random;
use crate::train::data::Interactions;
use crate::train::parameter::Parameter;
use crate::train::pooling;

/// What cosines are multiplied by at first: makes logits from -10 to 10 of them.
pub(super) const FIRST_SCALE: f32 = 10.0;
/// User vectors learn faster than the encoder, which starts from a trained state.
const USER_RATE: f32 = 5.0;
/// Scale and bias are of the order of 10 where the weights of an encoder are of the order of 0.1.
pub(super) const SCALAR_RATE: f32 = 100.0;
/// How often a text is drawn from the pool before it is searched from a random place on.
const DRAWS: usize = 32;

/// The texts of the training examples, ascending, each once.
pub(super) fn trained_texts(interactions: &Interactions, train: &[u32]) -> Vec<u32> {
    let mut texts = train.iter().map(|example| interactions.text[*example as usize]).collect::<Vec<_>>();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// The table of users, `[users, dimension]`. A user's vector is at first the weighted mean of the vectors of the training
/// texts that they like, less the mean of all training texts, of length one: what they like beyond what everybody does.
/// For a user who likes none it points away from what they dislike.
pub(super) fn table(interactions: &Interactions, train: &[u32], base: &Embeddings, name: &str) -> Parameter {
    let width = base.dimension;
    let texts = trained_texts(interactions, train);
    let vectors = base.normalized();
    let mut center = vec![0.0f32; width];
    for vector in vectors.chunks_exact(width.max(1)) {
        center.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x / texts.len() as f32);
    }
    let mut liked = vec![0.0f32; interactions.users * width];
    let mut disliked = vec![0.0f32; interactions.users * width];
    for example in train.iter().map(|example| *example as usize) {
        let Ok(place) = texts.binary_search(&interactions.text[example]) else { continue };
        let Some(vector) = vectors.get(place * width..(place + 1) * width) else { continue };
        let likes = interactions.label.get(example).is_none_or(|label| *label >= 0.5);
        let (sums, sign) = if likes { (&mut liked, 1.0) } else { (&mut disliked, -1.0) };
        let sums = &mut sums[interactions.user[example] as usize * width..][..width];
        let weight = sign * interactions.weight[example];
        sums.iter_mut().zip(vector).zip(&center).for_each(|((sum, x), mean)| *sum += weight * (x - mean));
    }
    for (own, other) in liked.chunks_exact_mut(width.max(1)).zip(disliked.chunks_exact(width.max(1))) {
        if norm(own) < SMALLEST {
            own.copy_from_slice(other);
        }
        if norm(own) < SMALLEST {
            // Nothing is known of this user; the cosine with zeros would have no gradient.
            own.copy_from_slice(&center);
        }
        if norm(own) < SMALLEST {
            own.fill(1.0);
        }
        normalize(own);
    }
    let parameter = Parameter::new(name, &[interactions.users, width], liked);
    // The length of a vector does not matter to its cosine.
    Parameter { decay: false, rate: USER_RATE, ..parameter }
}

/// The norm of a sum of unit vectors that cancel but for rounding.
const SMALLEST: f32 = 1e-5;

fn norm(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum::<f32>().sqrt()
}

/// The encoder's vectors, of length one.
pub(super) fn items(graph: &mut GraphBuilder, embeddings: &Value) -> Value {
    pooling::normalize(graph, embeddings)
}

/// The vectors of some users, of length one, `[examples, dimension]`.
pub(super) fn chosen(graph: &mut GraphBuilder, table: &Value, users: &Value) -> Value {
    let chosen = graph.gather(table, users, 0);
    pooling::normalize(graph, &chosen)
}

/// Draws a text that `user` does not have, each as likely as another; `None` if the user has all.
pub(super) fn draw(interactions: &Interactions, user: u32, random: &mut Random) -> Option<u32> {
    let pool = &interactions.pool;
    let free = |text: &u32| !interactions.has.contains(user, *text);
    for _ in 0..DRAWS {
        let text = pool.get(random.below(pool.len()))?;
        if free(text) {
            return Some(*text);
        }
    }
    // Who has almost everything: all that is left, counted out.
    let left = pool.len().checked_sub(interactions.has.of(user).len())?;
    let place = random.below(left);
    pool.iter().copied().filter(free).nth(place)
}
