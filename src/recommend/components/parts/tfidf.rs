//! TF-IDF: a text as the words and character n-grams in it, rare ones counting more.
//!
//! Takes texts, learns which terms there are and how rare they are; gives a sparse row of length one per text, those of
//! new texts too.
//!
//! Equal to scikit-learn's `TfidfVectorizer(sublinear_tf=True)` once over words and pairs of words and once over character n-grams
//! in at least two texts, side by side and scaled to length one. A term that occurs `n` times counts `1 + ln n`, times
//! `1 + ln((1 + texts) / (1 + texts with it))`
//! (<https://scikit-learn.org/stable/modules/feature_extraction.html#tfidf-term-weighting>).

use std::collections::HashMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::tokens::{Tokens, prepared};
use crate::cancellation::{Cancelled, Stop, check};
use crate::linalg::sparse::Csr;
use crate::recommend::error::Result;
use crate::recommend::storage::{Section, StoredSection};

/// Texts whose terms one task counts, at least and at most. What two tasks have counted is added up on one thread, so that
/// many texts want large tasks, and few want enough tasks for all cores.
const TASK: usize = 512;
const LARGEST_TASK: usize = 8192;
/// Tasks whose counts are in memory at once.
const TASKS: usize = 16;
/// An n-gram in one text says nothing about another.
const MIN_TEXTS_OF_NGRAM: u32 = 2;
/// Terms that are counted at most, times the terms that are kept: above it those seen in one text so far are forgotten.
const COUNTED: usize = 20;

/// What `TfIdf::fit` may choose.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TfIdfSettings {
    /// The weight of words and pairs of words.
    pub words: f32,
    /// The weight of character n-grams.
    pub ngrams: f32,
    /// So many terms of each kind are kept, those in the most texts.
    pub max_terms: usize,
}

impl Default for TfIdfSettings {
    fn default() -> Self {
        Self { words: 1.0, ngrams: 1.0, max_terms: 200_000 }
    }
}

/// The terms of a corpus and their weights.
#[derive(Debug, Clone, PartialEq)]
pub struct TfIdf {
    settings: TfIdfSettings,
    words: Vocabulary,
    ngrams: Vocabulary,
}

impl TfIdf {
    /// Learns the terms of `texts`.
    pub fn fit<T: AsRef<str> + Sync>(texts: &[T], settings: &TfIdfSettings, stop: Stop<'_>) -> Result<Self, Cancelled> {
        let (mut words, mut ngrams) = (HashMap::new(), HashMap::new());
        // By the number of texts and not of threads: what is forgotten depends on where a task ends.
        let task = (texts.len() / 16).clamp(TASK, LARGEST_TASK);
        for texts in texts.chunks(task * TASKS) {
            check(stop)?;
            for (more_words, more_ngrams) in texts.par_chunks(task).map(count).collect::<Vec<_>>() {
                merge(&mut words, more_words, settings.max_terms);
                merge(&mut ngrams, more_ngrams, settings.max_terms);
            }
        }
        Ok(Self {
            settings: *settings,
            words: Vocabulary::new(words, 1, texts.len(), settings.max_terms),
            ngrams: Vocabulary::new(ngrams, MIN_TEXTS_OF_NGRAM, texts.len(), settings.max_terms),
        })
    }

    /// Number of terms: the columns of what `transform` gives.
    pub fn terms(&self) -> usize {
        self.words.terms.len() + self.ngrams.terms.len()
    }

    /// The texts as rows of length one over the terms; terms that are not known are left out, and a text without any known
    /// one is an empty row.
    pub fn transform<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Csr {
        let rows = texts.par_iter().map_init(Default::default, |tokens, text| self.row(text.as_ref(), tokens));
        let mut matrix = Csr::from_rows(self.terms(), rows.collect::<Vec<_>>());
        matrix.normalize_rows();
        matrix
    }

    pub(crate) fn save(&self, section: &mut Section<'_>) -> Result<()> {
        section.value("settings", &self.settings)?;
        self.words.save(&mut section.section("words"))?;
        self.ngrams.save(&mut section.section("ngrams"))
    }

    pub(crate) fn load(section: &StoredSection<'_>) -> Result<Self> {
        Ok(Self {
            settings: section.value("settings")?,
            words: Vocabulary::load(&section.section("words"))?,
            ngrams: Vocabulary::load(&section.section("ngrams"))?,
        })
    }

    fn row(&self, text: &str, tokens: &mut Tokens) -> Vec<(u32, f32)> {
        let text = prepared(text);
        let (mut words, mut ngrams) = (Vec::new(), Vec::new());
        tokens.words(&text, |word| words.extend(self.words.columns.get(word)));
        tokens.ngrams(&text, |ngram| ngrams.extend(self.ngrams.columns.get(ngram)));
        let mut row = Vec::new();
        self.words.weigh(&mut words, self.settings.words, 0, &mut row);
        self.ngrams.weigh(&mut ngrams, self.settings.ngrams, self.words.terms.len() as u32, &mut row);
        row
    }
}

/// In how many texts a term is, and the last one that it was seen in.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    texts: u32,
    last: u32,
}

type Counts = HashMap<String, Seen>;

/// In how many of these texts each word and each n-gram is.
fn count<T: AsRef<str>>(texts: &[T]) -> (Counts, Counts) {
    let (mut words, mut ngrams) = (Counts::new(), Counts::new());
    let mut tokens = Tokens::default();
    for (text, number) in texts.iter().zip(1..) {
        let text = prepared(text.as_ref());
        tokens.words(&text, |word| see(&mut words, word, number));
        tokens.ngrams(&text, |ngram| see(&mut ngrams, ngram, number));
    }
    (words, ngrams)
}

/// Notes a term of a text; texts are numbered from 1.
fn see(counts: &mut Counts, term: &str, text: u32) {
    match counts.get_mut(term) {
        Some(seen) => {
            seen.texts += u32::from(seen.last != text);
            seen.last = text;
        }
        None => {
            counts.insert(term.to_owned(), Seen { texts: 1, last: text });
        }
    }
}

fn merge(all: &mut Counts, more: Counts, max_terms: usize) {
    for (term, seen) in more {
        all.entry(term).or_default().texts += seen.texts;
    }
    if all.len() > max_terms.saturating_mul(COUNTED) {
        all.retain(|_, seen| seen.texts > 1);
    }
}

/// Terms of one kind.
#[derive(Debug, Clone, PartialEq)]
struct Vocabulary {
    /// Ascending.
    terms: Vec<String>,
    /// The weight of each term.
    idf: Vec<f32>,
    /// The place of each term.
    columns: HashMap<String, u32>,
}

impl Vocabulary {
    fn new(counts: Counts, min_texts: u32, texts: usize, max_terms: usize) -> Self {
        let mut counts = counts.into_iter().filter(|(_, seen)| seen.texts >= min_texts).collect::<Vec<_>>();
        if counts.len() > max_terms {
            counts.sort_unstable_by(|a, b| b.1.texts.cmp(&a.1.texts).then_with(|| a.0.cmp(&b.0)));
            counts.truncate(max_terms);
        }
        counts.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let rarity = |seen: &Seen| 1.0 + ((1.0 + texts as f64) / (1.0 + f64::from(seen.texts))).ln();
        let idf = counts.iter().map(|(_, seen)| rarity(seen) as f32).collect();
        Self::from_terms(counts.into_iter().map(|(term, _)| term).collect(), idf)
    }

    fn from_terms(terms: Vec<String>, idf: Vec<f32>) -> Self {
        let columns = terms.iter().cloned().zip(0..).collect();
        Self { terms, idf, columns }
    }

    fn save(&self, section: &mut Section<'_>) -> Result<()> {
        section.floats("idf", &self.idf);
        section.value("terms", &self.terms)
    }

    fn load(section: &StoredSection<'_>) -> Result<Self> {
        let (terms, idf): (Vec<String>, _) = (section.value("terms")?, section.floats("idf")?);
        if terms.len() != idf.len() {
            return Err(section.damaged("idf", "has no weight for each term"));
        }
        if !terms.windows(2).all(|terms| terms[0] < terms[1]) {
            return Err(section.damaged("terms", "are not in order"));
        }
        Ok(Self::from_terms(terms, idf))
    }

    /// Appends the weights of a text's terms, scaled to the length `weight`. `columns` has each occurrence of a term.
    fn weigh(&self, columns: &mut [u32], weight: f32, first: u32, row: &mut Vec<(u32, f32)>) {
        columns.sort_unstable();
        let start = row.len();
        for same in columns.chunk_by(|a, b| a == b) {
            let frequency = 1.0 + (same.len() as f64).ln();
            row.push((first + same[0], (frequency * f64::from(self.idf[same[0] as usize])) as f32));
        }
        let row = &mut row[start..];
        let norm = row.iter().map(|(_, x)| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        row.iter_mut().for_each(|(_, x)| *x = (f64::from(weight) * f64::from(*x) / norm) as f32);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::linalg::reference::{Pairs, assert_close, read};
    use crate::recommend::storage::{Stored, Writer};

    #[derive(Deserialize)]
    struct Case {
        texts: Vec<String>,
        unseen: Vec<String>,
        words: Vec<String>,
        #[serde(rename = "pieces")]
        ngrams: Vec<String>,
        even: Pairs,
        uneven: Pairs,
    }

    fn fit<T: AsRef<str> + Sync>(texts: &[T], settings: TfIdfSettings) -> TfIdf {
        TfIdf::fit(texts, &settings, &|| false).unwrap()
    }

    #[test]
    fn terms_and_rows_are_those_of_scikit_learn() {
        let case: Case = read("tfidf");
        let uneven = TfIdfSettings { ngrams: 0.25, ..TfIdfSettings::default() };
        for (settings, texts, wanted) in
            [(TfIdfSettings::default(), &case.texts, &case.even), (uneven, &case.unseen, &case.uneven)]
        {
            let fitted = fit(&case.texts, settings);
            assert_eq!((&fitted.words.terms, &fitted.ngrams.terms), (&case.words, &case.ngrams));
            let rows = fitted.transform(texts);
            assert_eq!((rows.rows(), rows.columns()), (texts.len(), case.words.len() + case.ngrams.len()));
            for ((columns, values), wanted) in rows.iter().zip(wanted) {
                let (wanted_columns, wanted): (Vec<u32>, Vec<f32>) = wanted.iter().copied().unzip();
                assert_eq!(columns, wanted_columns);
                assert_close(values, &wanted, 1e-6);
            }
        }
    }

    #[test]
    fn what_is_saved_is_what_was_fitted() {
        let fitted = fit(&["red cup", "red lamp"], TfIdfSettings::default());
        let mut writer = Writer::default();
        fitted.save(&mut writer.section("tfidf")).unwrap();
        let (tensors, values) = writer.into_parts();
        let bytes = tensors.into_bytes().unwrap();
        let read = |change: fn(&mut Vec<String>)| {
            let mut values = values.clone();
            let mut terms = serde_json::from_value(values["tfidf/words/terms"].take()).unwrap();
            change(&mut terms);
            values["tfidf/words/terms"] = terms.into();
            let stored = Stored::new(&bytes, values, Path::new("file")).unwrap();
            TfIdf::load(&stored.section("tfidf")).map_err(|error| error.to_string())
        };
        assert_eq!(read(|_| ()).unwrap(), fitted);
        let error = read(|terms| terms.reverse()).unwrap_err();
        assert!(error.contains("tfidf/words/terms are not in order"), "{error}");
        let error = read(|terms| drop(terms.pop())).unwrap_err();
        assert!(error.contains("tfidf/words/idf has no weight for each term"), "{error}");
    }

    #[test]
    fn the_most_frequent_terms_are_kept() {
        let settings = TfIdfSettings { max_terms: 2, ..TfIdfSettings::default() };
        let fitted = fit(&["cup red", "lamp red", "lamp blue", "blue red"], settings);
        // "red" is in three texts, "blue" and "lamp" in two: the first of equals is kept.
        assert_eq!(fitted.words.terms, ["blue", "red"]);
        assert_eq!(fitted.terms(), 4);
    }

    #[test]
    fn rare_terms_are_forgotten_where_there_are_too_many() {
        let texts = (0..TASK + 10).map(|text| format!("red word{text}")).collect::<Vec<_>>();
        let fitted = fit(&texts, TfIdfSettings { max_terms: 1, ..TfIdfSettings::default() });
        assert_eq!(fitted.words.terms, ["red"]);
        let wanted = 1.0 + (texts.len() as f32 + 1.0).ln() - (texts.len() as f32 + 1.0).ln();
        assert_close(&fitted.words.idf, &[wanted], 1e-6);
    }

    #[test]
    fn it_stops_and_takes_nothing_at_all() {
        assert_eq!(TfIdf::fit(&["a cup"], &TfIdfSettings::default(), &|| true), Err(Cancelled));
        let nothing = fit::<&str>(&[], TfIdfSettings::default());
        assert_eq!(nothing.transform(&["a cup"]).parts(), (&[0, 0][..], &[][..], &[][..]));
        assert_eq!(nothing.transform::<&str>(&[]).rows(), 0);
    }

    proptest! {
        #[test]
        fn rows_have_length_one_and_do_not_depend_on_each_other(
            texts in prop::collection::vec("[a-cä ]{0,12}", 1..20), weight in prop::sample::select(vec![0.0f32, 0.5, 1.0]),
        ) {
            let fitted = fit(&texts, TfIdfSettings { words: weight, ..TfIdfSettings::default() });
            let rows = fitted.transform(&texts);
            for (row, text) in texts.iter().enumerate() {
                let alone = fitted.transform(&[text]);
                prop_assert_eq!(alone.row(0), rows.row(row));
                let square = rows.row(row).1.iter().map(|x| x * x).sum::<f32>();
                prop_assert!(square == 0.0 || (square - 1.0).abs() < 1e-5, "{}", square);
            }
        }
    }
}
