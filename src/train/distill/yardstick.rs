//! How near a student is to its teacher: takes the teacher's vectors of texts, gives for those of a student the share of nearest
//! neighbours that both have.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::linalg::dense::Matrix;
use crate::train::random::Purpose;

/// The metric's name.
pub(super) const OVERLAP: &str = "overlap@10";
/// Neighbours that are compared.
pub(super) const NEAREST: usize = 10;
/// Most held-out texts whose neighbours are compared.
const MOST_QUERIES: usize = 1000;
/// Most texts among which neighbours are looked for.
const MOST_CANDIDATES: usize = 20_000;
/// Queries whose products are computed together.
const BLOCK: usize = 32;

/// Texts, and the nearest ones of some of them by the teacher.
#[derive(Debug)]
pub(super) struct Yardstick {
    /// The texts, rows of the dataset: first those that are asked for, which were held out.
    texts: Vec<u32>,
    /// Of each that is asked for, its nearest, places in `texts`.
    nearest: Vec<Vec<u32>>,
}

impl Yardstick {
    /// Asks for the `held_out` texts, among all of them and `others`; of many, some are drawn. `vectors` are the teacher's of all
    /// texts, a row each.
    pub(super) fn new(vectors: &Matrix, held_out: &[u32], others: &[u32], seed: u64) -> Self {
        let mut random = Purpose::Validation.random(seed);
        let mut draw = |of: &[u32], count: usize| {
            let places = random.sample(of.len(), count.min(of.len()));
            places.into_iter().map(|place| of[place]).collect::<Vec<_>>()
        };
        let mut texts = draw(held_out, MOST_CANDIDATES);
        let queries = texts.len().min(MOST_QUERIES);
        let rest = draw(others, MOST_CANDIDATES - texts.len());
        texts.extend(rest);
        let nearest = nearest(&vectors.gather(&texts), queries);
        Self { texts, nearest }
    }

    /// The texts whose vectors [`Self::overlap`] is given, in that order; rows of the dataset.
    pub(super) fn texts(&self) -> &[u32] {
        &self.texts
    }

    /// The mean over the held-out texts of the share of the teacher's nearest that are the student's too; `None` where
    /// nothing is held out. `vectors` are of length one.
    pub(super) fn overlap(&self, vectors: &Matrix) -> Option<f64> {
        let found = nearest(vectors, self.nearest.len());
        let shares = found.iter().zip(&self.nearest).map(|(found, wanted)| {
            let both = found.iter().filter(|text| wanted.contains(text)).count();
            both as f64 / wanted.len().max(1) as f64
        });
        (!found.is_empty()).then(|| shares.sum::<f64>() / found.len() as f64)
    }
}

/// The nearest other rows of each of the first `queries` rows; of equally near ones the first.
fn nearest(vectors: &Matrix, queries: usize) -> Vec<Vec<u32>> {
    let blocks = (0..queries).step_by(BLOCK).collect::<Vec<_>>();
    let found = blocks.into_iter().flat_map(|start| {
        let rows = (start as u32..queries.min(start + BLOCK) as u32).collect::<Vec<_>>();
        let products = vectors.gather(&rows).times_transposed(vectors);
        let best = rows.par_iter().enumerate().map(|(place, query)| {
            let products = products.row(place);
            let order = |a: &u32, b: &u32| -> Ordering {
                products[*b as usize].total_cmp(&products[*a as usize]).then(a.cmp(b))
            };
            let mut others = (0..products.len() as u32).filter(|row| row != query).collect::<Vec<_>>();
            if others.len() > NEAREST {
                others.select_nth_unstable_by(NEAREST - 1, order);
                others.truncate(NEAREST);
            }
            others
        });
        best.collect::<Vec<_>>()
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts around a circle.
    fn circle(texts: usize) -> Matrix {
        let angle = |text: usize| text as f32 / texts as f32 * std::f32::consts::TAU;
        Matrix::new(texts, 2, (0..texts).flat_map(|text| [angle(text).cos(), angle(text).sin()]).collect())
    }

    #[test]
    fn the_overlap_is_the_share_of_common_neighbours() {
        let vectors = circle(40);
        let yardstick =
            Yardstick::new(&vectors, &[3, 30], &(0..40).filter(|row| *row != 3 && *row != 30).collect::<Vec<_>>(), 7);
        assert_eq!(yardstick.texts().len(), 40);
        let own = vectors.gather(yardstick.texts());
        assert_eq!(yardstick.overlap(&own), Some(1.0));
        // Turned by a right angle it is the same space.
        let turned = Matrix::new(40, 2, own.values().chunks(2).flat_map(|row| [-row[1], row[0]]).collect());
        assert_eq!(yardstick.overlap(&turned), Some(1.0));
        // Every second neighbour goes to the other side.
        let odd = |place: usize| yardstick.texts()[place] % 2 == 1;
        let torn = (0..40).flat_map(|place| {
            let sign = if odd(place) { -1.0 } else { 1.0 };
            own.row(place).iter().map(move |value| sign * value)
        });
        let overlap = yardstick.overlap(&Matrix::new(40, 2, torn.collect())).unwrap_or_default();
        assert!(overlap > 0.2 && overlap < 0.6, "{overlap}");
    }

    #[test]
    fn nothing_held_out_is_nothing_measured() {
        let vectors = circle(12);
        let yardstick = Yardstick::new(&vectors, &[], &[0, 1, 2], 7);
        assert_eq!(yardstick.overlap(&vectors.gather(yardstick.texts())), None);
    }
}
