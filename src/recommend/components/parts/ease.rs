//! Weights between items: how much having one item speaks for another.
//!
//! Takes interactions (users x items), gives `ItemItem`, which turns a user's items into scores of all items. Text
//! carries these on to items that nobody has yet.
//!
//! EASE: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", 2019, <https://arxiv.org/abs/1905.03375>. Each item is
//! predicted from the others by ridge regression over all users; with `P = (XᵀX + lambda I)⁻¹` the weight of item `i` for
//! item `j` is `-P_ij / P_jj`, and 0 for itself.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::cancellation::{Cancelled, Stop, check};
use crate::linalg::Error;
use crate::linalg::dense::{Matrix, Solver};
use crate::linalg::sparse::{Csr, Row};
use crate::recommend::error;
use crate::recommend::storage::{Section, StoredSection};

/// Items whose weights are computed between two questions whether to stop.
const TASK: usize = 256;

/// What `ease` may choose.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EaseSettings {
    /// The weight of the weights' squares.
    pub lambda: f32,
    /// Up to so many items all weights are computed at once: the inverse of a matrix of items x items, 16 bytes for each pair
    /// of items while it is computed and 4 afterwards.
    pub dense_items: usize,
    /// With more items, each is predicted from so many others.
    pub neighbours: usize,
}

impl Default for EaseSettings {
    fn default() -> Self {
        Self { lambda: 500.0, dense_items: 10_000, neighbours: 200 }
    }
}

/// Weights between items: row `i`, column `j` is what item `i` says about item `j`.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemItem {
    /// A weight for each pair of items.
    Dense(Matrix),
    /// The weights that are not 0.
    Sparse(Csr),
}

/// The weights of `interactions`, users x items; a user has an item or has it not, whatever the value.
pub fn ease(interactions: &Csr, settings: &EaseSettings, stop: Stop<'_>) -> Result<ItemItem, Error> {
    let interactions = interactions.clone().map(|_| 1.0);
    if interactions.columns() <= settings.dense_items {
        Ok(ItemItem::Dense(dense(&interactions, settings.lambda, stop)?))
    } else {
        Ok(ItemItem::Sparse(local(&interactions, settings, stop)?))
    }
}

impl ItemItem {
    /// Number of items.
    pub fn items(&self) -> usize {
        match self {
            Self::Dense(weights) => weights.rows(),
            Self::Sparse(weights) => weights.rows(),
        }
    }

    /// The scores of all items for a user with these items, whatever their values; `out` has a place for each item.
    pub fn scores_into(&self, (items, _): Row<'_>, out: &mut [f32]) {
        out.fill(0.0);
        for item in items {
            match self {
                Self::Dense(weights) => {
                    out.iter_mut().zip(weights.row(*item as usize)).for_each(|(out, weight)| *out += weight);
                }
                Self::Sparse(weights) => {
                    let (columns, weights) = weights.row(*item as usize);
                    columns.iter().zip(weights).for_each(|(column, weight)| out[*column as usize] += weight);
                }
            }
        }
    }

    /// What one item says about another.
    pub(crate) fn weight(&self, item: u32, other: u32) -> f32 {
        match self {
            Self::Dense(weights) => weights.row(item as usize)[other as usize],
            Self::Sparse(weights) => {
                let (columns, weights) = weights.row(item as usize);
                columns.binary_search(&other).map_or(0.0, |place| weights[place])
            }
        }
    }

    pub(crate) fn save(&self, section: &mut Section<'_>) {
        match self {
            Self::Dense(weights) => section.matrix("dense", weights),
            Self::Sparse(weights) => section.csr("sparse", weights),
        }
    }

    pub(crate) fn load(section: &StoredSection<'_>) -> error::Result<Self> {
        match section.has("dense") {
            true => Ok(Self::Dense(section.matrix("dense")?)),
            false => Ok(Self::Sparse(section.csr("sparse")?)),
        }
    }
}

/// All weights, by the inverse.
fn dense(interactions: &Csr, lambda: f32, stop: Stop<'_>) -> Result<Matrix, Error> {
    let owners = interactions.transpose();
    let items = interactions.columns();
    let mut gram = Matrix::zeros(items, items);
    gram.values_mut().par_chunks_exact_mut(items.max(1)).enumerate().for_each(|(item, out)| {
        for user in owners.row(item).0 {
            interactions.row(*user as usize).0.iter().for_each(|other| out[*other as usize] += 1.0);
        }
        out[item] += lambda;
    });
    check(stop)?;
    let mut weights = gram.inverse().ok_or(Error::Singular("EASE"))?;
    let diagonal = (0..items).map(|item| -weights.row(item)[item]).collect::<Vec<_>>();
    weights.values_mut().par_chunks_exact_mut(items.max(1)).enumerate().for_each(|(item, row)| {
        row.iter_mut().zip(&diagonal).for_each(|(weight, diagonal)| *weight /= diagonal);
        row[item] = 0.0;
    });
    check(stop)?;
    Ok(weights)
}

/// Each item predicted from the items that predict it best.
fn local(interactions: &Csr, settings: &EaseSettings, stop: Stop<'_>) -> Result<Csr, Cancelled> {
    let owners = interactions.transpose();
    let items = interactions.columns();
    let mut predictors = Vec::with_capacity(items);
    for first in (0..items).step_by(TASK) {
        check(stop)?;
        // A thread's memory is as long as there are users: it should serve more than a few items.
        let task = (first..items.min(first + TASK)).into_par_iter().with_min_len(TASK / 16);
        let rows = task.map_init(|| Local::new(interactions, &owners, settings), |local, item| local.predict(item));
        predictors.extend(rows.collect::<Vec<_>>());
    }
    Ok(Csr::from_rows(items, predictors).transpose())
}

/// One thread's work on the weights of an item.
struct Local<'a> {
    interactions: &'a Csr,
    owners: &'a Csr,
    lambda: f64,
    neighbours: usize,
    /// Per item, how many users have it and the item at hand.
    together: Vec<u32>,
    /// Per user, which of the chosen neighbours they have; only users of `touched` have any.
    members: Vec<Vec<u32>>,
    touched: Vec<u32>,
}

impl<'a> Local<'a> {
    fn new(interactions: &'a Csr, owners: &'a Csr, settings: &EaseSettings) -> Self {
        Self {
            interactions,
            owners,
            lambda: f64::from(settings.lambda),
            neighbours: settings.neighbours,
            together: vec![0; interactions.columns()],
            members: vec![Vec::new(); interactions.rows()],
            touched: Vec::new(),
        }
    }

    /// The items that predict `item`, and their weights: ridge regression over all users.
    fn predict(&mut self, item: usize) -> Vec<(u32, f32)> {
        let chosen = self.choose(item);
        let size = chosen.len();
        let mut gram = vec![0.0f64; size * size];
        for (place, (other, _)) in chosen.iter().enumerate() {
            for user in self.owners.row(*other as usize).0 {
                if self.members[*user as usize].is_empty() {
                    self.touched.push(*user);
                }
                self.members[*user as usize].push(place as u32);
            }
        }
        for user in self.touched.drain(..) {
            let members = &mut self.members[user as usize];
            for (index, row) in members.iter().enumerate() {
                for column in &members[index..] {
                    gram[*row as usize * size + *column as usize] += 1.0;
                }
            }
            members.clear();
        }
        (0..size).for_each(|place| gram[place * (size + 1)] += self.lambda);
        let mut weights = chosen.iter().map(|(_, together)| f64::from(*together)).collect::<Vec<_>>();
        if !Solver::new(size).solve_in_place(&mut gram, &mut weights) {
            return Vec::new();
        }
        chosen.iter().zip(weights).map(|((other, _), weight)| (*other, weight as f32)).collect()
    }

    /// The items that predict `item` best, each taken alone, and how many users have both: the regression on item `i`
    /// alone takes `together² / (users of i + lambda)` off the squared error. In order of the items.
    fn choose(&mut self, item: usize) -> Vec<(u32, u32)> {
        let mut seen = Vec::new();
        for user in self.owners.row(item).0 {
            for other in self.interactions.row(*user as usize).0 {
                if self.together[*other as usize] == 0 {
                    seen.push(*other);
                }
                self.together[*other as usize] += 1;
            }
        }
        let mut found = Vec::with_capacity(seen.len());
        for other in seen {
            let together = std::mem::take(&mut self.together[other as usize]);
            if other as usize != item {
                let users = self.owners.row(other as usize).0.len() as f64;
                let gain = f64::from(together).powi(2) / (users + self.lambda);
                found.push((other, together, gain));
            }
        }
        found.sort_unstable_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
        found.truncate(self.neighbours);
        found.sort_unstable_by_key(|(other, ..)| *other);
        found.into_iter().map(|(other, together, _)| (other, together)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::linalg::reference::{Pairs, assert_close, csr, read};
    use crate::recommend::storage::{Stored, Writer};

    #[derive(Deserialize)]
    struct Case {
        interactions: Pairs,
        weights: Vec<f32>,
        scores: Vec<f32>,
    }

    const SETTINGS: EaseSettings = EaseSettings { lambda: 5.0, dense_items: 12, neighbours: 11 };

    fn dense_of(weights: &ItemItem) -> Vec<f32> {
        match weights {
            ItemItem::Dense(weights) => weights.values().to_vec(),
            ItemItem::Sparse(weights) => {
                let mut out = Matrix::zeros(weights.rows(), weights.columns());
                for (row, (columns, values)) in weights.iter().enumerate() {
                    columns.iter().zip(values).for_each(|(column, value)| out.row_mut(row)[*column as usize] = *value);
                }
                out.values().to_vec()
            }
        }
    }

    #[test]
    fn weights_and_scores_are_the_closed_form() {
        let case: Case = read("ease");
        let interactions = csr(12, case.interactions);
        // With all other items as neighbours, an item's own regression is the same as everybody's.
        for settings in [SETTINGS, EaseSettings { dense_items: 11, ..SETTINGS }] {
            let weights = ease(&interactions, &settings, &|| false).unwrap();
            assert_eq!(matches!(weights, ItemItem::Dense(_)), settings.dense_items == 12);
            assert_eq!(weights.items(), 12);
            assert_close(&dense_of(&weights), &case.weights, 1e-5);
            let mut scores = vec![f32::NAN; 12];
            for (user, wanted) in case.scores.chunks(12).enumerate() {
                weights.scores_into(interactions.row(user), &mut scores);
                assert_close(&scores, wanted, 1e-5);
            }
        }
    }

    #[test]
    fn few_neighbours_are_those_that_predict_best() {
        // Item 0 is had with item 1 by three users of four, with item 2 by one of one, with item 3 by nobody.
        let users = [&[0, 1][..], &[0, 1], &[0, 1, 2], &[1], &[3]];
        let interactions =
            Csr::from_rows(4, users.map(|items| items.iter().map(|item| (*item, 1.0)).collect::<Vec<_>>()));
        let settings = EaseSettings { lambda: 1.0, dense_items: 0, neighbours: 1 };
        let weights = ease(&interactions, &settings, &|| false).unwrap();
        // 3² / (4 + 1) is more than 1² / (1 + 1): the regression on item 1 alone has the weight 3 / (4 + 1).
        let column = |item: usize| dense_of(&weights).chunks(4).map(|row| row[item]).collect::<Vec<_>>();
        assert_close(&column(0), &[0.0, 0.6, 0.0, 0.0], 1e-6);
        assert_eq!(column(3), [0.0; 4]);
    }

    #[test]
    fn threads_make_no_difference() {
        let interactions = csr(12, read::<Case>("ease").interactions);
        for dense_items in [0, 12] {
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let settings = EaseSettings { dense_items, neighbours: 4, ..SETTINGS };
                pool.install(|| ease(&interactions, &settings, &|| false)).unwrap()
            };
            assert_eq!(run(1), run(3));
        }
    }

    #[test]
    fn it_stops_and_takes_nothing_at_all() {
        let interactions = csr(12, read::<Case>("ease").interactions);
        for dense_items in [0, 12] {
            let settings = EaseSettings { dense_items, ..SETTINGS };
            assert_eq!(ease(&interactions, &settings, &|| true), Err(Cancelled.into()));
            let nothing = Csr::from_rows(0, Vec::<Vec<_>>::new());
            assert_eq!(ease(&nothing, &settings, &|| false).unwrap().items(), 0);
        }
    }

    #[test]
    fn what_is_loaded_is_what_was_saved() {
        let interactions = csr(12, read::<Case>("ease").interactions);
        for dense_items in [0, 12] {
            let settings = EaseSettings { dense_items, ..SETTINGS };
            let weights = ease(&interactions, &settings, &|| false).unwrap();
            let mut writer = Writer::default();
            weights.save(&mut writer.section("item_item"));
            let (tensors, values) = writer.into_parts();
            let bytes = tensors.into_bytes().unwrap();
            let stored = Stored::new(&bytes, values, Path::new("file")).unwrap();
            assert_eq!(ItemItem::load(&stored.section("item_item")).unwrap(), weights);
        }
    }
}
