//! Nearest neighbours by inner product: takes vectors, gives the nearest rows of some of them, and how many of them two lists
//! have in common.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::dense::Matrix;

/// Neighbours that overlaps compare.
pub const NEAREST: usize = 10;
/// Most rows whose neighbours they compare; more would change little.
pub const MOST_QUERIES: usize = 1000;
/// Queries whose products are computed together.
const BLOCK: usize = 32;

/// The `count` nearest other rows of each of the first `queries` rows, in no order; of equally near ones the first.
pub fn nearest(vectors: &Matrix, queries: usize, count: usize) -> Vec<Vec<u32>> {
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
            if others.len() > count && count > 0 {
                others.select_nth_unstable_by(count - 1, order);
            }
            others.truncate(count);
            others
        });
        best.collect::<Vec<_>>()
    });
    found.collect()
}

/// The share of the wanted neighbours that were found; `None` where none are wanted. Both hold the same queries, in one order.
pub fn overlap(found: &[Vec<u32>], wanted: &[Vec<u32>]) -> Option<f64> {
    // All queries have as many nearest, so that the mean of the shares is the share of all.
    let (mut both, mut all) = (0, 0);
    for (found, wanted) in found.iter().zip(wanted) {
        both += found.iter().filter(|row| wanted.contains(row)).count();
        all += wanted.len();
    }
    (all > 0).then(|| both as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_those_of_a_plain_search() {
        let (rows, columns) = (90, 5);
        let mut random = crate::random::Random::new(3, 0);
        let vectors = Matrix::new(rows, columns, random.normals(rows * columns, 1.0));
        let found = nearest(&vectors, 70, 10);
        assert_eq!(found.len(), 70);
        for (query, found) in found.iter().enumerate() {
            let product =
                |row: usize| -> f32 { vectors.row(query).iter().zip(vectors.row(row)).map(|(x, y)| x * y).sum() };
            let mut wanted = (0..rows).filter(|row| *row != query).collect::<Vec<_>>();
            wanted.sort_by(|a, b| product(*b).total_cmp(&product(*a)));
            let mut found = found.clone();
            found.sort_unstable();
            let mut wanted = wanted[..10].iter().map(|row| *row as u32).collect::<Vec<_>>();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{query}");
        }
    }

    #[test]
    fn an_overlap_is_a_mean_share() {
        let wanted = [vec![1, 2], vec![3, 4]];
        assert_eq!(overlap(&[vec![2, 1], vec![4, 9]], &wanted), Some(0.75));
        assert_eq!(overlap(&[], &[]), None);
        // Fewer rows than neighbours.
        assert_eq!(nearest(&Matrix::new(2, 1, vec![1.0, 2.0]), 1, 10), [vec![1]]);
    }
}
