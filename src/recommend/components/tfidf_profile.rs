//! A content-based profile of terms: the cosine of the item's words and those of the user's items.

use std::ops::Range;

use super::attribution::Attribution;
use super::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, rows, sparse_dot};
use super::reads::Reads;
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::linalg::dense::Matrix;
use crate::linalg::sparse::{Csr, Row};
use crate::recommend::error::Result;
use crate::recommend::storage::StoredSection;

/// Scores by the user's words.
#[derive(Debug)]
pub(crate) struct TfidfProfile;

impl Component for TfidfProfile {
    const NAME: &'static str = "word_profile";
    const ABOUT: &'static str = "words of the item beside those of the user's items";
    const READS: Reads = Reads::Text;

    type Users = ();
    type Items = ();

    fn fit(_: &Fitting<'_>, _: Stop<'_>) -> Result<Option<Self>, Error> {
        Ok(Some(Self))
    }

    fn users(&self, _: &UserInput<'_>) {}

    fn items(&self, _: &ItemInput<'_>, _: Stop<'_>) -> Result<(), Cancelled> {
        Ok(())
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        let mut profile = Profile::default();
        for (user, out) in rows(users, items, out) {
            profile.set(&scoring.parts.terms, scoring.users.history.row(user));
            items.fill(out, |item| sparse_dot(scoring.items.terms.row(item), &profile.terms));
        }
    }

    fn attribute(&self, scoring: &Scoring<'_, Self>, _: usize, weights: &[f32], out: &mut Attribution<'_>) {
        let all_terms = &scoring.parts.terms;
        let mut profile = Profile::default();
        let length = profile.set(all_terms, out.history);
        if length > 0.0 {
            let (own, values) = out.history;
            let mut products = Matrix::zeros(out.items.len(), own.len());
            // The terms of one item after another's, in the same memory.
            let mut here = vec![0.0; all_terms.columns()];
            for (place, item) in out.items.iter().enumerate() {
                let (terms, counts) = scoring.items.terms.row(*item as usize);
                terms.iter().zip(counts).for_each(|(term, count)| here[*term as usize] = *count);
                for ((product, own), value) in products.row_mut(place).iter_mut().zip(own).zip(values) {
                    *product = value * sparse_dot(all_terms.row(*own as usize), &here) / length;
                }
                terms.iter().for_each(|term| here[*term as usize] = 0.0);
            }
            out.add_rows(weights, &products);
        }
    }

    fn load(_: &StoredSection<'_>) -> Result<Self> {
        Ok(Self)
    }
}

/// One user's terms after another's, in the same memory.
#[derive(Debug, Default)]
struct Profile {
    terms: Vec<f32>,
    touched: Vec<u32>,
}

impl Profile {
    /// The words of a user's items as one row of length one, in place of the one that was there. Gives how long their sum was.
    fn set(&mut self, all_terms: &Csr, (own, weights): Row<'_>) -> f32 {
        let Self { terms: profile, touched } = self;
        profile.resize(all_terms.columns(), 0.0);
        touched.drain(..).for_each(|term| profile[term as usize] = 0.0);
        for (item, weight) in own.iter().zip(weights) {
            let (terms, values) = all_terms.row(*item as usize);
            for (term, value) in terms.iter().zip(values) {
                let sum = &mut profile[*term as usize];
                if *sum == 0.0 {
                    touched.push(*term);
                }
                *sum += weight * value;
            }
        }
        let square = touched.iter().map(|term| f64::from(profile[*term as usize]).powi(2)).sum::<f64>();
        if square > 0.0 {
            let scale = (1.0 / square.sqrt()) as f32;
            touched.iter().for_each(|term| profile[*term as usize] *= scale);
        }
        square.sqrt() as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_length_one_and_nothing_of_the_user_before() {
        let terms = Csr::from_rows(3, [vec![(0, 1.0)], vec![(0, 0.6), (1, 0.8)], vec![(2, 1.0)]]);
        let mut profile = Profile::default();
        profile.set(&terms, (&[2], &[5.0]));
        assert_eq!(profile.terms, [0.0, 0.0, 1.0]);
        profile.set(&terms, (&[0, 1], &[0.9, 2.5]));
        let length = (2.4_f32 * 2.4 + 2.0 * 2.0).sqrt();
        for (found, wanted) in profile.terms.iter().zip([2.4 / length, 2.0 / length, 0.0]) {
            assert!((found - wanted).abs() < 1e-6, "{:?}", profile.terms);
        }
        profile.set(&terms, (&[], &[]));
        assert_eq!(profile.terms, [0.0; 3]);
    }
}
