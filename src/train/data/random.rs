//! Seeded random numbers: takes the run's seed and what they are for, gives a stream of its own for each purpose, epoch
//! and batch, so that a resumed epoch draws what the first attempt drew.
//!
//! The generator is ChaCha with 8 rounds, whose output is fixed by its definition; what is made of it here (bounded
//! numbers, shuffles) is written out, so that no library's next version changes a curve.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What random numbers are for. Streams of different purposes are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Which older rows are replayed.
    Replay = 1,
    /// Which pairs of a user's items are taken.
    Pairs = 2,
    /// Which examples are held out.
    Split = 3,
    /// The order of an epoch's examples.
    Order = 4,
    /// What is drawn while a training batch is made.
    Batch = 5,
    /// What is drawn while a validation batch is made.
    Validation = 6,
}

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream of `purpose`.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        Self::of_batch(seed, purpose, 0, 0)
    }

    /// The stream of `purpose` in one epoch (of up to 2^24) and batch.
    pub fn of_batch(seed: u64, purpose: Purpose, epoch: u32, batch: u32) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream((purpose as u64) << 56 | u64::from(epoch & 0xff_ffff) << 32 | u64::from(batch));
        Self(generator)
    }

    /// A number below `bound`, each as likely as another (but for a share of `bound / 2^64`); 0 where `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Puts `items` in a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `0..length` in a random order.
    pub fn permutation(&mut self, length: usize) -> Vec<u32> {
        let mut items = (0..length as u32).collect::<Vec<_>>();
        self.shuffle(&mut items);
        items
    }

    /// `count` different numbers below `bound`, ascending; all of them where there are no more.
    ///
    /// R. W. Floyd's algorithm: memory for what is drawn, not for what it is drawn from (Bentley and Floyd, "A sample of
    /// brilliance", Communications of the ACM 30(9), 1987).
    pub fn sample(&mut self, bound: usize, count: usize) -> Vec<usize> {
        if count >= bound {
            return (0..bound).collect();
        }
        let mut drawn = HashSet::with_capacity(count);
        for last in bound - count..bound {
            let candidate = self.below(last + 1);
            if !drawn.insert(candidate) {
                drawn.insert(last);
            }
        }
        let mut drawn = drawn.into_iter().collect::<Vec<_>>();
        drawn.sort_unstable();
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_fixed() {
        let mut random = Random::of_batch(42, Purpose::Batch, 1, 2);
        let drawn = (0..6).map(|_| random.below(1000)).collect::<Vec<_>>();
        assert_eq!(drawn, FIXED);
    }

    // By another implementation of RFC 8439's block function, with 8 rounds, the key 42 and the nonce 5, 1, 2: its first six
    // 64-bit words, times 1000, over 2^64. A change would change every curve.
    const FIXED: [usize; 6] = [903, 19, 32, 618, 476, 545];

    #[test]
    fn streams_differ_by_purpose_epoch_and_batch() {
        let order = |purpose, epoch, batch| Random::of_batch(7, purpose, epoch, batch).permutation(50);
        let first = order(Purpose::Order, 0, 0);
        assert_eq!(first, order(Purpose::Order, 0, 0));
        for other in [order(Purpose::Split, 0, 0), order(Purpose::Order, 1, 0), order(Purpose::Order, 0, 1)] {
            assert_ne!(first, other);
        }
        let mut sorted = first;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn samples_are_distinct_and_even() {
        let mut counts = [0u32; 10];
        for seed in 0..2000 {
            let drawn = Random::new(seed, Purpose::Pairs).sample(10, 3);
            assert!(drawn.len() == 3 && drawn.is_sorted() && drawn.windows(2).all(|two| two[0] != two[1]));
            drawn.into_iter().for_each(|number| counts[number] += 1);
        }
        // 600 expected, standard deviation 20.5: five of them.
        assert!(counts.iter().all(|count| count.abs_diff(600) < 103), "{counts:?}");
        assert_eq!(Random::new(0, Purpose::Pairs).sample(3, 9), [0, 1, 2]);
        assert_eq!(Random::new(0, Purpose::Pairs).sample(0, 9), [0; 0]);
    }
}
