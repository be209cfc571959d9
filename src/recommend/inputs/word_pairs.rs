//! Pairs of words that the same users want and that no text has both of: takes the texts of items and users' histories, gives pairs, the
//! least by chance first.
//!
//! A user wants a word who has an item with it. By chance a user with `n` items wants a word with probability `1 - exp(-n r)`, independently
//! of other words, where the rate `r` of the word is the one at which as many users want it as do. Of a pair, `users` want both words,
//! and by chance `expected` would; what counts is `(users - expected) / sqrt(expected + 1)`, about the standard deviations of a
//! Poisson count.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::cancellation::{Cancelled, Stop, check};
use crate::linalg::dense::gram;
use crate::linalg::sparse::{Csr, Row};

/// A word is in so many texts at least: fewer say nothing of what users want.
const LEAST_TEXTS: usize = 5;
/// A word is in this share of the texts at most: more say nothing of an item.
const MOST_TEXTS: f64 = 0.1;
/// Words that are paired, at most: those that most users want.
const MOST_WORDS: usize = 800;
/// Pairs that are less certain than this many standard deviations are left out.
const LEAST_DEVIATIONS: f64 = 2.0;
/// A user with one item wants a word of this rate for certain.
const MOST_RATE: f64 = 40.0;
/// Halvings from there to the resolution of a double.
const HALVINGS: usize = 60;

/// Words of the texts of items, and the users who want them.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) words: Vec<String>,
    /// Items x words.
    pub(crate) of_items: Csr,
    /// Items that no user has x words.
    of_others: Csr,
    /// Users x words, ascending in each row.
    pub(crate) of_users: Csr,
}

/// Two words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WordPair {
    /// Their numbers, the one that more users want first.
    pub(crate) words: [u32; 2],
    /// Users who want both.
    pub(crate) users: f64,
    /// Users who would by chance.
    pub(crate) expected: f64,
}

impl WordPair {
    fn deviations(&self) -> f64 {
        (self.users - self.expected) / (self.expected + 1.0).sqrt()
    }
}

impl Words {
    /// The words of the texts of items, of which users have those of `histories` (users x items): runs of three letters or more, in small
    /// letters, that are neither rare nor everywhere.
    /// The `others` are the texts of items that no user has: what they combine is there.
    pub(crate) fn of<'t>(
        texts: impl ExactSizeIterator<Item = &'t str>,
        others: impl Iterator<Item = &'t str>,
        histories: &Csr,
    ) -> Self {
        let items = texts.len();
        let most = (items as f64 * MOST_TEXTS) as usize;
        let mut numbers = HashMap::<String, u32>::new();
        let mut counts = Vec::<usize>::new();
        let mut rows = Vec::with_capacity(items);
        for text in texts.chain(others) {
            let mut row = HashSet::new();
            let words = text.split(|c: char| !c.is_alphabetic()).filter(|word| word.chars().nth(2).is_some());
            for word in words.map(str::to_lowercase) {
                let next = counts.len() as u32;
                let number = *numbers.entry(word).or_insert(next);
                if number == next {
                    counts.push(0);
                }
                if row.insert(number) && rows.len() < items {
                    counts[number as usize] += 1;
                }
            }
            rows.push(row.into_iter().collect::<Vec<_>>());
        }
        let of_user = |(items, _): Row<'_>| {
            let mut words = items.iter().flat_map(|item| rows[*item as usize].iter().copied()).collect::<Vec<_>>();
            words.sort_unstable();
            words.dedup();
            words
        };
        let users = histories.iter().map(of_user).collect::<Vec<_>>();
        let mut owners = vec![0u32; counts.len()];
        users.iter().flatten().for_each(|word| owners[*word as usize] += 1);
        let is_kept =
            |number: &u32| (LEAST_TEXTS..=most).contains(&counts[*number as usize]) && owners[*number as usize] > 0;
        let mut kept = numbers.into_iter().filter(|(_, number)| is_kept(number)).collect::<Vec<_>>();
        kept.sort_by(|(one, a), (other, b)| owners[*b as usize].cmp(&owners[*a as usize]).then_with(|| one.cmp(other)));
        kept.truncate(MOST_WORDS);
        let places = (0..).zip(&kept).map(|(place, (_, number))| (*number, place)).collect::<HashMap<_, u32>>();
        let matrix = |rows: &[Vec<u32>]| {
            let row =
                |words: &Vec<u32>| words.iter().filter_map(|word| Some((*places.get(word)?, 1.0))).collect::<Vec<_>>();
            Csr::from_rows(kept.len(), rows.iter().map(row))
        };
        let (of_items, of_others, of_users) = (matrix(&rows[..items]), matrix(&rows[items..]), matrix(&users));
        Self { words: kept.into_iter().map(|(word, _)| word).collect(), of_items, of_others, of_users }
    }

    /// The pairs that are wanted together and that no text has, the least by chance first.
    pub(crate) fn pairs(&self, histories: &Csr, stop: Stop<'_>) -> Result<Vec<WordPair>, Cancelled> {
        let (width, users) = (self.words.len(), self.of_users.rows());
        let both = gram(users, width, |rows, block| {
            for row in rows {
                let first = block.len();
                block.resize(first + width, 0.0);
                self.of_users.row(row).0.iter().for_each(|word| block[first + *word as usize] = 1.0);
            }
        });
        check(stop)?;
        // Users with equally many items are alike.
        let mut sizes = BTreeMap::<usize, f64>::new();
        histories.iter().for_each(|(items, _)| *sizes.entry(items.len()).or_default() += 1.0);
        let sizes = sizes.into_iter().map(|(items, users)| (items as f64, users)).collect::<Vec<_>>();
        let mut owners = vec![0.0; width];
        self.of_users.iter().for_each(|(words, _)| words.iter().for_each(|word| owners[*word as usize] += 1.0));
        let rates = owners.iter().map(|owners| rate(*owners, &sizes)).collect::<Vec<_>>();
        let chance = gram(sizes.len(), width, |rows, block| {
            for (items, users) in &sizes[rows] {
                block.extend(rates.iter().map(|rate| (users.sqrt() * wants(*items, *rate)) as f32));
            }
        });
        check(stop)?;
        let mut together = vec![false; width * width];
        for (words, _) in self.of_items.iter().chain(self.of_others.iter()) {
            for (place, one) in words.iter().enumerate() {
                words[place..].iter().for_each(|other| together[*one as usize * width + *other as usize] = true);
            }
        }
        let mut pairs = Vec::new();
        for one in 0..width {
            for other in one + 1..width {
                let place = one * width + other;
                let pair = WordPair { words: [one as u32, other as u32], users: both[place], expected: chance[place] };
                let wanted = !together[place] && pair.deviations() >= LEAST_DEVIATIONS;
                if wanted && !alike(&self.words[one], &self.words[other]) {
                    pairs.push(pair);
                }
            }
        }
        pairs.sort_by(|one, other| other.deviations().total_cmp(&one.deviations()).then(one.words.cmp(&other.words)));
        Ok(pairs)
    }

    /// The items with one of the words at least that most users have who want both: the item and its users, most first.
    pub(crate) fn bought(&self, pair: WordPair, histories: &Csr, most: usize) -> Vec<(u32, u32)> {
        let has = |row: &[u32], word: u32| row.binary_search(&word).is_ok();
        let mut users = HashMap::<u32, u32>::new();
        for ((words, _), (items, _)) in self.of_users.iter().zip(histories.iter()) {
            if pair.words.iter().all(|word| has(words, *word)) {
                let of_pair =
                    |item: &&u32| pair.words.iter().any(|word| has(self.of_items.row(**item as usize).0, *word));
                items.iter().filter(of_pair).for_each(|item| *users.entry(*item).or_default() += 1);
            }
        }
        let mut users = users.into_iter().collect::<Vec<_>>();
        users.sort_by(|(one, a), (other, b)| b.cmp(a).then(one.cmp(other)));
        users.truncate(most);
        users
    }
}

/// The probability that a user with so many items wants a word of this rate.
fn wants(items: f64, rate: f64) -> f64 {
    -(-items * rate).exp_m1()
}

/// The rate at which so many users want a word, of users by their numbers of items: (items, users). By halving.
fn rate(owners: f64, sizes: &[(f64, f64)]) -> f64 {
    let expected = |rate: f64| sizes.iter().map(|(items, users)| users * wants(*items, rate)).sum::<f64>();
    let (mut low, mut high) = (0.0, MOST_RATE);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if expected(middle) < owners { low = middle } else { high = middle }
    }
    high
}

/// Whether two words are one: the one begins with the other and is an ending longer, as a plural is.
fn alike(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short).is_some_and(|ending| ending.chars().count() <= 2)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Items of 40 kinds by two words each, of which none is a `cat lamp`; users who want cats want lamps.
    fn shop() -> (Vec<String>, Csr) {
        let motifs = ["Cat", "dog", "owl", "fox", "bee", "hen", "elk", "ant", "yak", "emu", "pig"];
        let kinds = ["LAMP", "mug", "bag", "box", "pen", "hat", "pot", "rug", "toy", "fan", "lamps"];
        let mut texts = Vec::new();
        for (place, motif) in motifs.iter().enumerate() {
            for kind in kinds.iter().filter(|kind| **kind != "LAMP" || place != 0) {
                texts.push(format!("{motif}-{kind} no. {place} xy"));
            }
        }
        let mut random = Random::new(5, 1);
        let rows = (0..400).map(|user| {
            let likes = |text: &str| user % 4 == 0 && (text.starts_with("Cat") || text.contains("LAMP"));
            let items = (0..texts.len() as u32)
                .filter(|item| random.uniform() < if likes(&texts[*item as usize]) { 0.3 } else { 0.02 });
            items.map(|item| (item, 1.0)).collect::<Vec<_>>()
        });
        let rows = rows.collect::<Vec<_>>();
        (texts.clone(), Csr::from_rows(texts.len(), rows))
    }

    #[test]
    fn what_the_same_users_want_and_no_text_has_is_found() {
        let (texts, histories) = shop();
        let words = Words::of(texts.iter().map(String::as_str), std::iter::empty(), &histories);
        assert!(words.words.contains(&"cat".to_owned()) && words.words.iter().all(|word| word != "xy" && word != "no"));
        let pairs = words.pairs(&histories, &|| false).unwrap();
        let names =
            pairs.iter().map(|pair| pair.words.map(|word| words.words[word as usize].as_str())).collect::<Vec<_>>();
        let mut first = names[0];
        first.sort_unstable();
        assert_eq!(first, ["cat", "lamp"]);
        // The plain way: users who have an item of each word, one by one.
        let has = |user: usize, word: &str| {
            histories
                .row(user)
                .0
                .iter()
                .any(|item| texts[*item as usize].to_lowercase().split(['-', ' ']).any(|w| w == word))
        };
        let both = (0..400).filter(|user| has(*user, "cat") && has(*user, "lamp")).count();
        assert_eq!(pairs[0].users, both as f64);
        assert!(pairs[0].expected < pairs[0].users, "{:?}", pairs[0]);
        for pair in names {
            let words_of = |text: &str| text.to_lowercase().split(['-', ' ']).map(str::to_owned).collect::<Vec<_>>();
            let has_both = |text: &String| pair.iter().all(|word| words_of(text).iter().any(|own| own == word));
            assert!(!texts.iter().any(has_both), "{pair:?} is in a text");
            assert_ne!(pair, ["lamp", "lamps"]);
        }
        // What an item has that nobody has bought is there.
        let unsold = Words::of(texts.iter().map(String::as_str), ["a lamp, a CAT"].into_iter(), &histories);
        assert_eq!(unsold.words, words.words);
        let others = unsold.pairs(&histories, &|| false).unwrap();
        assert_eq!(others, pairs[1..]);
        let bought = words.bought(pairs[0], &histories, 3);
        assert_eq!(bought.len(), 3);
        assert!(
            bought
                .iter()
                .all(|(item, _)| texts[*item as usize].contains("Cat") || texts[*item as usize].contains("LAMP"))
        );
        assert!(bought.is_sorted_by(|(_, one), (_, other)| one >= other));
    }

    #[test]
    fn nothing_comes_of_nothing() {
        let none = Csr::from_rows(0, Vec::<Vec<_>>::new());
        let words = Words::of(std::iter::empty(), std::iter::empty(), &none);
        assert!(words.words.is_empty() && words.pairs(&none, &|| false).unwrap().is_empty());
        let (texts, histories) = shop();
        let words = Words::of(texts.iter().map(String::as_str), std::iter::empty(), &histories);
        assert_eq!(words.pairs(&histories, &|| true), Err(Cancelled));
        assert!(
            alike("candle", "candles") && alike("boxes", "box") && !alike("cat", "catalogue") && !alike("cat", "dog")
        );
    }
}
