//! Documents in memory, to be found by meaning and by words: takes their texts and vectors, gives the best for a question.

use std::cmp::Ordering;
use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, StringViewArray};
use arrow::datatypes::Float32Type;
use datafusion::common::{Result, internal_err};

use crate::distance::Metric;
use crate::distance::kernels::Query;
use crate::hybrid_search::bm25::{idf, most, weight};
use crate::hybrid_search::terms;

/// How much the meaning of a document counts.
const MEANING: f32 = 0.75;
/// How much its words count.
const WORDS: f32 = 0.25;

/// The documents that have a text.
#[derive(Debug)]
pub(super) struct Index {
    texts: StringViewArray,
    vectors: FixedSizeListArray,
    /// Rows with a text and a vector.
    rows: Vec<u32>,
    /// For each term the rows that have it, and how often.
    postings: HashMap<String, Vec<(u32, u32)>>,
    /// For each row the number of its terms.
    lengths: Vec<u32>,
    mean_length: f64,
}

/// The column of vectors that the plan has added.
pub(super) fn vectors(column: Option<&ArrayRef>) -> Result<FixedSizeListArray> {
    match column.and_then(|column| column.as_fixed_size_list_opt()) {
        Some(vectors) => Ok(vectors.clone()),
        None => internal_err!("{} was planned without vectors", super::NAME),
    }
}

/// A document that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    pub(super) row: u32,
    pub(super) score: f32,
    pub(super) similarity: f32,
    pub(super) words: f32,
}

impl Index {
    /// Documents with these texts and a column of vectors.
    pub(super) fn new(texts: StringViewArray, column: Option<&ArrayRef>) -> Result<Self> {
        let vectors = vectors(column)?;
        let rows =
            (0..texts.len() as u32).filter(|row| texts.is_valid(*row as usize) && vectors.is_valid(*row as usize));
        let rows = rows.collect::<Vec<_>>();
        let mut postings = HashMap::<String, Vec<(u32, u32)>>::new();
        let mut lengths = vec![0; texts.len()];
        let mut term = String::new();
        for row in &rows {
            terms::for_each(texts.value(*row as usize), &mut term, |term| {
                lengths[*row as usize] += 1;
                let list = match postings.get_mut(term) {
                    Some(list) => list,
                    None => postings.entry(term.to_owned()).or_default(),
                };
                match list.last_mut() {
                    Some((last, count)) if last == row => *count += 1,
                    _ => list.push((*row, 1)),
                }
            });
        }
        let length = lengths.iter().map(|length| f64::from(*length)).sum::<f64>();
        let mean_length = length / rows.len().max(1) as f64;
        Ok(Self { texts, vectors, rows, postings, lengths, mean_length })
    }

    /// The best `k` documents for a question, the best first; of equal ones the first by its text.
    ///
    /// # Errors
    /// None in practice: vectors are of one width.
    pub(super) fn find(&self, question: &str, vector: &[f32], k: usize, scratch: &mut Scratch) -> Result<Vec<Found>> {
        self.words(question, &mut scratch.words);
        let width = vector.len();
        let values = self.vectors.values().as_primitive::<Float32Type>().values();
        if self.vectors.value_length() as usize != width {
            return internal_err!(
                "documents have vectors of {} values, and questions of {width}",
                self.vectors.value_length()
            );
        }
        let query = Query::new(Metric::InnerProduct, vector);
        scratch.found.clear();
        for row in &self.rows {
            let first = (self.vectors.offset() + *row as usize) * width;
            let similarity = query.distance(&values[first..first + width]).unwrap_or(0.0);
            let words = scratch.words[*row as usize] as f32;
            scratch.found.push(Found { row: *row, score: MEANING * similarity + WORDS * words, similarity, words });
        }
        let found = &mut scratch.found;
        let order = |one: &Found, other: &Found| self.order(one, other);
        if k < found.len() {
            found.select_nth_unstable_by(k, order);
            found.truncate(k);
        }
        found.sort_by(order);
        Ok(found.clone())
    }

    fn order(&self, one: &Found, other: &Found) -> Ordering {
        let text = |found: &Found| self.texts.value(found.row as usize);
        other.score.total_cmp(&one.score).then_with(|| text(one).cmp(text(other))).then(one.row.cmp(&other.row))
    }

    /// For each row its BM25 as a share of the most that a document could have.
    fn words(&self, question: &str, out: &mut Vec<f64>) {
        out.clear();
        out.resize(self.lengths.len(), 0.0);
        let mut bound = 0.0;
        for term in terms::distinct(question) {
            let list = self.postings.get(&term).map_or(&[][..], Vec::as_slice);
            let idf = idf(self.rows.len() as f64, list.len() as f64);
            bound += most(idf);
            for (row, count) in list {
                let length = f64::from(self.lengths[*row as usize]);
                out[*row as usize] += weight(idf, f64::from(*count), length, self.mean_length);
            }
        }
        if bound > 0.0 {
            out.iter_mut().for_each(|score| *score /= bound);
        }
    }
}

/// What is used anew for each question.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    words: Vec<f64>,
    found: Vec<Found>,
}
