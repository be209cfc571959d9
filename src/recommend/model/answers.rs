//! What users answered, folded in at once: takes likes and dislikes with the items' vectors, gives what they add to the logits of any item.
//!
//! Of each user a Gaussian process over items: what it adds to a logit is 0 before the first answer, with a variance of [`VARIANCE`] and
//! the cosine of two items' embeddings as their correlation. An answer is an observation whose log-odds are the model's own plus what is
//! added, so that a like that nobody expected tells much, and a dislike of what the user would hardly have bought tells little. The
//! posterior mode is found by Newton's method, Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, algorithm 3.1,
//! <https://gaussianprocess.org/gpml/chapters/RW3.pdf>; at the mode what is added is a product with one vector for each user.

use crate::linalg::dense::{Matrix, Solver, View, product_into};
use crate::linalg::logistic::sigmoid;

/// The variance of what is added. Chosen by simulation on launches before those that it was measured on: `benches/README.md`.
const VARIANCE: f64 = 4.0;
/// Steps of Newton's method, at most; it takes five to ten.
const MOST_STEPS: usize = 50;
/// The change of what is added at which it ends.
const TOLERANCE: f64 = 1e-6;

/// What a user said of an item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'a> {
    /// The item's embedding, of length one; zeros where it has none.
    pub(crate) vector: &'a [f32],
    /// The user's logit for it, before any answer.
    pub(crate) logit: f32,
    /// Whether the user likes it.
    pub(crate) likes: bool,
}

/// What the answers of users add to their logits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    /// For each user the row of `directions`, if the user answered.
    rows: Vec<Option<u32>>,
    /// Rows x dimensions.
    directions: Matrix,
}

impl Answers {
    /// Of so many users, of whom these answered: their directions as [`direction`] gives them.
    pub(crate) fn new(users: usize, answered: Vec<(u32, Vec<f32>)>) -> Self {
        let dimensions = answered.first().map_or(0, |(_, direction)| direction.len());
        let mut rows = vec![None; users];
        let mut values = Vec::with_capacity(answered.len() * dimensions);
        for (row, (user, direction)) in answered.into_iter().enumerate() {
            rows[user as usize] = Some(row as u32);
            values.extend(direction);
        }
        let count = values.len().checked_div(dimensions).unwrap_or(0);
        Self { rows, directions: Matrix::new(count, dimensions, values) }
    }

    /// What is added to a user's logits of items with these embeddings, into `out`. False if the user has not answered.
    pub(super) fn add_into(&self, user: usize, embeddings: View<'_>, out: &mut [f32]) -> bool {
        let Some(row) = self.rows.get(user).copied().flatten() else { return false };
        product_into(out, self.directions.view(row as usize..row as usize + 1), embeddings);
        true
    }
}

/// The vector whose product with an item's embedding is what a user's answers add to the item's logit.
pub(crate) fn direction(answers: &[Answer<'_>]) -> Vec<f32> {
    let Some(first) = answers.first() else { return Vec::new() };
    let (count, dimensions) = (answers.len(), first.vector.len());
    let vectors = Matrix::new(count, dimensions, answers.iter().flat_map(|answer| answer.vector).copied().collect());
    let mut cosines = Matrix::zeros(count, count);
    product_into(cosines.values_mut(), vectors.all(), vectors.all());
    let kernel = cosines.values().iter().map(|cosine| VARIANCE * f64::from(*cosine)).collect::<Vec<_>>();
    let times = |coefficients: &[f64]| -> Vec<f64> {
        kernel.chunks_exact(count).map(|row| row.iter().zip(coefficients).map(|(k, a)| k * a).sum()).collect()
    };
    let objective = |coefficients: &[f64], added: &[f64]| -> f64 {
        let rows = answers.iter().zip(coefficients.iter().zip(added));
        rows.map(|(answer, (a, f))| answer.likelihood(*f) - 0.5 * a * f).sum()
    };
    let (mut coefficients, mut added) = (vec![0.0; count], vec![0.0; count]);
    let mut solver = Solver::new(count);
    let (mut matrix, mut right) = (vec![0.0; count * count], vec![0.0; count]);
    for _ in 0..MOST_STEPS {
        let chances = answers.iter().zip(&added).map(|(answer, f)| sigmoid(f64::from(answer.logit) + f));
        let chances = chances.collect::<Vec<_>>();
        let roots = chances.iter().map(|p| (p * (1.0 - p)).sqrt()).collect::<Vec<_>>();
        let target =
            answers.iter().zip(&chances).zip(&added).map(|((answer, p), f)| p * (1.0 - p) * f + answer.value() - p);
        let target = target.collect::<Vec<_>>();
        for row in 0..count {
            for column in 0..count {
                let one = if row == column { 1.0 } else { 0.0 };
                matrix[row * count + column] = one + roots[row] * kernel[row * count + column] * roots[column];
            }
        }
        right.iter_mut().zip(times(&target)).zip(&roots).for_each(|((right, x), root)| *right = root * x);
        if !solver.solve_in_place(&mut matrix, &mut right) {
            break;
        }
        let step = target.iter().zip(&roots).zip(&right).zip(&coefficients).map(|(((b, root), x), a)| b - root * x - a);
        let step = step.collect::<Vec<_>>();
        // A step may go too far: half of it, and half again, until it is better.
        let before = objective(&coefficients, &added);
        let mut scale = 1.0;
        let (next, now) = loop {
            let next = coefficients.iter().zip(&step).map(|(a, step)| a + scale * step).collect::<Vec<_>>();
            let now = times(&next);
            if scale < 1e-3 || objective(&next, &now) >= before {
                break (next, now);
            }
            scale /= 2.0;
        };
        let change = now.iter().zip(&added).map(|(now, before)| (now - before).abs()).fold(0.0, f64::max);
        (coefficients, added) = (next, now);
        if change < TOLERANCE {
            break;
        }
    }
    let mut direction = vec![0.0f64; dimensions];
    for (answer, coefficient) in answers.iter().zip(&coefficients) {
        let pairs = direction.iter_mut().zip(answer.vector);
        pairs.for_each(|(sum, x)| *sum += VARIANCE * coefficient * f64::from(*x));
    }
    direction.into_iter().map(|x| x as f32).collect()
}

impl Answer<'_> {
    fn value(&self) -> f64 {
        if self.likes { 1.0 } else { 0.0 }
    }

    /// The logarithm of the probability of the answer where `added` is added.
    fn likelihood(&self, added: f64) -> f64 {
        let logit = f64::from(self.logit) + added;
        let signed = if self.likes { logit } else { -logit };
        // ln(sigmoid(x)), which does not overflow.
        signed.min(0.0) - (-signed.abs()).exp().ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn added(direction: &[f32], vector: &[f32]) -> f64 {
        direction.iter().zip(vector).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    }

    #[test]
    fn an_answer_that_nobody_expected_tells_more() {
        let vector = [0.6f32, 0.8];
        let of = |logit: f32, likes: bool| added(&direction(&[Answer { vector: &vector, logit, likes }]), &vector);
        assert!(of(-4.0, true) > of(0.0, true) && of(0.0, true) > of(4.0, true) && of(4.0, true) > 0.0);
        assert!(of(4.0, false) < of(0.0, false) && of(0.0, false) < of(-4.0, false) && of(-4.0, false) < 0.0);
        // Without an embedding nothing is known of what else is meant.
        assert_eq!(direction(&[Answer { vector: &[0.0, 0.0], logit: 0.0, likes: true }]), [0.0, 0.0]);
        assert!(direction(&[]).is_empty());
    }

    #[test]
    fn a_like_speaks_for_what_is_alike_and_against_what_is_not() {
        let (liked, other) = ([1.0f32, 0.0, 0.0], [0.0f32, 1.0, 0.0]);
        let answers =
            [Answer { vector: &liked, logit: -3.0, likes: true }, Answer { vector: &other, logit: -1.0, likes: false }];
        let direction = direction(&answers);
        assert!(added(&direction, &[0.8, 0.0, 0.6]) > 1.0 && added(&direction, &[-0.8, 0.0, 0.6]) < -1.0);
        assert!(added(&direction, &[0.0, 0.8, 0.6]) < -0.3 && added(&direction, &[0.0, 0.0, 1.0]).abs() < 1e-6);
        // Who has not answered gets nothing.
        let answers = Answers::new(3, vec![(2, direction)]);
        let (items, mut out) = (Matrix::new(2, 3, vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0]), [7.0, 7.0]);
        assert!(!answers.add_into(0, items.all(), &mut out) && !Answers::default().add_into(5, items.all(), &mut out));
        assert!(answers.add_into(2, items.all(), &mut out) && out[0] > 1.0 && out[1].abs() < 1e-6);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// At the mode the coefficient of an answer is what the model was wrong by.
        #[test]
        fn the_mode_is_found(
            given in prop::collection::vec((prop::collection::vec(-1.0f32..1.0, 4), -9.0f32..9.0, any::<bool>()), 1..30),
        ) {
            let mut vectors = Matrix::new(given.len(), 4, given.iter().flat_map(|(vector, ..)| vector.clone()).collect());
            vectors.normalize_rows();
            let answers = given.iter().enumerate().map(|(row, (_, logit, likes))| Answer {
                vector: vectors.row(row), logit: *logit, likes: *likes,
            }).collect::<Vec<_>>();
            let direction = direction(&answers);
            let mut wanted = vec![0.0; 4];
            for answer in &answers {
                let error = answer.value() - sigmoid(f64::from(answer.logit) + added(&direction, answer.vector));
                wanted.iter_mut().zip(answer.vector).for_each(|(sum, x)| *sum += VARIANCE * error * f64::from(*x));
            }
            for (found, wanted) in direction.iter().zip(wanted) {
                prop_assert!((f64::from(*found) - wanted).abs() < 1e-3, "{found} {wanted}");
            }
        }
    }
}
