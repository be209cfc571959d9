//! What a text's vector is the sum of: takes tokenized texts, gives the numbers of the vectors of each: one for every token, and
//! one for every pair of neighbouring tokens that several texts have.

use std::collections::{HashMap, HashSet};

use crate::train::inputs::TokenizedTexts;

/// A pair of one text says no more than that text.
const FEWEST_TEXTS: u32 = 2;
/// Most pairs; of more, those of most texts. With 384 numbers each they take 100 MB.
const MOST_PAIRS: usize = 1 << 16;

/// Two tokens, one behind the other.
pub(super) type Pair = (u32, u32);

/// The vectors of a student by number: those of the tokens by their ids, then those of the pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Features {
    tokens: usize,
    pairs: Vec<Pair>,
    numbers: HashMap<Pair, u32>,
}

impl Features {
    /// Those of a vocabulary of `tokens` ids: the pairs that at least two of these texts have.
    pub(super) fn of(tokens: usize, texts: &TokenizedTexts, rows: &[u32]) -> Self {
        let mut counts = HashMap::<Pair, u32>::new();
        let mut own = HashSet::new();
        for row in rows {
            own.clear();
            own.extend(neighbours(texts.ids(*row)));
            own.iter().for_each(|pair| *counts.entry(*pair).or_default() += 1);
        }
        let mut pairs = counts.into_iter().filter(|(_, count)| *count >= FEWEST_TEXTS).collect::<Vec<_>>();
        pairs.sort_unstable_by_key(|(pair, count)| (std::cmp::Reverse(*count), *pair));
        pairs.truncate(MOST_PAIRS);
        Self::new(tokens, pairs.into_iter().map(|(pair, _)| pair).collect())
    }

    /// These pairs, each once, over a vocabulary of `tokens` ids.
    pub(super) fn new(tokens: usize, pairs: Vec<Pair>) -> Self {
        let numbers = pairs.iter().copied().zip(tokens as u32..).collect();
        Self { tokens, pairs, numbers }
    }

    /// Ids of the vocabulary.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    /// The pairs, in the order of their vectors.
    pub(super) fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// How many vectors there are.
    pub(super) fn len(&self) -> usize {
        self.tokens + self.pairs.len()
    }

    /// The vectors whose sum is that of a text of these tokens; one that stands there twice counts twice.
    pub(super) fn of_text<'a>(&'a self, ids: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
        ids.iter().copied().chain(neighbours(ids).filter_map(move |pair| self.numbers.get(&pair).copied()))
    }
}

fn neighbours(ids: &[u32]) -> impl Iterator<Item = Pair> + '_ {
    ids.windows(2).map(|pair| (pair[0], pair[1]))
}
