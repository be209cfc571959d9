//! The best documents for questions: by meaning, by words, and odd tables.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, FixedSizeListArray, Float32Array, StringViewArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field};

use super::index::{Found, Index, Scratch};
use crate::hybrid_search::terms;

const TEXTS: [Option<&str>; 6] = [
    Some("Sending a parcel back: the label is in the box"),
    Some("Delivery takes two days"),
    None,
    Some("Delivery to islands takes eight days"),
    Some(""),
    Some("AB-12 spare part"),
];
/// Vectors of the documents; the last but one has none.
const VECTORS: [[f32; 2]; 6] = [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [-1.0, 0.0]];

fn index() -> Index {
    let values = Arc::new(Float32Array::from(VECTORS.concat()));
    let field = Arc::new(Field::new_list_field(DataType::Float32, true));
    let has = NullBuffer::from(vec![true, true, true, true, false, true]);
    let vectors: ArrayRef = Arc::new(FixedSizeListArray::new(field, 2, values, Some(has)));
    Index::new(StringViewArray::from(TEXTS.to_vec()), Some(&vectors)).unwrap()
}

fn find(question: &str, vector: [f32; 2], k: usize) -> Vec<Found> {
    index().find(question, &vector, k, &mut Scratch::default()).unwrap()
}

#[test]
fn meaning_and_words_are_added_up() {
    let rows = |found: &[Found]| found.iter().map(|found| found.row).collect::<Vec<_>>();
    // Nothing of the words: by meaning alone, and of equal ones the first by its text.
    let found = find("return", [0.8, 0.6], 9);
    assert_eq!(rows(&found), [0, 1, 3, 5], "without what has no text or no vector");
    assert_eq!(found[0], Found { row: 0, score: 0.6, similarity: 0.8, words: 0.0 });
    assert_eq!(rows(&find("return", [0.8, 0.6], 2)), [0, 1]);
    // A code is found by its letters.
    let found = find("ab 12", [0.0, 0.0], 1);
    assert_eq!(rows(&found), [5]);
    assert!(found[0].words > 0.4 && found[0].words < 1.0, "{found:?}");
    let islands = find("delivery to ISLANDS?", [0.0, 1.0], 3);
    assert_eq!(rows(&islands)[..2], [3, 1]);
    assert!(find("", [0.0, 1.0], 1)[0].words == 0.0 && find("delivery", [0.0, 1.0], 0).is_empty());
}

/// The plain way: the formula over all documents, a term at a time.
#[test]
fn words_are_the_share_of_the_best_bm25() {
    let documents = [0, 1, 3, 5].map(|row: usize| TEXTS[row].unwrap());
    let words = |text: &str| {
        let mut words = Vec::new();
        terms::for_each(text, &mut String::new(), |term| words.push(term.to_owned()));
        words
    };
    let all = documents.map(words);
    let mean = all.iter().map(Vec::len).sum::<usize>() as f64 / 4.0;
    for question in ["delivery takes two", "the days the box", "no word of it", "parcel parcel unknown"] {
        let found = find(question, [0.0, 0.0], 9);
        let (mut scores, mut bound) = ([0.0; 4], 0.0);
        for term in terms::distinct(question) {
            let df = all.iter().filter(|document| document.contains(&term)).count() as f64;
            let idf = (1.0 + (4.0 - df + 0.5) / (df + 0.5)).ln();
            bound += idf * 2.2;
            for (score, document) in scores.iter_mut().zip(&all) {
                let tf = document.iter().filter(|word| **word == term).count() as f64;
                *score += idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * document.len() as f64 / mean));
            }
        }
        for (row, score) in [0, 1, 3, 5].into_iter().zip(scores) {
            let words = found.iter().find(|found| found.row == row).unwrap().words;
            assert!((f64::from(words) - score / bound).abs() < 1e-6, "{question}: {words} of {row}");
        }
    }
}

#[test]
fn no_documents_answer_nothing() {
    let field = Arc::new(Field::new_list_field(DataType::Float32, true));
    let vectors: ArrayRef = Arc::new(FixedSizeListArray::new_null(field, 2, 0));
    assert_eq!(vectors.len(), 0);
    let index = Index::new(StringViewArray::from(Vec::<&str>::new()), Some(&vectors)).unwrap();
    assert!(index.find("why", &[1.0, 0.0], 3, &mut Scratch::default()).unwrap().is_empty());
    assert!(Index::new(StringViewArray::from(Vec::<&str>::new()), None).is_err());
}
