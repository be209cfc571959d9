//! Diversity within a slate: maximal marginal relevance.
//!
//! Takes the values of a user's pool and how similar its items are; lowers the values so that their order is the one in
//! which the items are chosen.

use crate::linalg::dense::{Matrix, product_into};

/// Items of a pool that are compared with each other; those behind them count as similar to all.
pub(super) const COMPARED: usize = 1024;

/// The cosines between the first [`COMPARED`] of these items, row by row, into `out`; negative ones are 0, and so are those
/// of an item without a vector (all zeros, or beyond the rows).
pub(super) fn similarities(vectors: &Matrix, items: &[u32], out: &mut Vec<f32>) {
    let items = &items[..items.len().min(COMPARED)];
    let mut chosen = Matrix::zeros(items.len(), vectors.columns());
    for (row, item) in items.iter().enumerate() {
        if (*item as usize) < vectors.rows() {
            chosen.row_mut(row).copy_from_slice(vectors.row(*item as usize));
        }
    }
    chosen.normalize_rows();
    out.resize(items.len() * items.len(), 0.0);
    product_into(out, chosen.all(), chosen.all());
    // NaN is not above 0 either.
    out.iter_mut().for_each(|cosine| *cosine = if *cosine > 0.0 { *cosine } else { 0.0 });
}

/// Lowers each of `values` to what it was worth when its turn came: the first `steps` choices by maximal marginal relevance,
/// then what the others are worth behind those. Their descending order (ties by position) is the order of choice.
///
/// A choice maximises `(1 - diversity) * relevance - diversity * (greatest cosine to a chosen item)`, the relevance being
/// the value scaled to 0..1 over the pool: J. Carbonell and J. Goldstein, "The use of MMR, diversity-based reranking for
/// reordering documents and producing summaries", SIGIR 1998, <https://doi.org/10.1145/290941.291025>. It is divided by
/// `1 - diversity` and scaled back here, so that the values of different users can be compared as before. `diversity` is
/// in `[0, 1)`; `similarities` are those of [`similarities`].
pub(super) fn lower(values: &mut [f32], similarities: &[f32], diversity: f64, steps: usize) {
    let compared = values.len().min(COMPARED);
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let range = finite().fold(f32::NEG_INFINITY, f32::max) - finite().fold(f32::INFINITY, f32::min);
    // A pool of equals is put in order by its cosines alone.
    let range = if range.is_finite() && range > 0.0 { range } else { 1.0 };
    let weight = (diversity / (1.0 - diversity)) as f32 * range;
    let (values, behind) = values.split_at_mut(compared);
    behind.iter_mut().for_each(|value| *value -= weight);
    let relevance = values.to_vec();
    let mut nearest = vec![0.0f32; compared];
    let mut open = vec![true; compared];
    for _ in 0..steps.min(compared) {
        let mut chosen = None;
        for (place, value) in values.iter().enumerate().filter(|(place, _)| open[*place]) {
            if chosen.is_none_or(|(_, best)| *value > best) {
                chosen = Some((place, *value));
            }
        }
        let Some((chosen, _)) = chosen else { return };
        open[chosen] = false;
        let row = &similarities[chosen * compared..(chosen + 1) * compared];
        for place in 0..compared {
            nearest[place] = nearest[place].max(row[place]);
            if open[place] {
                values[place] = relevance[place] - weight * nearest[place];
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(values: &[f32]) -> Vec<usize> {
        let mut order = (0..values.len()).collect::<Vec<_>>();
        order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
        order
    }

    /// The paper's formula in `f64`: what each item is worth behind the chosen ones.
    fn worth(values: &[f32], cosines: &[f32], diversity: f64, chosen: &[usize]) -> Vec<f64> {
        let n = values.len();
        let (least, most) = values.iter().fold((f32::MAX, f32::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
        let range = if most > least { f64::from(most - least) } else { 1.0 };
        let one = |item: usize| {
            let nearest = chosen.iter().map(|other| f64::from(cosines[item * n + other])).fold(0.0, f64::max);
            (1.0 - diversity) * f64::from(values[item] - least) / range - diversity * nearest
        };
        (0..n).map(one).collect()
    }

    #[test]
    fn a_twin_waits_for_what_is_different() {
        // Items 0 and 1 are the same but for their length, 2 is apart, 3 has no vector, 4 is opposite to 0.
        let vectors = Matrix::new(5, 2, vec![1.0, 0.0, 3.0, 0.0, 0.0, 2.0, 0.0, 0.0, -1.0, 0.0]);
        let mut cosines = Vec::new();
        similarities(&vectors, &[0, 1, 2, 3, 4], &mut cosines);
        assert_eq!(cosines[..5], [1.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(cosines[15..20], [0.0; 5]);
        let scores = [1.0, 0.9, 0.5, 0.1, 0.0];
        for (diversity, expected) in [(0.0, [0, 1, 2, 3, 4]), (0.4, [0, 2, 1, 3, 4]), (0.9, [0, 2, 3, 4, 1])] {
            let mut values = scores;
            lower(&mut values, &cosines, diversity, 5);
            assert_eq!(order(&values), expected, "{diversity}: {values:?}");
        }
    }

    #[test]
    fn items_beyond_the_vectors_and_pools_beyond_the_limit_are_ranked() {
        let vectors = Matrix::new(1, 1, vec![1.0]);
        let items = vec![0; COMPARED + 2];
        let mut cosines = Vec::new();
        similarities(&vectors, &items, &mut cosines);
        assert_eq!(cosines.len(), COMPARED * COMPARED);
        let mut values = (0..items.len()).map(|place| -(place as f32)).collect::<Vec<_>>();
        lower(&mut values, &cosines, 0.5, 3);
        assert!(values.is_sorted_by(|a, b| a >= b), "twins all: the order stays");
        similarities(&vectors, &[7, 0], &mut cosines);
        assert_eq!(cosines, [0.0, 0.0, 0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn the_order_is_the_formulas(
            rows in prop::collection::vec(((-40i8..40), prop::array::uniform3(-3i8..4)), 1..14),
            diversity in prop::sample::select(vec![0.0, 0.25, 0.5, 0.75]),
        ) {
            let vectors = Matrix::new(rows.len(), 3, rows.iter().flat_map(|(_, row)| row.map(f32::from)).collect());
            let items = (0..rows.len() as u32).collect::<Vec<_>>();
            let mut cosines = Vec::new();
            similarities(&vectors, &items, &mut cosines);
            let mut values = rows.iter().map(|(value, _)| f32::from(*value)).collect::<Vec<_>>();
            let relevance = values.clone();
            lower(&mut values, &cosines, diversity, rows.len());
            let order = order(&values);
            for (step, item) in order.iter().enumerate() {
                // What ties but for rounding may change places.
                let worth = worth(&relevance, &cosines, diversity, &order[..step]);
                let best = order[step..].iter().map(|item| worth[*item]).fold(f64::MIN, f64::max);
                prop_assert!(worth[*item] >= best - 1e-4, "{:?} at {} of {:?}", worth, step, order);
            }
            prop_assert!(values.iter().zip(&relevance).all(|(value, before)| value <= before));
        }
    }
}
