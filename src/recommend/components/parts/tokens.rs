//! The terms of a text: its words, pairs of words, and character n-grams.
//!
//! Takes a text, hands each occurrence of a term to a closure. The rules are those of scikit-learn's `CountVectorizer`
//! (<https://scikit-learn.org/stable/modules/generated/sklearn.feature_extraction.text.CountVectorizer.html>), so that its
//! results are the reference.

use std::ops::RangeInclusive;

/// The characters of a text that are read. A description is shorter; a file that came in as one is not read to its end.
const MAX_CHARACTERS: usize = 100_000;
/// Lengths of the character n-grams, in characters.
const NGRAM_LENGTHS: RangeInclusive<usize> = 3..=5;

/// Memory for one thread, so that a term allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pair: String,
    padded: String,
    /// Where each character of `padded` begins, and its end.
    bounds: Vec<usize>,
}

/// A text as its terms are read from it: in lower case.
pub(crate) fn prepared(text: &str) -> String {
    let end = text.char_indices().nth(MAX_CHARACTERS).map_or(text.len(), |(end, _)| end);
    text[..end].to_lowercase()
}

impl Tokens {
    /// The words of at least two letters, digits or underscores, and each two that follow each other, joined by a space.
    pub(crate) fn words(&mut self, prepared: &str, mut found: impl FnMut(&str)) {
        let mut before: Option<&str> = None;
        for word in prepared.split(|c: char| !c.is_alphanumeric() && c != '_') {
            if word.chars().nth(1).is_none() {
                continue;
            }
            found(word);
            if let Some(before) = before {
                self.pair.clear();
                self.pair.extend([before, " ", word]);
                found(&self.pair);
            }
            before = Some(word);
        }
    }

    /// The n-grams of three to five characters of what stands between white space, with a space before and after it
    /// (`char_wb`). What is shorter than an n-gram is one itself, once.
    pub(crate) fn ngrams(&mut self, prepared: &str, mut found: impl FnMut(&str)) {
        for word in prepared.split_whitespace() {
            self.padded.clear();
            self.padded.extend([" ", word, " "]);
            self.bounds.clear();
            self.bounds.extend(self.padded.char_indices().map(|(start, _)| start));
            self.bounds.push(self.padded.len());
            for length in NGRAM_LENGTHS {
                if length + 1 >= self.bounds.len() {
                    found(&self.padded);
                    break;
                }
                self.bounds.windows(length + 1).for_each(|bounds| found(&self.padded[bounds[0]..bounds[length]]));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        Tokens::default().words(&prepared(text), |word| found.push(word.to_owned()));
        found
    }

    fn ngrams(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        Tokens::default().ngrams(&prepared(text), |ngram| found.push(ngram.to_owned()));
        found
    }

    #[test]
    fn words_have_two_characters_and_a_follower() {
        assert_eq!(words("T-light  HOLDER, x2_b"), ["light", "holder", "light holder", "x2_b", "holder x2_b"]);
        assert_eq!(words("ΟΔΥΣΣΕΥΣ a é"), ["οδυσσευς"]);
        assert_eq!(words("a-b !"), Vec::<String>::new());
    }

    #[test]
    fn ngrams_are_cut_between_characters_and_stay_within_a_word() {
        assert_eq!(ngrams("Äb c"), [" äb", "äb ", " äb ", " c "]);
        assert_eq!(ngrams("xyz"), [" xy", "xyz", "yz ", " xyz", "xyz ", " xyz "]);
        assert_eq!(ngrams(" \t\n"), Vec::<String>::new());
    }

    #[test]
    fn a_very_long_text_is_read_to_a_bound() {
        let text = "ÄÖ ".repeat(4_000_000);
        assert_eq!(words(&text).len(), 2 * (MAX_CHARACTERS / 3) - 1);
        assert_eq!(prepared(&"x".repeat(10_000_000)).len(), MAX_CHARACTERS);
    }
}
