//! What a recommender knows of items before their launch: takes candidates without a history, gives what a forecast goes by.

use super::expected_buyers::expected_buyers;
use super::recommender::{Candidates, Recommender};
use crate::cancellation::{Cancelled, Stop};
use crate::recommend::forecast::past_launches::{LaunchFeatures, similar_buyers};

/// The features of the candidates without a history, whose logarithms of prices are these (NaN where none is known).
///
/// # Errors
/// It was stopped.
pub(crate) fn launch_features(
    recommender: &Recommender,
    candidates: &Candidates<'_>,
    prices: &[f32],
    stop: Stop<'_>,
) -> Result<Vec<LaunchFeatures>, Cancelled> {
    let users = recommender.everybody();
    let expected = expected_buyers(&recommender.logits(&users, candidates, 1.0).new_items(), stop)?;
    let features = expected.into_iter().zip(candidates.new.neighbours.iter()).zip(prices);
    let features = features.map(|((expected, neighbours), price)| LaunchFeatures {
        expected: expected as f32,
        similar: similar_buyers(neighbours, &recommender.recent_buyers),
        price: *price,
    });
    Ok(features.collect())
}
