//! What a step drops out: takes the seed, the number of the batch and the place in the graph, gives a mask. The same
//! three always give the same mask, on every device, so that a run that goes on from a checkpoint draws what it would
//! have drawn.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::feed::Feed;
use crate::onnx::architectures::PIXELS;
use crate::train::encoder::{Dropout, VECTORS};
use crate::train::error::Error;

/// The inputs of which one tells how many texts or pictures a batch has; the first, of `[texts, tokens]`, how many tokens too.
const SIZES: [&str; 3] = ["input_ids", PIXELS, VECTORS];

/// Masks for one batch: a feed for each of `dropouts`.
///
/// # Errors
/// The batch has nothing to tell its size.
pub(super) fn masks(dropouts: &[Dropout], feeds: &[Feed], seed: u64, batch: u64) -> Result<Vec<Feed>, Error> {
    if dropouts.is_empty() {
        return Ok(Vec::new());
    }
    let of = |name: &str| feeds.iter().find(|feed| feed.name == name).map(|feed| feed.shape.as_slice());
    let missing = |input: &str, reason: &str| Error::Feed { input: input.into(), reason: reason.into() };
    let mask = |(place, dropout): (usize, &Dropout)| {
        let shape = if dropout.per_token {
            let tokens = of(SIZES[0]).filter(|shape| shape.len() == 2);
            let tokens = tokens.ok_or_else(|| missing(SIZES[0], "dropout needs the number of texts and tokens"))?;
            [tokens, &[dropout.width]].concat()
        } else {
            let rows = SIZES.iter().find_map(|name| of(name)?.first());
            vec![*rows.ok_or_else(|| missing(SIZES[0], "dropout needs the size of the batch"))?, dropout.width]
        };
        let values = mask(shape.iter().product(), dropout.ratio, seed, batch, place as u64);
        Ok(Feed::f32(&dropout.input, &shape, values))
    };
    dropouts.iter().enumerate().map(mask).collect()
}

/// `count` values that are 0 with probability `ratio` and `1 / (1 - ratio)` otherwise.
fn mask(count: usize, ratio: f32, seed: u64, batch: u64, place: u64) -> Vec<f32> {
    let mut key = [0; 32];
    for (bytes, number) in key.chunks_exact_mut(8).zip([seed, batch, place, 0]) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    let mut bytes = vec![0; 2 * count];
    ChaCha8Rng::from_seed(key).fill_bytes(&mut bytes);
    // Sixteen random bits a value tell ratios apart to 0.002 percent.
    let zeros = (f64::from(ratio) * 65536.0).round() as u32;
    let kept = (65536.0 / f64::from(65536 - zeros.min(65535))) as f32;
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs.iter().map(|pair| if u32::from(u16::from_le_bytes(*pair)) < zeros { 0.0 } else { kept }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_share_right_mean_same_again() {
        let first = mask(100_000, 0.1, 7, 3, 0);
        let zeros = first.iter().filter(|value| **value == 0.0).count() as f32 / 1e5;
        let mean = first.iter().sum::<f32>() / 1e5;
        assert!((zeros - 0.1).abs() < 0.005 && (mean - 1.0).abs() < 0.005, "{zeros} {mean}");
        assert_eq!(first, mask(100_000, 0.1, 7, 3, 0));
        for (seed, batch, place) in [(8, 3, 0), (7, 4, 0), (7, 3, 1)] {
            assert_ne!(first, mask(100_000, 0.1, seed, batch, place));
        }
    }
}
