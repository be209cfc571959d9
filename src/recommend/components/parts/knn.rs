//! The texts most alike to each text, by words and by embeddings at once.
//!
//! Takes TF-IDF rows and embeddings of queries and of a corpus, gives the `k` nearest of the corpus per query. They
//! carry what is known of old items on to new ones.

use std::ops::Range;

use rayon::prelude::*;

use crate::cancellation::{Cancelled, Stop, check};
use crate::linalg::dense::{Matrix, View, product_into};
use crate::linalg::sparse::Csr;
use crate::recommend::ranking::heap::{Best, entry};

/// Texts of the corpus that are compared at once; their inverted index is the only one in memory.
const CORPUS_BLOCK: usize = 8192;
/// Queries that one task compares with a block: their similarities take a megabyte.
const QUERY_BLOCK: usize = 32;

/// What texts are compared by. A part whose weight is 0 is not read.
#[derive(Debug, Clone, Copy)]
pub struct Features<'a> {
    /// Texts x terms, rows of length one.
    pub terms: &'a Csr,
    /// Texts x dimensions, rows of length one.
    pub embeddings: &'a Matrix,
}

/// How much each part counts: the similarity is `terms * <terms, terms> + embeddings * <embeddings, embeddings>`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Of the terms' cosine.
    pub terms: f32,
    /// Of the embeddings' cosine.
    pub embeddings: f32,
}

/// The `k` texts of `corpus` most similar to each of `queries`, of those with a positive similarity: queries x corpus, the
/// values are similarities. Of equally similar ones the first are taken. `exclude` names a text of the corpus per query
/// that is left out, such as the query itself.
///
/// Memory: an inverted index of 8,192 texts, a megabyte per thread, and 16 bytes per query and neighbour.
pub fn nearest(
    queries: Features<'_>,
    corpus: Features<'_>,
    weights: Weights,
    k: usize,
    exclude: Option<&[Option<u32>]>,
    stop: Stop<'_>,
) -> Result<Csr, Cancelled> {
    let (count, size) = (queries.len(weights), corpus.len(weights));
    let mut best = (0..count).map(|_| Best::new(k)).collect::<Vec<_>>();
    for first in (0..size).step_by(CORPUS_BLOCK) {
        check(stop)?;
        let block = Block::new(corpus, weights, first..size.min(first + CORPUS_BLOCK));
        best.par_chunks_mut(QUERY_BLOCK).enumerate().for_each_init(Vec::new, |scores, (task, best)| {
            let task = task * QUERY_BLOCK..task * QUERY_BLOCK + best.len();
            block.scores_into(queries, weights, task.clone(), scores);
            for ((query, best), scores) in task.zip(best).zip(scores.chunks_exact_mut(block.texts.len())) {
                let left_out = exclude.and_then(|exclude| exclude.get(query).copied().flatten());
                if let Some(left_out) = left_out.and_then(|text| (text as usize).checked_sub(block.texts.start))
                    && let Some(score) = scores.get_mut(left_out)
                {
                    *score = f32::NAN;
                }
                best.extend(block.texts.start as u32, scores);
            }
        });
    }
    let rows = best.iter_mut().map(|best| {
        let similar = best.sorted().iter().map(|key| entry(*key)).take_while(|(score, _)| *score > 0.0);
        similar.map(|(score, text)| (text, score)).collect::<Vec<_>>()
    });
    Ok(Csr::from_rows(size, rows))
}

impl Features<'_> {
    /// Number of texts.
    fn len(&self, weights: Weights) -> usize {
        if weights.terms == 0.0 { self.embeddings.rows() } else { self.terms.rows() }
    }
}

/// Some texts of the corpus.
struct Block<'a> {
    texts: Range<usize>,
    /// Terms x texts of the block, if terms count.
    postings: Option<Csr>,
    /// Texts of the block x dimensions, if embeddings count.
    embeddings: Option<View<'a>>,
}

impl<'a> Block<'a> {
    fn new(corpus: Features<'a>, weights: Weights, texts: Range<usize>) -> Self {
        let rows = || (texts.start as u32..texts.end as u32).collect::<Vec<_>>();
        let postings = (weights.terms != 0.0).then(|| corpus.terms.gather(&rows()).transpose());
        let embeddings = (weights.embeddings != 0.0).then(|| corpus.embeddings.view(texts.clone()));
        Self { texts, postings, embeddings }
    }

    /// The similarities of these queries with the texts of the block, query by query.
    fn scores_into(&self, queries: Features<'_>, weights: Weights, task: Range<usize>, scores: &mut Vec<f32>) {
        scores.clear();
        scores.resize(task.len() * self.texts.len(), 0.0);
        if let Some(embeddings) = self.embeddings {
            product_into(scores, queries.embeddings.view(task.clone()), embeddings);
            scores.iter_mut().for_each(|score| *score *= weights.embeddings);
        }
        if let Some(postings) = &self.postings {
            for (query, scores) in task.zip(scores.chunks_exact_mut(self.texts.len())) {
                let (terms, values) = queries.terms.row(query);
                for (term, value) in terms.iter().zip(values) {
                    let (texts, others) = postings.row(*term as usize);
                    for (text, other) in texts.iter().zip(others) {
                        scores[*text as usize] += weights.terms * value * other;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: Weights = Weights { terms: 0.75, embeddings: 0.5 };

    /// Every pair, one by one.
    fn naive(queries: Features<'_>, corpus: Features<'_>, weights: Weights, k: usize, exclude: &[Option<u32>]) -> Csr {
        let rows = (0..queries.terms.rows()).map(|query| {
            let mut found = Vec::new();
            for text in (0..corpus.terms.rows() as u32).filter(|text| exclude[query] != Some(*text)) {
                let (terms, values) = queries.terms.row(query);
                let (others, other_values) = corpus.terms.row(text as usize);
                let word =
                    |(term, value): (&u32, &f32)| others.binary_search(term).map_or(0.0, |at| value * other_values[at]);
                let words = terms.iter().zip(values).map(word).sum::<f32>();
                let pairs = queries.embeddings.row(query).iter().zip(corpus.embeddings.row(text as usize));
                let similarity = weights.terms * words + weights.embeddings * pairs.map(|(x, y)| x * y).sum::<f32>();
                if similarity > 0.0 {
                    found.push((text, similarity));
                }
            }
            found.sort_by(|a, b| b.1.total_cmp(&a.1));
            found.truncate(k);
            found
        });
        Csr::from_rows(corpus.terms.rows(), rows.collect::<Vec<_>>())
    }

    /// Numbers whose products and sums are exact, so that equal similarities are equal.
    fn texts(count: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = (Csr, Matrix)> {
        let text = (prop::collection::vec((0u32..9, 1u8..4), 0..5), prop::collection::vec(-4i8..4, 3));
        prop::collection::vec(text, count).prop_map(|texts| {
            let (terms, embeddings): (Vec<_>, Vec<_>) = texts.into_iter().unzip();
            let rows = terms.into_iter().map(|row| row.into_iter().map(|(term, value)| (term, f32::from(value) / 4.0)));
            let values = embeddings.iter().flatten().map(|x| f32::from(*x) / 4.0).collect();
            (Csr::from_rows(9, rows), Matrix::new(embeddings.len(), 3, values))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_nearest_are_those_of_every_pair(
            (query_terms, query_embeddings) in texts(0..=70),
            (corpus_terms, corpus_embeddings) in texts(0..=40),
            k in 0usize..12,
            part in 0..3,
        ) {
            let queries = Features { terms: &query_terms, embeddings: &query_embeddings };
            let corpus = Features { terms: &corpus_terms, embeddings: &corpus_embeddings };
            let weights = match part {
                0 => BOTH,
                1 => Weights { terms: 0.0, ..BOTH },
                _ => Weights { embeddings: 0.0, ..BOTH },
            };
            let exclude = (0..query_terms.rows() as u32).map(|query| (query % 3 != 0).then_some(query)).collect::<Vec<_>>();
            let found = nearest(queries, corpus, weights, k, Some(&exclude), &|| false).unwrap();
            prop_assert_eq!(found, naive(queries, corpus, weights, k, &exclude));
        }
    }

    #[test]
    fn a_corpus_of_several_blocks_is_one_corpus() {
        let size = 2 * CORPUS_BLOCK + 100;
        let terms = Csr::from_rows(2, (0..size).map(|text| [(0, (text * 7919 % 1000) as f32 / 1024.0), (1, 0.5)]));
        let embeddings = Matrix::new(size, 1, (0..size).map(|text| (text % 3) as f32).collect());
        let corpus = Features { terms: &terms, embeddings: &embeddings };
        let first = [0, 5, CORPUS_BLOCK as u32 + 1];
        let (query_terms, query_embeddings) = (terms.gather(&first), embeddings.gather(&first));
        let queries = Features { terms: &query_terms, embeddings: &query_embeddings };
        let exclude = first.map(Some);
        let found = nearest(queries, corpus, BOTH, 30, Some(&exclude), &|| false).unwrap();
        assert_eq!(found, naive(queries, corpus, BOTH, 30, &exclude));
        assert_eq!(found.stored(), 90);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(pool.install(|| nearest(queries, corpus, BOTH, 30, Some(&exclude), &|| false)), Ok(found));
        assert_eq!(nearest(queries, corpus, BOTH, 30, None, &|| true), Err(Cancelled));
    }

    #[test]
    fn a_part_without_weight_is_not_read() {
        let (terms, nothing) = (Csr::from_rows(1, [[(0, 1.0)], [(0, 0.5)]]), Matrix::default());
        let by_terms = Features { terms: &terms, embeddings: &nothing };
        let found = nearest(by_terms, by_terms, Weights { terms: 2.0, embeddings: 0.0 }, 1, None, &|| false).unwrap();
        assert_eq!(found, Csr::from_rows(2, [[(0, 2.0)], [(0, 1.0)]]));
        let (none, embeddings) = (Csr::default(), Matrix::new(2, 1, vec![1.0, -1.0]));
        let by_embeddings = Features { terms: &none, embeddings: &embeddings };
        let weights = Weights { terms: 0.0, embeddings: 1.0 };
        let found = nearest(by_embeddings, by_embeddings, weights, 5, None, &|| false).unwrap();
        assert_eq!(found, Csr::from_rows(2, [[(0, 1.0)], [(1, 1.0)]]));
    }
}
