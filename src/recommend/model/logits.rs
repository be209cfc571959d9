//! A blend as a matrix: takes users, items and a blend, gives logits, a block at a time or a user's for some items.

use std::ops::Range;

use super::blend::{ActivityFeatures, Blend, known};
use super::explanation::{BASELINE, Explanation};
use crate::linalg::dense::Matrix;
use crate::recommend::components::Listed;
use crate::recommend::components::attribution::Attribution;
use crate::recommend::components::normalization::ScoreNormalization;
use crate::recommend::components::parts::als::FoldIn;
use crate::recommend::components::scores::{Pairs, USERS};
use crate::recommend::ranking::BlockScores;

/// The logits of some users for some items.
#[derive(Debug, Clone, Copy)]
pub struct Logits<'a> {
    /// Users and items.
    pub pairs: Pairs<'a>,
    /// The users' score normalization.
    pub normalization: &'a ScoreNormalization,
    /// What the users do at all.
    pub activity: &'a ActivityFeatures,
    /// How they are ranked.
    pub blend: &'a Blend,
}

impl Logits<'_> {
    /// The logits of a user for these items into `out`.
    pub fn logits_of(&self, user: usize, items: &[u32], out: &mut [f32]) {
        let mut one = vec![0.0; items.len()];
        self.begin(user, out);
        for (component, weight) in self.parts() {
            self.pairs.scores_of(component, user, items, &mut one);
            self.add(user, component, weight, &one, out);
        }
    }

    /// The logits of a user for these items as sums, and what the user's history adds to each.
    pub(super) fn explain(&self, user: usize, items: &[u32], fold_in: &FoldIn<&Matrix>) -> Explanation {
        let Pairs { components, representations, .. } = self.pairs;
        // Of no items nothing is asked: what is prepared of a user costs as much as an item.
        let parts = self.parts().filter(|_| !items.is_empty()).collect::<Vec<_>>();
        let mut features = vec![BASELINE];
        features.extend(parts.iter().map(|(component, _)| component.name()));
        let mut shares = Matrix::zeros(items.len(), features.len());
        let base = self.blend.base(self.activity.0.row(user));
        (0..items.len()).for_each(|item| shares.row_mut(item)[0] = base);
        let mut purchases =
            Attribution::new(items, representations.history.row(user), components.parts.item_factors.columns());
        let (mut scores, mut weights) = (vec![0.0; items.len()], vec![0.0; items.len()]);
        for (place, (component, weight)) in parts.into_iter().enumerate() {
            self.pairs.scores_of(component, user, items, &mut scores);
            let (mean, scale) = self.normalization.row(user, component);
            let times = self.blend.slope() * weight * scale;
            for (item, (score, weight)) in scores.iter().zip(&mut weights).enumerate() {
                shares.row_mut(item)[place + 1] = known(times * (score - mean));
                *weight = if score.is_nan() { 0.0 } else { times };
            }
            self.pairs.attribute(component, user, &weights, &mut purchases);
        }
        Explanation { features, shares, purchases: purchases.finish(fold_in) }
    }

    fn parts(&self) -> impl Iterator<Item = (Listed, f32)> {
        self.blend
            .components
            .iter()
            .copied()
            .zip(self.blend.weights.iter().copied())
            .filter(|(_, weight)| *weight != 0.0)
    }

    fn begin(&self, user: usize, out: &mut [f32]) {
        out.fill(self.blend.base(self.activity.0.row(user)));
    }

    fn add(&self, user: usize, component: Listed, weight: f32, scores: &[f32], out: &mut [f32]) {
        let (mean, scale) = self.normalization.row(user, component);
        let times = self.blend.slope() * weight * scale;
        out.iter_mut().zip(scores).for_each(|(out, score)| *out += known(times * (score - mean)));
    }
}

impl BlockScores for Logits<'_> {
    fn users(&self) -> usize {
        self.pairs.representations.len()
    }

    fn items(&self) -> usize {
        self.pairs.item_batch.len()
    }

    fn scores_into(&self, users: Range<usize>, items: Range<usize>, out: &mut [f32]) {
        let width = items.len();
        if width == 0 {
            return;
        }
        let mut one = vec![0.0; users.len() * width];
        users.clone().zip(out.chunks_exact_mut(width)).for_each(|(user, out)| self.begin(user, out));
        for (component, weight) in self.parts() {
            self.pairs.scores_into(component, users.clone(), items.clone(), &mut one);
            for ((user, one), out) in users.clone().zip(one.chunks_exact(width)).zip(out.chunks_exact_mut(width)) {
                self.add(user, component, weight, one, out);
            }
        }
    }

    fn block(&self) -> (usize, usize) {
        (USERS, usize::MAX)
    }
}
