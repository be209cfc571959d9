//! A content-based profile of terms: the cosine of the item's words and those of the user's items.

use std::cell::RefCell;
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
        PROFILE.with_borrow_mut(|profile| {
            for (user, out) in rows(users, items, out) {
                profile.set(&scoring.parts.terms, scoring.users.history.row(user));
                items.fill(out, |item| sparse_dot(scoring.items.terms.row(item), &profile.terms));
            }
        });
    }

    fn attribute(&self, scoring: &Scoring<'_, Self>, _: usize, weights: &[f32], out: &mut Attribution<'_>) {
        let (all_terms, (own, values)) = (&scoring.parts.terms, out.history);
        let mut products = Matrix::zeros(out.items.len(), own.len());
        PROFILE.with_borrow_mut(|profile| {
            let length = profile.set(all_terms, out.history);
            for (place, item) in out.items.iter().enumerate().filter(|_| length > 0.0) {
                profile.begin(all_terms.columns());
                profile.add(scoring.items.terms.row(*item as usize), 1.0 / length);
                for ((product, own), value) in products.row_mut(place).iter_mut().zip(own).zip(values) {
                    *product = value * sparse_dot(all_terms.row(*own as usize), &profile.terms);
                }
            }
        });
        out.add_rows(weights, &products);
    }

    fn load(_: &StoredSection<'_>) -> Result<Self> {
        Ok(Self)
    }
}

thread_local! {
    /// Of one thread: as large as the vocabulary, which is too much to be made anew for each user.
    static PROFILE: RefCell<Profile> = RefCell::default();
}

/// One sum of terms after another, in the same memory.
#[derive(Debug, Default)]
struct Profile {
    terms: Vec<f32>,
    touched: Vec<u32>,
}

impl Profile {
    /// Nothing, of so many terms, in place of what was there.
    fn begin(&mut self, terms: usize) {
        self.touched.drain(..).for_each(|term| self.terms[term as usize] = 0.0);
        self.terms.resize(terms, 0.0);
    }

    fn add(&mut self, (terms, values): Row<'_>, weight: f32) {
        for (term, value) in terms.iter().zip(values) {
            let sum = &mut self.terms[*term as usize];
            if *sum == 0.0 {
                self.touched.push(*term);
            }
            *sum += weight * value;
        }
    }

    /// The words of a user's items as one row of length one, in place of what was there. Gives how long their sum was.
    fn set(&mut self, all_terms: &Csr, (own, weights): Row<'_>) -> f32 {
        self.begin(all_terms.columns());
        own.iter().zip(weights).for_each(|(item, weight)| self.add(all_terms.row(*item as usize), *weight));
        let Self { terms, touched } = self;
        let square = touched.iter().map(|term| f64::from(terms[*term as usize]).powi(2)).sum::<f64>();
        if square > 0.0 {
            let scale = (1.0 / square.sqrt()) as f32;
            touched.iter().for_each(|term| terms[*term as usize] *= scale);
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
