//! Factors of users and items from what users have (implicit feedback), by alternating least squares.
//!
//! Takes interactions (users x items), gives a row of factors per user and per item whose product is high where a user
//! would have an item. `FoldIn` gives the factors of a user who was not there. Items with a history are scored by
//! them, and text is taught to predict them.
//!
//! Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", 2008,
//! <https://doi.org/10.1109/ICDM.2008.22>: with `p` = 1 where a user `u` has an item `i` and 0 elsewhere, and the confidence
//! `c = 1 + alpha * value`, minimise `sum over all u, i of c (p - x_u y_i)² + lambda (sum |x_u|² + sum |y_i|²)`.

use std::ops::Deref;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::cancellation::{Cancelled, Stop, check};
use crate::linalg::dense::{Matrix, Solver, View, add_gram, gram, product_into};
use crate::linalg::sparse::{Csr, Row};
use crate::random::Random;

/// The stream of random numbers that the first factors are drawn from.
const STREAM: u64 = 0x616c_7301;
/// Rows whose factors one task computes.
const TASK: usize = 64;
/// Rows of factors that are multiplied at once: with 64 factors a quarter of a core's L2 cache.
const BLOCK: usize = 512;

/// What `als` may choose.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AlsSettings {
    /// Numbers per user and item.
    pub factors: usize,
    /// How much more a value of 1 counts than nothing: its confidence is `1 + alpha`.
    pub alpha: f32,
    /// `lambda`, the weight of the factors' squares.
    pub regularization: f32,
    /// How often both sides are solved.
    pub iterations: usize,
    /// Of the first factors.
    pub seed: u64,
}

impl Default for AlsSettings {
    fn default() -> Self {
        Self { factors: 64, alpha: 20.0, regularization: 10.0, iterations: 12, seed: 42 }
    }
}

/// Factors of both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    /// Users x factors.
    pub users: Matrix,
    /// Items x factors.
    pub items: Matrix,
}

/// Factorises `interactions`, users x items; values are positive strengths, 1 for "has it".
pub fn als(interactions: &Csr, settings: &AlsSettings, stop: Stop<'_>) -> Result<Factors, Cancelled> {
    let owners = interactions.transpose();
    let mut random = Random::new(settings.seed, STREAM);
    let scale = 1.0 / (settings.factors.max(1) as f64).sqrt();
    let first = (0..interactions.columns() * settings.factors).map(|_| (random.normal() * scale) as f32).collect();
    let mut items = Matrix::new(interactions.columns(), settings.factors, first);
    let mut users = Matrix::zeros(interactions.rows(), settings.factors);
    for _ in 0..settings.iterations {
        users = FoldIn::new(&items, settings).fold_in_all(interactions, stop)?;
        items = FoldIn::new(&users, settings).fold_in_all(&owners, stop)?;
    }
    Ok(Factors { users, items })
}

/// Computes factors of users from what they have, given the items' factors. `M` is a `&Matrix` or an `Arc<Matrix>`.
#[derive(Debug, Clone)]
pub struct FoldIn<M> {
    items: M,
    /// `YᵀY + lambda I`, its upper triangle row by row.
    gram: Vec<f64>,
    alpha: f32,
}

impl<M: Deref<Target = Matrix> + Sync> FoldIn<M> {
    /// Of users who have some of `items`, items x factors as [`als`] gave them with the same settings.
    pub fn new(items: M, settings: &AlsSettings) -> Self {
        let mut gram = gram(items.rows(), items.columns(), |rows, block| {
            block.extend_from_slice(items.view(rows).values());
        });
        for factor in 0..items.columns() {
            gram[factor * (items.columns() + 1)] += f64::from(settings.regularization);
        }
        Self { items, gram, alpha: settings.alpha }
    }

    /// The factors of a user with this history: items and the values that [`als`] would have seen. Zeros without any.
    pub fn fold_in(&self, history: Row<'_>) -> Vec<f32> {
        let mut out = vec![0.0; self.items.columns()];
        self.solve(history, &mut Scratch::new(self.items.columns()), &mut out);
        out
    }

    /// The factors of each of these users, on all cores.
    ///
    /// # Errors
    /// It was stopped.
    pub fn fold_in_all(&self, histories: &Csr, stop: Stop<'_>) -> Result<Matrix, Cancelled> {
        let factors = self.items.columns();
        let mut out = Matrix::zeros(histories.rows(), factors);
        let tasks = out.values_mut().par_chunks_mut((factors * TASK).max(1)).enumerate();
        tasks.try_for_each_init(
            || Scratch::new(factors),
            |scratch, (task, rows)| {
                check(stop)?;
                for (row, out) in rows.chunks_exact_mut(factors).enumerate() {
                    self.solve(histories.row(task * TASK + row), scratch, out);
                }
                Ok(())
            },
        )?;
        Ok(out)
    }

    /// Adds to each row of `out` (vectors x items of the history) how much of the product of the user's factors and a vector each
    /// item of their history makes: with `A` the user's equations, `x = A⁻¹ sum over items of c y`, so that `v x` is the sum of
    /// `c v A⁻¹ y` (section 5 of the paper).
    pub(crate) fn attribute(&self, (items, values): Row<'_>, vectors: &Matrix, out: &mut Matrix) {
        if items.is_empty() || vectors.values().iter().all(|x| *x == 0.0) {
            return;
        }
        let mut scratch = Scratch::new(self.items.columns());
        self.equations((items, values), &mut scratch);
        scratch.right.clear();
        scratch.right.extend(vectors.values().iter().map(|x| f64::from(*x)));
        if !scratch.solver.solve_in_place(&mut scratch.matrix, &mut scratch.right) {
            return;
        }
        let solved = Matrix::new(vectors.rows(), vectors.columns(), scratch.right.iter().map(|x| *x as f32).collect());
        let mut products = Matrix::zeros(vectors.rows(), items.len());
        product_into(products.values_mut(), solved.all(), self.items.gather(items).all());
        let rows = out.values_mut().chunks_exact_mut(items.len()).zip(products.values().chunks_exact(items.len()));
        for (out, products) in rows {
            for ((out, product), value) in out.iter_mut().zip(products).zip(values) {
                *out += (1.0 + self.alpha * value) * product;
            }
        }
    }

    /// Solves `(YᵀY + lambda I + Yᵀ(C - I)Y) x = YᵀC p`: only items that the user has differ from the common part.
    fn solve(&self, history: Row<'_>, scratch: &mut Scratch, out: &mut [f32]) {
        self.equations(history, scratch);
        // Without regularisation the system may have no single solution; zeros say that nothing is known.
        if scratch.solver.solve_in_place(&mut scratch.matrix, &mut scratch.right) {
            out.iter_mut().zip(&scratch.right).for_each(|(out, x)| *out = *x as f32);
        } else {
            out.fill(0.0);
        }
    }

    /// Both sides of a user's equations.
    fn equations(&self, (items, values): Row<'_>, scratch: &mut Scratch) {
        let factors = self.items.columns();
        scratch.right.fill(0.0);
        scratch.gram.fill(0.0);
        for (items, values) in items.chunks(BLOCK).zip(values.chunks(BLOCK)) {
            scratch.rows.clear();
            for (item, value) in items.iter().zip(values) {
                let row = self.items.row(*item as usize);
                let (more, root) = (self.alpha * value, (self.alpha * value).max(0.0).sqrt());
                scratch.rows.extend(row.iter().map(|y| root * y));
                let confidence = f64::from(1.0 + more);
                scratch.right.iter_mut().zip(row).for_each(|(sum, y)| *sum += confidence * f64::from(*y));
            }
            add_gram(&mut scratch.gram, View::new(&scratch.rows, factors));
        }
        let pairs = self.gram.iter().zip(&scratch.gram);
        scratch.matrix.iter_mut().zip(pairs).for_each(|(sum, (all, own))| *sum = all + f64::from(*own));
    }
}

/// Memory of one thread, so that a row allocates nothing.
struct Scratch {
    rows: Vec<f32>,
    gram: Vec<f32>,
    matrix: Vec<f64>,
    right: Vec<f64>,
    solver: Solver,
}

impl Scratch {
    fn new(factors: usize) -> Self {
        Self {
            rows: Vec::with_capacity(BLOCK * factors),
            gram: vec![0.0; factors * factors],
            matrix: vec![0.0; factors * factors],
            right: vec![0.0; factors],
            solver: Solver::new(factors),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::linalg::reference::{Pairs, assert_close, csr, read};

    #[derive(Deserialize)]
    struct Case {
        interactions: Pairs,
        items: Vec<f32>,
        users: Vec<f32>,
        loss: f64,
    }

    const SETTINGS: AlsSettings =
        AlsSettings { factors: 4, alpha: 20.0, regularization: 10.0, iterations: 120, seed: 1 };

    /// What is minimised, term by term.
    fn loss(interactions: &Csr, factors: &Factors) -> f64 {
        let mut loss = 0.0;
        for (user, (items, values)) in interactions.iter().enumerate() {
            for item in 0..interactions.columns() {
                let value = items.iter().position(|one| *one as usize == item).map_or(0.0, |place| values[place]);
                let pairs = factors.users.row(user).iter().zip(factors.items.row(item));
                let score = pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
                let wanted = if value > 0.0 { 1.0 } else { 0.0 };
                loss += f64::from(1.0 + SETTINGS.alpha * value) * (wanted - score).powi(2);
            }
        }
        let squares = |matrix: &Matrix| matrix.values().iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        loss + f64::from(SETTINGS.regularization) * (squares(&factors.users) + squares(&factors.items))
    }

    #[test]
    fn a_half_step_is_the_closed_form() {
        let case: Case = read("factors");
        let (interactions, items) = (csr(20, case.interactions), Matrix::new(20, 4, case.items));
        let users = FoldIn::new(&items, &SETTINGS).fold_in_all(&interactions, &|| false).unwrap();
        assert_close(users.values(), &case.users, 1e-5);
        let fold_in = FoldIn::new(Arc::new(items), &SETTINGS);
        assert_eq!(fold_in.fold_in_all(&interactions, &|| false).unwrap(), users);
        fold_in.fold_in_all(&interactions, &|| true).unwrap_err();
        assert_eq!(fold_in.fold_in(interactions.row(3)), users.row(3));
        assert_eq!(fold_in.fold_in((&[], &[])), [0.0; 4]);
    }

    #[test]
    fn the_least_loss_is_found() {
        let case: Case = read("factors");
        let interactions = csr(20, case.interactions);
        let factors = als(&interactions, &SETTINGS, &|| false).unwrap();
        let loss = loss(&interactions, &factors);
        assert!((loss / case.loss - 1.0).abs() < 1e-5, "{loss}, not {}", case.loss);
    }

    #[test]
    fn long_histories_are_added_up_block_by_block() {
        let count = 2 * BLOCK + 3;
        let items = Matrix::new(count, 2, (0..2 * count).map(|x| ((x * 7 % 13) as f32 - 6.0) / 8.0).collect());
        let (all, values) = ((0..count as u32).collect::<Vec<_>>(), vec![0.5; count]);
        let settings = AlsSettings { factors: 2, alpha: 3.0, regularization: 4.0, ..SETTINGS };
        let found = FoldIn::new(&items, &settings).fold_in((&all, &values));
        // All items are had: the confidence of each is 2.5, and the equations are 2 x 2.
        let sum = |f: &dyn Fn(&[f32]) -> f32| (0..count).map(|item| f64::from(f(items.row(item)))).sum::<f64>() * 2.5;
        let (a, b, d) = (sum(&|y| y[0] * y[0]) + 4.0, sum(&|y| y[0] * y[1]), sum(&|y| y[1] * y[1]) + 4.0);
        let (right, other) = (sum(&|y| y[0]), sum(&|y| y[1]));
        let determinant = a * d - b * b;
        let wanted = [(d * right - b * other) / determinant, (a * other - b * right) / determinant];
        assert_close(&found, &wanted.map(|x| x as f32), 1e-5);
    }

    #[test]
    fn threads_make_no_difference_and_the_seed_does() {
        let interactions = csr(20, read::<Case>("factors").interactions);
        let run = |threads: usize, seed: u64| {
            let settings = AlsSettings { iterations: 2, seed, ..SETTINGS };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| als(&interactions, &settings, &|| false)).unwrap()
        };
        assert_eq!(run(1, 7), run(3, 7));
        assert_ne!(run(1, 7), run(1, 8));
    }

    #[test]
    fn it_stops() {
        let interactions = csr(20, read::<Case>("factors").interactions);
        let asked = AtomicUsize::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) >= 3;
        assert_eq!(als(&interactions, &SETTINGS, &stop), Err(Cancelled));
        assert_eq!(asked.into_inner(), 4);
    }

    #[test]
    fn nothing_has_no_factors() {
        let factors = als(&Csr::from_rows(0, Vec::<Vec<_>>::new()), &SETTINGS, &|| false).unwrap();
        assert_eq!((factors.users.rows(), factors.items.rows()), (0, 0));
        let none = AlsSettings { factors: 0, ..SETTINGS };
        assert_eq!(als(&csr(2, vec![vec![(1, 1.0)]]), &none, &|| false).unwrap().users.columns(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn each_iteration_lowers_the_loss(
            rows in prop::collection::vec(prop::collection::vec((0u32..6, 0.5f32..2.0), 0..5), 1..8), seed: u64,
        ) {
            let interactions = Csr::from_rows(6, rows);
            let run = |iterations| als(&interactions, &AlsSettings { iterations, seed, ..SETTINGS }, &|| false).unwrap();
            let losses = (1..4).map(|iterations| loss(&interactions, &run(iterations))).collect::<Vec<_>>();
            prop_assert!(losses.windows(2).all(|two| two[1] <= two[0] * (1.0 + 1e-6)), "{losses:?}");
        }
    }
}
